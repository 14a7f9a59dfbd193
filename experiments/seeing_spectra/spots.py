"""What is usual for diffraction patterns, with its settings to be searched, and the agent's readings beside it.

- beam: centre of mass of all pixels, or of those within so many pixels of the brightest one;
- lattice: peaks of the smoothed pattern (scikit-image), each moved to the centre of mass about it, the turn of the
  known lattice that explains most of them, and a least-squares fit of beam and basis to those that it explains;
- order: counts in virtual detectors at that lattice's nodes, or in rings at their distances, less the background
  beside them; the root of their share grows with the thickness that is in order, by a line fitted on the tuning seeds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import partial

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.feature import peak_local_max

from agent.perception.diffraction import PatternReader, deformed, rotation
from experiments.seeing_spectra.crystals import SIZE, Crystalline
from experiments.seeing_spectra.losses import Way
from experiments.seeing_spectra.scenes import Array

SMOOTHED_PX, THRESHOLDS, MASS_PX = (0.7, 1.2, 2.0), (0.01, 0.03, 0.1, 0.3), (1.5, 2.5)
WITHIN_PX = (2.0, 3.0, 5.0)
NEAR_PX = 1.5
"""A peak belongs to a node when it is no farther from it, or twice as far where the disc is large."""

TURNS = np.arange(0.0, math.pi, math.radians(0.5))


def reader_of(subject: Crystalline) -> PatternReader:
    """The agent's reader of a subject."""
    return PatternReader(
        SIZE, subject.step_mrad, subject.column.convergence_mrad, subject.crystal, subject.wavelength_nm
    )


def ways(subject: Crystalline) -> Iterator[Way]:
    """All ways that are tried."""
    usual = Usual(subject)
    yield "centre of mass of all", partial(usual.mass, within_px=1e3)
    for within in WITHIN_PX:
        yield f"centre of mass within {within:g} px", partial(usual.mass, within_px=within)
    for smoothed, threshold, mass in itertools.product(SMOOTHED_PX, THRESHOLDS, MASS_PX):
        told = f"peaks smoothed by {smoothed:g} px above {threshold:g}, mass within {mass:g} px"
        yield told, partial(usual.lattice, smoothed_px=smoothed, threshold=threshold, mass_px=mass)
    yield "rings at the nodes' distances", usual.rings


class Usual:
    """The usual ways for one subject; patterns come as (N, K, K)."""

    def __init__(self, subject: Crystalline) -> None:
        self.subject, self.reader = subject, reader_of(subject)
        self.radius_px = self.reader.radius_px
        self.nodes = self.reader.crystal.orders
        along = np.arange(SIZE) - SIZE // 2
        self.rows, self.columns = np.meshgrid(along, along, indexing="ij")
        self.away = np.hypot(self.rows, self.columns)

    def mass(self, counts: Array, within_px: float) -> dict[str, Array]:
        """Where the beam points, along x."""
        across_px = np.array([self._beam(each, within_px)[1] for each in counts])
        return {"deflection_mrad": self.subject.step_mrad * across_px}

    def _beam(self, pattern: Array, within_px: float) -> Array:
        if within_px > SIZE:
            inside = np.ones_like(pattern)
        else:
            near = gaussian_filter(pattern, 1.0) * (self.away < 4.0)
            top = np.unravel_index(int(near.argmax()), pattern.shape)
            inside = np.hypot(self.rows - self.rows[top], self.columns - self.columns[top]) <= within_px
        weight = pattern * inside
        total = max(float(weight.sum()), 1e-9)
        return np.array([(weight * self.rows).sum(), (weight * self.columns).sum()]) / total

    def lattice(self, counts: Array, smoothed_px: float, threshold: float, mass_px: float) -> dict[str, Array]:
        """Beam, strain, turn and order by peaks; a pattern whose peaks are too few is taken as not strained."""
        told = [self._by_peaks(each, smoothed_px, threshold, mass_px) for each in counts]
        names = ("deflection_mrad", "strain_xx", "strain_yy", "strain_xy", "turn_rad", "ordered_nm, calibrated")
        return dict(zip(names, np.array(told).T, strict=True))

    def _by_peaks(self, pattern: Array, smoothed_px: float, threshold: float, mass_px: float) -> list[float]:
        smooth = gaussian_filter(pattern, smoothed_px)
        apart = max(1, int(self.radius_px))
        some = peak_local_max(smooth, min_distance=apart, threshold_rel=threshold, num_peaks=150)  # type: ignore[no-untyped-call]
        found = np.asarray(some) - SIZE // 2
        beam = self._beam(pattern, max(mass_px, self.radius_px + 0.5))
        peaks = np.array([self._centre(pattern, peak, mass_px) for peak in found]).reshape(-1, 2) - beam
        peaks = peaks[np.hypot(*peaks.T) > 2.0]
        basis, best = self.reader.reference_px, -1
        near = max(NEAR_PX, self.radius_px)
        for turn in TURNS:
            turned = self.reader.reference_px @ rotation(turn)
            orders = np.round(peaks @ np.linalg.inv(turned))
            fits = np.hypot(*(peaks - orders @ turned).T) < near * 0.6
            if int(fits.sum()) > best:
                best, basis, kept, chosen = int(fits.sum()), turned, fits, orders
        if best >= 3 and np.linalg.matrix_rank(chosen[kept]) == 2:
            design = np.concatenate([np.ones((best, 1)), chosen[kept]], axis=1)
            solved = np.linalg.lstsq(design, peaks[kept], rcond=None)[0]
            if np.linalg.cond(solved[1:]) < 20.0:
                basis = solved[1:]
        xx, yy, xy, turn = deformed(basis.ravel(), self.reader.reference_px).tolist()
        order = self._in_nodes(pattern, beam, basis)
        return [self.subject.step_mrad * float(beam[1]), xx, yy, xy, turn, order]

    def _centre(self, pattern: Array, peak: Array, mass_px: float) -> Array:
        reach = math.ceil(mass_px)
        row, column = (int(k) + SIZE // 2 for k in peak)
        part = (slice(max(row - reach, 0), row + reach + 1), slice(max(column - reach, 0), column + reach + 1))
        weight = pattern[part] * (np.hypot(self.rows[part] - peak[0], self.columns[part] - peak[1]) <= mass_px)
        total = float(weight.sum())
        if total <= 0.0:
            return np.asarray(peak, dtype=np.float64)
        return np.array([(weight * self.rows[part]).sum(), (weight * self.columns[part]).sum()]) / total

    def _in_nodes(self, pattern: Array, beam: Array, basis: Array) -> float:
        """The root of what virtual detectors at the nodes count, over that of the beam's."""
        places = np.concatenate([beam[None], beam + self.nodes @ basis])
        away = np.hypot(self.rows - places[:, 0, None, None], self.columns - places[:, 1, None, None])
        inside, beside = away <= self.radius_px, (away > self.radius_px + 0.5) & (away <= self.radius_px + 1.5)
        under = (pattern * beside).sum(axis=(1, 2)) / np.maximum(beside.sum(axis=(1, 2)), 1)
        net = (pattern * inside).sum(axis=(1, 2)) - under * inside.sum(axis=(1, 2))
        return math.sqrt(max(float(net[1:].sum()), 0.0) / max(float(net[0]), 1.0))

    def rings(self, counts: Array) -> dict[str, Array]:
        """The root of what rings at the nodes' distances count, over what the beam's disc does."""
        distances = np.unique(np.hypot(*(self.nodes @ self.reader.reference_px).T).round(1))
        told = []
        for each in counts:
            beam = self._beam(each, self.radius_px + 0.5)
            away = np.hypot(self.rows - beam[0], self.columns - beam[1])
            ring = (np.abs(away[None] - distances[:, None, None]) < self.radius_px).any(axis=0)
            rest = ~ring & (away > 2 * self.radius_px) & (away < distances.max() + 4 * self.radius_px)
            net = each[ring].sum() - each[rest].mean() * ring.sum()
            told.append(math.sqrt(max(float(net), 0.0) / max(float(each[away <= self.radius_px].sum()), 1.0)))
        return {"ordered_nm, calibrated": np.array(told)}
