"""What is learned of errors: how large they are, and how they hang together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def sd_about_0(z: Array) -> float:
    """Standard deviation about 0 of what is there; 1 where nothing is."""
    there = z[np.isfinite(z)]
    return float(np.sqrt((there**2).mean())) if there.size else 1.0


def shared(errors: Sequence[tuple[NDArray[np.int_], NDArray[np.int_], Array]], field: int) -> tuple[float, float]:
    """Mean product of standardised errors of two readings of the same cell, and of other cells of the same world."""
    seed, cell, z = (
        np.concatenate(column) for column in zip(*((s, c, e[:, field]) for s, c, e in errors), strict=True)
    )
    whole = np.isfinite(z)
    same, other = [0.0, 0.0], [0.0, 0.0]
    for one in np.unique(seed[whole]):
        rows = whole & (seed == one)
        own = np.clip(z[rows], -4, 4)
        product = own[:, None] * own
        alike = cell[rows][:, None] == cell[rows]
        off = ~np.eye(len(own), dtype=bool)
        for sums, chosen in ((same, alike & off), (other, ~alike)):
            sums[0] += float(product[chosen].sum())
            sums[1] += float(chosen.sum())
    shares = [min(max(total / max(count, 1.0), 0.0), 0.95) for total, count in (same, other)]
    return max(shares), min(shares[1], shares[0])
