"""How wide columns look and where a lattice's origin lies: from how its harmonics fade and what their phases are."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from agent.perception.lattice import Complex, Lattice, coefficients
from agent.perception.scan import Array

SD_nm, SD_ln = 0.06, 0.35
TAIL, TAIL_SD, WIDER, WIDER_ln = 0.25, 0.15, 2.2, 0.25
"""What is believed of columns beforehand: a core this wide, and a share of them that is wider by a factor."""

LEAN_SD, RATIO_ln, NOTHING_SD, ALIKE = 0.3, 0.01, 0.002, 0.03
"""Of the core's ellipse, of the ratio of heavy to light columns, and of what the mean holds besides columns.

No probe is of such a shape to better than the last as a share of each harmonic.
"""

STEPS = 18
MOST = np.array([np.inf, np.inf, 0.3, 1.5, 0.65, 0.65, 0.24, 0.6, 0.3])
"""How far the shape may be from what is believed of it: origin (2), ratio, width, ellipse (2), tail (2), background."""


@dataclass(frozen=True)
class Shape:
    """Columns as seen: a Gaussian core of covariance ``core_nm2`` (2, 2), and a tail that holds ``tail`` of it.

    The tail is ``wider`` by a factor. ``places`` (2, 2) are a heavy and a light column in pixels, ``heights`` (2,)
    the counts of full ones, ``background`` counts a pixel.
    """

    core_nm2: Array
    tail: float
    wider: float
    places: Array
    heights: Array
    background: float

    @property
    def sd_nm(self) -> float:
        """Standard deviation of the core along one axis, mean of both."""
        return float(math.sqrt(np.trace(self.core_nm2) / 2))

    def drawn(self, rows: Array, columns: Array, pixel_nm: float) -> Array:
        """Columns (n, P, P) of unit sum at rows (n, P) and columns (n, P) off their middles, in pixels."""
        image = np.zeros((*rows.shape, columns.shape[1]))
        for share, scale in ((1.0 - self.tail, 1.0), (self.tail, self.wider)):
            inverse = np.linalg.inv(self.core_nm2 * scale**2) * pixel_nm**2
            norm = share * math.sqrt(float(np.linalg.det(inverse))) / (2.0 * math.pi)
            tilt = -inverse[0, 1] * rows[:, :, None] * columns[:, None, :]
            own = [-0.5 * inverse[k, k] * axis**2 for k, axis in enumerate((rows, columns))]
            image += norm * np.exp(own[0][:, :, None] + own[1][:, None, :] + tilt)
        return image

    def transfer(self, per_nm: Array) -> Array:
        """What is left of frequencies (m, 2), (m,)."""
        square = 2.0 * math.pi**2 * np.einsum("mi,ij,mj->m", per_nm, self.core_nm2, per_nm)
        return np.asarray((1.0 - self.tail) * np.exp(-square) + self.tail * np.exp(-square * self.wider**2))


def find_shape(counts: Array, lattice: Lattice, pixel_nm: float, ratio: float) -> Shape:
    """The shape of columns and where the two sublattices lie, heavy columns being ``ratio`` times as bright, about."""
    orders = lattice.harmonics()
    mean = max(float(counts.mean()), 1e-9)
    seen = coefficients(counts - mean, lattice.reciprocal, orders)
    noise = np.hypot(math.sqrt(1.5**2 * mean / counts.size), ALIKE * np.abs(seen))
    per_nm = orders @ lattice.reciprocal / pixel_nm
    area = abs(float(np.linalg.det(lattice.edges)))
    origin, hand = _origin(seen, orders, ratio)
    beside = np.array([1.0, 2.0]) / 3.0 if hand else np.array([2.0, 1.0]) / 3.0

    def made(x: Array) -> Shape:
        x = np.clip(x, -MOST, MOST)
        sd = math.exp(x[3]) * SD_nm
        core = sd**2 * np.array([[1.0 + x[4], x[5]], [x[5], 1.0 - x[4]]])
        light = mean * area * (1.0 - x[8]) / (1.0 + ratio * math.exp(x[2]))
        places = np.stack([x[:2], x[:2] + beside]) @ lattice.edges
        heights = light * np.array([ratio * math.exp(x[2]), 1.0])
        return Shape(core, TAIL + x[6], WIDER * math.exp(x[7]), places, heights, mean * x[8])

    sds = np.array([np.inf, np.inf, RATIO_ln, SD_ln, LEAN_SD, LEAN_SD, TAIL_SD, WIDER_ln, NOTHING_SD])

    def off(x: Array) -> Array:
        shape = made(x)
        waves = np.exp(-2j * np.pi * (orders @ np.stack([x[:2], x[:2] + beside]).T))
        left = (shape.transfer(per_nm) * (waves @ shape.heights) / area - seen) / noise
        return np.concatenate([left.real, left.imag, x / sds])

    start = np.array([*origin, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    return made(least_squares(off, start, method="lm", max_nfev=120).x)


def _origin(seen: Complex, orders: NDArray[np.int_], ratio: float) -> tuple[Array, bool]:
    """Where in the cell, in parts of its edges, heavy columns are, and on which side of them light ones: by trial."""
    best, found = -math.inf, (np.zeros(2), True)
    steps = np.arange(STEPS) / STEPS
    grid = np.array(list(itertools.product(steps, steps)))
    turned = np.exp(2j * np.pi * grid @ orders.T)
    for hand in (True, False):
        beside = np.array([1.0, 2.0]) / 3.0 if hand else np.array([2.0, 1.0]) / 3.0
        motif = ratio + np.exp(-2j * np.pi * (orders @ beside))
        match = (turned * seen * motif.conj()).real.sum(axis=1) / float(np.linalg.norm(motif))
        if match.max() > best:
            best, found = float(match.max()), (grid[int(match.argmax())], hand)
    return found
