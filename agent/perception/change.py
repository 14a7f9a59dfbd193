"""Sudden changes in a stream of frames, against a slow reference, with a false-alarm rate that is known beforehand.

A frame is summed into bins (``binned``), and each bin x is compared with its mean m over the frames before. Where the
stream counts quanta, the signed root of the scaled Poisson deviance (McCullagh & Nelder, Generalized Linear Models,
2nd ed., sections 2.3 and 9.2)

    z = sign(x - m) sqrt(2/g (x ln(x/m) - (x - m)) / (1 + q)),   g = variance / mean,

is a standard normal variable also in its far tail, where the plain (x - m)/sd of Poisson counts is not. The gain g is
measured on the stream itself, over all bins; a bin that is noisier than its counts explain (an edge that shakes) keeps
its own variance. q is the variance of the reference in units of that of a frame. Of N bins the largest abs(z) then
passes a limit t by chance in at most N erfc(t / sqrt 2) of all frames (Bonferroni), which gives t for any rate asked.
The whole frame counts as one more bin: a small change of everything shows there.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BINS = 32
"""Bins along either axis, at most."""

BLOCK = 16
"""The reference moves after so many frames, wherever a burst ends: the same frames in any parcels give the same."""

NOISY_SD = 5.0
MOST_PROBABLE = 0.1


def bin_edges(size: int) -> NDArray[np.intp]:
    """Where the bins of an axis of so many pixels begin, and its end: all as wide as each other but the last."""
    width = -(-size // BINS)
    return np.append(np.arange(0, size, width), size)


def binned(frame: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums of a frame (rows, columns) over its bins, (at most 32, at most 32)."""
    sums: NDArray[np.float32] = np.add.reduceat(_summed(frame), bin_edges(frame.shape[1])[:-1], axis=1)
    return sums


def _summed(frame: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums over the bins of the rows; faster than reduceat there."""
    rows, columns = frame.shape
    width = -(-rows // BINS)
    if width == 1:
        return frame
    whole = rows // width
    sums = np.empty((-(-rows // width), columns), dtype=np.float32)
    frame[: whole * width].reshape(whole, width, columns).sum(axis=1, out=sums[:whole])
    if whole < len(sums):
        frame[whole * width :].sum(axis=0, out=sums[whole])
    return sums


def limit_of(rate_per_frame: float, bins: int) -> float:
    """The limit on abs(z) that at most this share of quiet frames passes; one in ten at most can be asked for."""
    return -NormalDist().inv_cdf(min(rate_per_frame, MOST_PROBABLE) / (2.0 * bins))


class Reference:
    """What frames have looked like lately, and how much they vary.

    It learns from the first ``learn`` frames and then follows the stream with a memory of ``memory`` frames. ``counts``
    tells whether values are numbers of quanta times a gain, dark level taken off; for others noise is taken as normal.
    """

    def __init__(self, learn: int, memory: int, counts: bool) -> None:
        self._learn, self._memory, self._counts = max(learn, BLOCK), memory, counts
        self._waiting: list[NDArray[np.float32]] = []
        self._seen = 0
        self._mean: Array | None = None
        self._var: Array
        self._expected: Array
        self._scale: Array
        self._of_mean = 1.0
        self._gain = 1.0

    @property
    def room(self) -> int:
        """How many frames can still be learned from before the reference moves."""
        return (self._learn if self._mean is None else BLOCK) - len(self._waiting)

    @property
    def total(self) -> float:
        """Sum over all bins of the reference; NaN before there is one."""
        return float(self._mean[-1]) if self._mean is not None else math.nan

    def scores(self, bins: NDArray[np.float32]) -> Array:
        """How far frames (n, N) are from the reference: z of each bin and, last, of the whole frame, (n, N + 1).

        NaN before there is a reference.
        """
        values = _with_total(bins)
        return self._deviates(values) if self._mean is not None else np.full(values.shape, np.nan)

    def learn(self, bins: NDArray[np.float32]) -> None:
        """Take in quiet frames (n, N); no more than there is ``room`` for."""
        self._waiting.extend(bins)
        if self.room:
            return
        block = _with_total(np.array(self._waiting))
        self._waiting.clear()
        if self._mean is None:
            self._mean, self._var = block.mean(axis=0), block.var(axis=0, ddof=1)
            self._seen, self._of_mean = len(block), 1.0 / len(block)
        else:
            self._seen += len(block)
            share = len(block) / min(self._seen, self._memory)
            var = np.square(block - self._mean).mean(axis=0) / (1.0 + self._of_mean)
            self._var = self._var + share * (var - self._var)
            self._mean = self._mean + share * (block.mean(axis=0) - self._mean)
            self._of_mean = (1.0 - share) ** 2 * self._of_mean + share**2 / len(block)
        self._prepare(self._mean, self._var)

    def _deviates(self, values: Array) -> Array:
        """Standard normal deviates of bins and whole frames, (n, N + 1), about the reference."""
        if not self._counts:
            return (values - self._expected) * self._scale
        # The deviance of quanta of the size variance / mean: x ln(x/m) - (x - m) is 0 at x = m and never negative.
        np.maximum(values, 1e-30, out=values)
        over = values - self._expected
        deviance = np.log(values / self._expected)
        deviance *= values
        deviance -= over
        deviance *= self._scale
        np.maximum(deviance, 0.0, out=deviance)
        deviates: Array = np.copysign(np.sqrt(deviance, out=deviance), over)
        return deviates

    def _prepare(self, mean: Array, var: Array) -> None:
        """Work out once a block what every frame is compared with: expected values, and the scale of deviations."""
        if not self._counts:
            noise = np.full_like(var, max(float(np.median(var[:-1])), 1e-30))
            noise[-1] *= len(var) - 1
            self._expected = mean
            spread = self._of_noisy(var, noise, 2.0)[0] * (1.0 + self._of_mean)
            self._scale = spread**-0.5
            return
        noisy = np.zeros(len(mean), dtype=bool)
        for _ in range(2):  # the second time without the bins that the first found too noisy
            noisy[-1] = True
            counted = float(mean[~noisy].sum())
            self._gain = (float(var[~noisy].sum()) / counted if counted > 0.0 else 0.0) or 1.0
            # Half a quantum more than was counted: a bin in which nothing was seen yet is not empty for ever.
            self._expected = mean + 0.5 * self._gain * self._of_mean
            # Variance of a sample variance of Poisson counts: (2 + 1/lambda) / n of its square.
            spread, noisy = self._of_noisy(var, self._gain * self._expected, 2.0 + self._gain / self._expected)
        self._scale = 2.0 * self._expected / (spread * (1.0 + self._of_mean))

    def _of_noisy(self, var: Array, explained: Array, kurtosis: Array | float) -> tuple[Array, NDArray[np.bool_]]:
        """Variance of each bin: what is explained, or its own where that is surely more; and where it is."""
        noisy = var > explained * (1.0 + NOISY_SD * np.sqrt(kurtosis * self._of_mean))
        return np.where(noisy, var, explained), noisy


def _with_total(bins: NDArray[np.float32]) -> Array:
    values = np.empty((len(bins), bins.shape[1] + 1))
    values[:, :-1] = bins
    bins.sum(axis=1, dtype=np.float64, out=values[:, -1])
    return values
