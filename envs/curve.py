"""How scores depend on dose, and how sure a comparison is: areas under the curve, paired bootstrap, closed gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

SHARES = (0.125, 0.25, 0.5, 1.0)
RESAMPLES = 10_000
HEADROOM = 0.1


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def area(scores: ArrayLike, shares: Sequence[float] = SHARES) -> Array:
    """Area under the score over log2(share of the budget), (...,) from (..., shares), divided by the span.

    Four budgets that double span 3, so a constant score is its own area (DEC-AUC).
    """
    x = np.log2(np.asarray(shares, dtype=np.float64))
    y = np.asarray(scores, dtype=np.float64)
    return np.asarray(np.trapezoid(y, x, axis=-1) / (x[-1] - x[0]))


def interval(values: ArrayLike, seed: int = 0) -> Interval:
    """Mean of values (seeds,) with the percentile interval of a seeded bootstrap over seeds.

    Give it paired differences, seed by seed, to compare two policies.
    """
    sample = np.asarray(values, dtype=np.float64)
    picks = np.random.default_rng(seed).integers(0, len(sample), (RESAMPLES, len(sample)))
    low, high = np.percentile(sample[picks].mean(axis=1), [2.5, 97.5])
    return Interval(float(sample.mean()), float(low), float(high))


def closed(policy: ArrayLike, baseline: ArrayLike, clairvoyant: ArrayLike, seed: int = 0) -> Interval | None:
    """Share of the gap between the best baseline and the clairvoyant that a policy closes, from paired scores (seeds,).

    None where the gap is under 0.1: such a world has no headroom and nothing to close.
    """
    ours, theirs, best = (np.asarray(a, dtype=np.float64) for a in (policy, baseline, clairvoyant))
    gap = float((best - theirs).mean())
    if gap < HEADROOM:
        return None
    picks = np.random.default_rng(seed).integers(0, len(ours), (RESAMPLES, len(ours)))
    gaps = (best - theirs)[picks].mean(axis=1)
    shares = (ours - theirs)[picks].mean(axis=1) / np.where(np.abs(gaps) > 1e-9, gaps, np.nan)
    low, high = np.nanpercentile(shares, [2.5, 97.5])
    return Interval(float((ours - theirs).mean() / gap), float(low), float(high))
