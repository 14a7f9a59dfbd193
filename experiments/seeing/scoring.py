"""How what was found compares with what is there: pairs, F1, errors, and intervals by resampling scenes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Array = NDArray[np.float64]
Ints = NDArray[np.intp]

RESAMPLED, NINETY = 1000, 1.6449


def matched(found: Array, true: Array, reach: Array) -> tuple[Ints, Ints]:
    """Indices of pairs of found (n, 2) and true (m, 2) places, nearest first, within the reach (m,) of the true."""
    if not len(found) or not len(true):
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
    apart, which = cKDTree(true).query(found, k=min(4, len(true)))
    apart, which = (np.reshape(each, (len(found), -1)) for each in (apart, which))
    order = np.argsort(apart, axis=None)
    own, other = np.unravel_index(order, apart.shape)[0], which.ravel()[order]
    pairs, taken, used = [], set(), set()
    for n, m, gap in zip(own.tolist(), other.tolist(), apart.ravel()[order].tolist(), strict=True):
        if gap <= reach[m] and n not in used and m not in taken:
            pairs.append((n, m))
            used.add(n)
            taken.add(m)
    left = np.array(pairs, dtype=np.intp).reshape(-1, 2)
    return left[:, 0], left[:, 1]


def f1(right: float, false: float, missed: float) -> float:
    """F1 of so many right, false and missed ones; 1 where there is nothing and nothing is claimed."""
    return 2 * right / (2 * right + false + missed) if right + false + missed else 1.0


def bootstrap(statistic: Callable[[Ints], float], scenes: int, seed: int = 0) -> tuple[float, float]:
    """A 95 % interval of a statistic of scenes, which are drawn again with replacement; paired if it uses them so."""
    random = np.random.default_rng(seed)
    drawn = [statistic(random.integers(scenes, size=scenes)) for _ in range(RESAMPLED)]
    finite = [each for each in drawn if np.isfinite(each)]
    low, high = np.percentile(finite, [2.5, 97.5]) if finite else (np.nan, np.nan)
    return float(low), float(high)


def covered(z: Sequence[float] | Array) -> float:
    """Share of 90 % intervals that hold the truth, from errors in units of their standard deviation."""
    return float(np.mean(np.abs(np.asarray(z)) <= NINETY)) if len(z) else float("nan")
