"""A monolayer of MoS2: where its atoms are, and which sites hold something else than they should.

Chalcogen sites lie on a triangular lattice in two layers, one above the other, with a metal atom beside each pair; a
site of index (layer x ROWS + row) x COLUMNS + column holds sulfur, selenium, oxygen or nothing. Lattice constant of
MoS2: 0.316 nm.

Up to 3.5e13 defects a cm^2, mostly sulfur vacancies: J. Hong et al., Nat. Commun. 6 (2015) 6293. Selenium in MoS2: Y.
Gong et al., Nano Lett. 14 (2014) 442. Oxygen on sulfur's sites and foreign metal atoms are the most common other
defects: arXiv 2406.18324. Of these the abstracts were read; densities and how unevenly they are spread are assumptions
of this world.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from digital_twin.optics import Array

LATTICE_NM = 0.316
ROW_NM = LATTICE_NM * math.sqrt(3) / 2
METAL_NM = LATTICE_NM / math.sqrt(3)
"""From a pair of sulfur atoms to the metal atom on the side of the next row."""

ROWS, COLUMNS = 168, 148
PAIRS = ROWS * COLUMNS
SULFUR, SELENIUM, OXYGEN, NOTHING = 0, 1, 2, 3
PER_NM2 = {NOTHING: 0.12, SELENIUM: 0.25, OXYGEN: 0.12}
"""Medians over seeds, both layers together."""

TUNGSTEN_PER_NM2 = 0.15
PATCH_NM, PATCH_SITES, PATCH_SD = 5.0, 4, 0.7
"""Defects come in patches of this size, of log-normal density; it is taken as even over PATCH_SITES x PATCH_SITES."""

WAVES = 64


@dataclass(frozen=True)
class Draw:
    """What differs from seed to seed.

    Hopping barrier, kappa by which displacements exceed those of atoms in their ground state, how the crystal lies
    under the beam, and densities by what is on a site.
    """

    barrier_eV: float
    coupling: float
    turn_rad: float
    shift_nm: tuple[float, float]
    per_nm2: dict[int, float]


@dataclass(frozen=True)
class Atoms:
    """Crystals of B seeds on a device.

    ``occupant`` (B, 2 x PAIRS) int8, the layer on the exit side last; ``tungsten`` (B, PAIRS) where a metal atom is not
    molybdenum; ``toughness`` (B, PAIRS) exponential numbers for the sulfur atoms of the exit layer. Pairs of sulfur are
    at ``pair_nm`` (B, PAIRS, 2), and each has its metal atom ``metal_nm`` (B, 2) away.
    """

    occupant: Tensor
    tungsten: Tensor
    toughness: Tensor
    pair_nm: Tensor
    metal_nm: Tensor
    turns: Array
    shifts_nm: Array

    def under(self, corners_nm: Array, worlds: Sequence[int]) -> Tensor:
        """Pairs (W, N) of some worlds, by index, that may lie within a metal atom of boxes around (W, K, 2) corners.

        Rows and columns of the lattice around the box, as many for each world.
        """
        crystal = (corners_nm @ self.turns[list(worlds)]) - self.shifts_nm[list(worlds), None]
        x, y = crystal[..., 0] / LATTICE_NM + COLUMNS / 2, crystal[..., 1] / ROW_NM + ROWS / 2
        rows, first_row = _span(y, ROWS)
        columns, first_column = _span(x, COLUMNS)
        row = first_row[:, None] + np.arange(rows)
        column = first_column[:, None] + np.arange(columns)
        pairs = row[:, :, None] * COLUMNS + column[:, None, :]
        return torch.from_numpy(pairs.reshape(len(pairs), -1)).to(self.pair_nm.device)


def _span(places: Array, most: int) -> tuple[int, Array]:
    """How many sites cover (W, K) places with one to spare on each side, and the first for each (W,)."""
    low, high = np.floor(places.min(axis=1)) - 2, np.ceil(places.max(axis=1)) + 2
    count = int(min(max(1.0, float((high - low).max())), most))
    return count, np.clip(low, 0, most - count).astype(np.int64)


def draw(seed: int, barrier_eV: tuple[float, float], coupling_sd: float) -> Draw:
    """Draw the parameters of one seed, the barrier from a mean and a standard deviation."""
    random = np.random.default_rng([seed, 10])
    z = random.standard_normal(2 + len(PER_NM2))
    x, y = random.uniform(-0.5, 0.5, 2) * (LATTICE_NM, ROW_NM)
    return Draw(
        barrier_eV=barrier_eV[0] + barrier_eV[1] * float(z[0]),
        coupling=math.exp(coupling_sd * z[1]),
        turn_rad=float(random.uniform(-math.pi / 6, math.pi / 6)),
        shift_nm=(float(x), float(y)),
        per_nm2={kind: PER_NM2[kind] * math.exp(0.3 * each) for kind, each in zip(PER_NM2, z[2:], strict=True)},
    )


def grown(seeds: Sequence[int], draws: Sequence[Draw], device: torch.device) -> Atoms:
    """The crystals of seeds, one each, as they are before anything happens."""
    sites = [_occupied(seed, each) for seed, each in zip(seeds, draws, strict=True)]
    turns = np.array([_turn(each.turn_rad) for each in draws])
    shifts = np.array([each.shift_nm for each in draws])
    pairs = (_plain_nm() + shifts[:, None]) @ turns.transpose(0, 2, 1)
    tables = [*(np.stack(part) for part in zip(*sites, strict=True)), pairs, turns @ (0.0, METAL_NM)]
    occupant, tungsten, toughness, pair, metal = (torch.from_numpy(table).to(device) for table in tables)
    return Atoms(occupant, tungsten, toughness, pair, metal, turns, shifts)


def _turn(angle_rad: float) -> Array:
    return np.array([[math.cos(angle_rad), -math.sin(angle_rad)], [math.sin(angle_rad), math.cos(angle_rad)]])


def _plain_nm() -> Array:
    """Pairs of sulfur in a crystal that is neither turned nor shifted, (PAIRS, 2)."""
    row, column = np.mgrid[:ROWS, :COLUMNS]
    x = LATTICE_NM * (column - COLUMNS / 2 + row % 2 / 2)
    return np.stack([x, ROW_NM * (row - ROWS / 2)], axis=-1).reshape(PAIRS, 2)


def _occupied(seed: int, parameters: Draw) -> tuple[NDArray[np.int8], NDArray[np.bool_], Array]:
    """Occupants (2 x PAIRS,), tungsten (PAIRS,), and exponential numbers (PAIRS,) of one seed."""
    random = np.random.default_rng([seed, 11])
    chance = random.random((2, ROWS, COLUMNS))
    occupants = np.full(chance.shape, SULFUR, dtype=np.int8)
    below: Array = np.zeros((ROWS, COLUMNS))
    for kind, density in parameters.per_nm2.items():
        above = below + _patches(random) * density * LATTICE_NM * ROW_NM / 2
        occupants[(chance >= below) & (chance < above)] = kind
        below = above
    tungsten = random.random(PAIRS) < TUNGSTEN_PER_NM2 * LATTICE_NM * ROW_NM
    return occupants.ravel(), tungsten, random.exponential(size=PAIRS)


def _patches(random: np.random.Generator) -> Array:
    """A log-normal random field of mean 1 over all pairs, (ROWS, COLUMNS): its logarithm is a sum of plane waves."""
    y, x = np.mgrid[:ROWS:PATCH_SITES, :COLUMNS:PATCH_SITES]
    k = random.standard_normal((WAVES, 2)) / PATCH_NM
    phase = random.uniform(0, 2 * math.pi, WAVES)
    turns = np.stack([x * LATTICE_NM, y * ROW_NM], axis=-1) @ k.T + phase
    field = PATCH_SD * math.sqrt(2 / WAVES) * np.cos(turns).sum(axis=-1)
    return np.kron(np.exp(field - PATCH_SD**2 / 2), np.ones((PATCH_SITES, PATCH_SITES)))


@lru_cache(maxsize=4)
def neighbours(device: torch.device) -> Tensor:
    """The six sites around each site of either layer, (2 x PAIRS, 6); what leaves on one side comes in on the other."""
    row, column = np.mgrid[:ROWS, :COLUMNS]
    odd = row % 2
    steps = ((0, 1), (0, -1), (1, odd - 1), (1, odd), (-1, odd - 1), (-1, odd))
    around = [((row + down) % ROWS * COLUMNS + (column + across) % COLUMNS).ravel() for down, across in steps]
    layer = np.stack(around, axis=-1)
    return torch.from_numpy(np.concatenate([layer, layer + PAIRS])).to(device)
