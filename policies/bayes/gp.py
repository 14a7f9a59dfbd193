"""Exact Gaussian-process inference that grows by one measurement at a time, in float64.

The Cholesky factor is appended to, never computed again, and the posterior at a fixed set of *watched* points is kept
up to date with it: an append costs O(n^2 + n m) for n measurements and m watched points. A measurement is a weighted
sum of the latent value at a few points, with known noise. Notation: n measurements, m watched points, c candidates, d
columns of a point. Rasmussen and Williams, Gaussian Processes for Machine Learning, section 2.2 and appendix A.3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from policies.bayes.kernel import Array, Kernel

FIRST_CAPACITY = 64
LEAST_VARIANCE_SHARE = 1e-10


@dataclass(frozen=True)
class Block:
    """The joint posterior of points: ``mean`` (c,), ``cov`` (c, c), and ``cross`` (c, m) with the watched points."""

    mean: Array
    cov: Array
    cross: Array


class GaussianProcess:
    """A belief about one latent function with zero prior mean; values are residuals from whatever mean the caller has.

    ``watched`` (m, d) are the points whose posterior ``mean`` (m,) and ``var`` (m,) are always at hand.
    """

    def __init__(self, kernel: Kernel, watched: Array) -> None:
        self.kernel = kernel
        self.watched = np.atleast_2d(np.asarray(watched, dtype=np.float64))
        self.n = 0
        self.mean = np.zeros(len(self.watched))
        self.var = kernel.variance(self.watched)
        self._points = np.empty((0, self.watched.shape[1]))
        self._weights = np.empty(0)
        self._starts = np.empty(0, dtype=np.intp)
        self._lower = np.empty((0, 0))
        self._white = np.empty(0)
        self._cached = np.empty((0, len(self.watched)))

    def append(self, point: Array, value: float, noise_var: float, least_nats: float = 0.0) -> bool:
        """Learn from a measurement of the latent value at one point, (d,), with Gaussian noise of known variance.

        Returns False, and learns nothing, where the measurement tells less than ``least_nats`` about what it measures.
        """
        return self.append_sum(point[None, :], np.ones(1), value, noise_var, least_nats)

    def append_sum(
        self, points: Array, weights: Array, value: float, noise_var: float, least_nats: float = 0.0
    ) -> bool:
        """Learn from a measurement of sum_i weights_i f(points_i), (k, d) and (k,), with noise of known variance.

        Raises:
            ValueError: value or noise is not finite, or the noise is negative.
        """
        if not (np.isfinite(value) and np.isfinite(noise_var) and noise_var >= 0.0):
            raise ValueError(f"a measurement needs a finite value and noise_var >= 0, not {value} and {noise_var}")
        n = self.n
        self._reserve(n + 1)
        with_old = self._functional(self.kernel(self._points, points) @ weights)
        own = float(weights @ self.kernel(points, points) @ weights)
        row = self._whiten(with_old)
        pivot2 = max(own + noise_var - float(row @ row), LEAST_VARIANCE_SHARE * (own + noise_var))
        # 0.5 ln(variance of the measurement / of its noise) is the information it carries, in nats.
        if least_nats and math.log(pivot2) - math.log(max(noise_var, 1e-300)) < 2.0 * least_nats:
            return False
        pivot = math.sqrt(pivot2)
        self._lower[n, :n], self._lower[n, n] = row, pivot
        self._white[n] = (value - row @ self._white[:n]) / pivot
        on_watched = (weights @ self.kernel(points, self.watched) - row @ self._cached[:n]) / pivot
        self._cached[n] = on_watched
        self.mean += on_watched * self._white[n]
        self.var = np.maximum(self.var - on_watched**2, 0.0)
        self._starts = np.append(self._starts, len(self._points))
        self._points = np.concatenate([self._points, points])
        self._weights = np.concatenate([self._weights, weights])
        self.n = n + 1
        return True

    def block(self, points: Array) -> Block:
        """Return the joint posterior of points (c, d) and their covariance with the watched points."""
        cov, cross = self.kernel(points, points), self.kernel(points, self.watched)
        if not self.n:
            return Block(mean=np.zeros(len(points)), cov=cov, cross=cross)
        white = self._whiten(self._functional(self.kernel(self._points, points)))
        return Block(
            mean=white.T @ self._white[: self.n],
            cov=cov - white.T @ white,
            cross=cross - white.T @ self._cached[: self.n],
        )

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Return posterior mean and variance, (c,) each, of the latent value at points (c, d)."""
        var = self.kernel.variance(points)
        if not self.n:
            return np.zeros(len(points)), var
        white = self._whiten(self._functional(self.kernel(self._points, points)))
        return white.T @ self._white[: self.n], np.maximum(var - np.einsum("ic,ic->c", white, white), 0.0)

    def _whiten(self, right: Array) -> Array:
        """Solve L x = right, (n,) or (n, c), without copying L out of its buffer: LAPACK sees it transposed."""
        if not self.n:
            return right
        solution, _ = lapack.dtrtrs(self._lower.T[:, : self.n], right, lower=0, trans=1)
        return np.asarray(solution)

    def _functional(self, on_points: Array) -> Array:
        """Sum rows of stored points, (k, ...), into rows of measurements, (n, ...)."""
        if not self.n:
            return np.zeros((0, *on_points.shape[1:]))
        weighted = self._weights.reshape(-1, *[1] * (on_points.ndim - 1)) * on_points
        return np.asarray(np.add.reduceat(weighted, self._starts, axis=0))

    def _reserve(self, n: int) -> None:
        held = len(self._white)
        if n <= held:
            return
        size = max(FIRST_CAPACITY, 2 * held)
        lower, white, cached = np.zeros((size, size)), np.zeros(size), np.zeros((size, len(self.watched)))
        lower[:held, :held], white[:held], cached[:held] = self._lower, self._white, self._cached
        self._lower, self._white, self._cached = lower, white, cached
