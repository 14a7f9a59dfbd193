"""Virtual detectors and the centre of mass of diffraction patterns, as rows of a scan come in.

A detector is what lies between two angles about the beam. One product with a table of all detectors and both moments
makes of each pattern its counts and its centre of mass; patterns that hold no counts or no numbers have none (NaN).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class VirtualImages:
    """Counts of each detector (..., D), all counts (...,), and the centre of mass (..., 2), x and y, with sds."""

    counts: Array
    total: Array
    centre_mrad: Array
    centre_sd_mrad: Array


class VirtualDetectors:
    """Detectors between angles (inner, outer) in mrad, for patterns (K, K) whose pixels are ``step_mrad`` wide.

    The centre of mass is of what lies within ``within_mrad``: far out there are few electrons and long levers.

    Raises:
        ValueError: an angle is negative, or a detector's inner one not the smaller.
    """

    def __init__(
        self, size: int, step_mrad: float, bands_mrad: Sequence[tuple[float, float]], within_mrad: float
    ) -> None:
        for inner, outer in bands_mrad:
            if not 0.0 <= inner < outer:
                raise ValueError(f"bands_mrad {inner:g} to {outer:g}: rising, from 0")
        self.size = size
        along = step_mrad * (np.arange(size) - size // 2)
        y, x = np.meshgrid(along, along, indexing="ij")
        away = np.hypot(x, y)
        near = away <= within_mrad
        masks = [(away >= inner) & (away < outer) for inner, outer in bands_mrad]
        moments = [near, near * x, near * y, near * x * x, near * y * y]
        table = np.stack([*masks, np.ones_like(away), *moments]).reshape(len(bands_mrad) + 6, -1)
        self._table = np.ascontiguousarray(table.T, dtype=np.float64)
        self._bands = len(bands_mrad)

    def __call__(self, patterns: NDArray[np.generic]) -> VirtualImages:
        """Measure patterns (..., K, K), counted in electrons.

        Raises:
            ValueError: they are of another size.
        """
        if patterns.ndim < 2 or patterns.shape[-2:] != (self.size, self.size):
            raise ValueError(f"patterns of shape {patterns.shape}: the last two must be {self.size}, {self.size}")
        flat = np.asarray(patterns, dtype=np.float64).reshape(*patterns.shape[:-2], -1)
        sums = flat @ self._table
        near = sums[..., self._bands + 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            moments = sums[..., self._bands + 2 :] / np.where(near > 0.0, near, np.nan)[..., None]
            centre = moments[..., :2]
            # Of n electrons scattered by their spread; of few of them the spread itself is not known.
            spread = np.maximum(moments[..., 2:] - centre**2, 0.0) / np.maximum(near - 1.0, 1.0)[..., None]
        return VirtualImages(sums[..., : self._bands], sums[..., self._bands], centre, np.sqrt(spread))
