"""Particles on a film, side by side: where they are, who touches whom, and which cell of a map belongs to which."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digital_twin.optics import Array

EXTENT_NM = 2048.0
MARGIN_NM = 160.0
HALF_NM = EXTENT_NM / 2 + MARGIN_NM
PITCH_NM = 150.0
ROWS = math.ceil(2 * HALF_NM / (PITCH_NM * math.sqrt(3) / 2))
COLUMNS = math.ceil(2 * HALF_NM / PITCH_NM)
PARTICLES = ROWS * COLUMNS
RADIUS_NM, RADIUS_SPREAD = 62.0, 0.30
LEAST_RADIUS_NM, MOST_RADIUS_NM = 25.0, 110.0
MOST_ASPECT = 1.7
CONTACT = 1.15
"""Particles whose distance is at most this many times the sum of their radii are in contact."""

THICKNESS = 0.8
"""Thickness of a particle in its middle, as a multiple of its radius: platelets."""

FINE_NM, CELL_NM = 8.0, 16.0
"""Cells of the maps of thickness and of conversion."""

BEYOND = 1.8
"""Conversion is mapped out to this multiple of a particle's outline, so that nothing else is mixed in at its rim."""


@dataclass(frozen=True)
class Particles:
    """What of a seed stays, for each of N particles: ellipses at ``position_nm`` (N, 2) with thresholds to wake.

    ``radius_nm`` is the geometric mean of the two half-axes, ``aspect`` their ratio, ``turn_rad`` where the longer one
    points, ``wave_rad`` where conversion goes to; all (N,).
    """

    position_nm: Array
    radius_nm: Array
    threshold: Array
    aspect: Array
    turn_rad: Array
    wave_rad: Array


def particles(seed: int) -> Particles:
    """Particles of one seed: on a triangular lattice far out of order, with gaps, row by row."""
    random = np.random.default_rng([seed, 41])
    row, column = np.divmod(np.arange(PARTICLES), COLUMNS)
    at = np.stack([(column + 0.5 * (row % 2) + 0.25) * PITCH_NM, (row + 0.5) * PITCH_NM * math.sqrt(3) / 2], axis=1)
    radius = np.exp(RADIUS_SPREAD * random.standard_normal(PARTICLES)) * RADIUS_NM
    turn, wave = random.uniform(0, 2 * math.pi, (2, PARTICLES))
    return Particles(
        position_nm=at - HALF_NM + 0.22 * PITCH_NM * random.standard_normal((PARTICLES, 2)).clip(-2, 2),
        radius_nm=radius.clip(LEAST_RADIUS_NM, MOST_RADIUS_NM),
        threshold=random.exponential(size=PARTICLES),
        aspect=random.uniform(1.0, MOST_ASPECT, PARTICLES),
        turn_rad=turn,
        wave_rad=wave,
    )


def neighbours() -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The six neighbours of each particle on the lattice, (N, 6) indices, and whether they are there, (N, 6)."""
    row, column = np.divmod(np.arange(PARTICLES), COLUMNS)
    aside = row[:, None] % 2
    down = np.array([[0, 0, 1, 1, -1, -1]])
    right = np.concatenate([np.array([[-1, 1]]) + 0 * aside, aside - 1, aside, aside - 1, aside], axis=1)
    other_row, other_column = row[:, None] + down, column[:, None] + right
    there = (other_row >= 0) & (other_row < ROWS) & (other_column >= 0) & (other_column < COLUMNS)
    return np.where(there, other_row * COLUMNS + other_column, 0), there


def _painted(placed: Particles, cell_nm: float, reach: float) -> tuple[NDArray[np.int64], Array, Array]:
    """The particle nearest to each cell, (G, G) each: which, its distance in outlines, and how far along its wave, nm.

    Only for cells within ``reach`` outlines of one: particle 0 and distance infinity elsewhere.
    """
    size = round(2 * HALF_NM / cell_nm)
    # Particles of about one size at a time: the larger they are, the more cells are tried.
    by_size = np.array_split(np.argsort(placed.radius_nm), min(6, len(placed.radius_nm)))
    found = [_reached(placed, some, cell_nm, reach) for some in by_size]
    particle, row, column = (np.concatenate(part) for part in zip(*(each[0] for each in found), strict=True))
    squared, along = (np.concatenate(part) for part in zip(*(each[1] for each in found), strict=True))
    cell = row * size + column
    nearest = np.full(size**2, np.inf)
    np.minimum.at(nearest, cell, squared)
    won = squared == nearest[cell]
    owner, wave = np.zeros(size**2, np.int64), np.zeros(size**2)
    owner[cell[won]], wave[cell[won]] = particle[won], along[won]
    return owner.reshape(size, size), np.sqrt(nearest).reshape(size, size), wave.reshape(size, size)


def _reached(
    placed: Particles, some: NDArray[np.int64], cell_nm: float, reach: float
) -> tuple[tuple[NDArray[np.int64], ...], tuple[Array, Array]]:
    """Cells within ``reach`` outlines of some particles: (particle, row, column), (distance squared, along wave)."""
    size = round(2 * HALF_NM / cell_nm)
    radius_nm, aspect, turn_rad, wave_rad = (
        getattr(placed, name)[some, None, None] for name in ("radius_nm", "aspect", "turn_rad", "wave_rad")
    )
    span = math.ceil(reach * math.sqrt(MOST_ASPECT) * float(radius_nm.max()) / cell_nm)
    corner = np.floor((placed.position_nm[some] + HALF_NM) / cell_nm).astype(np.int64)
    column, row = (corner[:, axis, None] + np.arange(-span, span + 1) for axis in (0, 1))
    x = ((column + 0.5) * cell_nm - HALF_NM - placed.position_nm[some, :1])[:, None, :]
    y = ((row + 0.5) * cell_nm - HALF_NM - placed.position_nm[some, 1:])[:, :, None]
    # The quadratic form of an ellipse: 1 on its outline.
    long, short = 1 / (radius_nm**2 * aspect), aspect / radius_nm**2
    mean, half = (long + short) / 2, (long - short) / 2
    c2, s2 = half * np.cos(2 * turn_rad), half * np.sin(2 * turn_rad)
    form = (mean + c2) * x**2 + (mean - c2) * y**2 + 2 * s2 * x * y
    near = (form < reach**2) & ((column >= 0) & (column < size))[:, None, :] & ((row >= 0) & (row < size))[:, :, None]
    which, down, right = np.nonzero(near)
    wave = wave_rad[which, 0, 0]
    along = x[which, 0, right] * np.cos(wave) + y[which, down, 0] * np.sin(wave)
    return (some[which], row[which, down], column[which, right]), (form[near], along)


def thickness_nm(placed: Particles) -> Array:
    """Thickness of all particles on the fine map, (G, G) nm: flat in the middle, round at the rim."""
    owner, distance, _ = _painted(placed, FINE_NM, 1.0)
    thickness: Array = THICKNESS * placed.radius_nm[owner] * np.sqrt(1 - np.minimum(distance, 1.0) ** 4)
    return thickness


def owners(placed: Particles, thickness: Array) -> tuple[NDArray[np.int64], Array]:
    """The particle that each cell belongs to, and what share of it the wave goes through before the cell, (G, G) each.

    ``thickness`` (G, G) is that of all particles, on cells of CELL_NM.
    """
    owner, _, along = _painted(placed, CELL_NM, BEYOND)
    order = np.lexsort((along.ravel(), owner.ravel()))
    whose, volume = owner.ravel()[order], thickness.ravel()[order]
    total = np.bincount(whose, volume, len(placed.radius_nm))
    before = np.cumsum(volume) - volume / 2 - (np.cumsum(total) - total)[whose]
    rank = np.empty(owner.size)
    rank[order] = before / np.maximum(total[whose], 1e-12)
    return owner, rank.clip(0.0, 1.0).reshape(owner.shape)
