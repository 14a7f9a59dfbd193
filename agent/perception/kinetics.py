"""The law that particles follow, and its constants from how tracked particles grow.

Growth limited by diffusion: d(r^2)/dt = K f(t) (1 + kappa R), with f the driver (it lags the holder's set point), R the
radical level that the beam makes and kappa how it couples. Nucleation has the same factor, so all that happens is a
function of the *drive time* s = F + kappa X, F = int f dt, X = int f R dt: with the beam off a place at time t is what
it was with the beam on when s was F(t).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from agent.perception.scan import Array

LAG_S = 20.0
BIRTH_RADIUS_NM = 1.0
# Radii of one image are off together by this share of themselves (brightness, focus).
COMMON_SHARE = 0.015
JUMP = 4.0
# Residuals of radii are heavier-tailed than Gaussian and shared within images.
TAILS = 1.3
GRID = 80
DEFAULT_RATE = (1.65, 0.65)
DEFAULT_COUPLING = (1.2, 0.62)

Moments = tuple[float, float]


def driver_s(time_s: Array | float) -> Array:
    """F(t), s: the driver's integral where the holder was set at time 0 and is followed with a lag."""
    t = np.maximum(np.asarray(time_s, dtype=np.float64), 0.0)
    return np.asarray(t + LAG_S * np.expm1(-t / LAG_S))


def driver(time_s: float) -> float:
    """f(t): the driver at a time, 1 in the end."""
    return -math.expm1(-max(time_s, 0.0) / LAG_S)


@dataclass(frozen=True)
class Growth:
    """Posterior of K in nm^2/s and of kappa, each as mean and standard deviation."""

    rate: Moments
    coupling: Moments


@dataclass(frozen=True)
class History:
    """What one track was seen as: (n,) driver time and radical time in s, radius and its sd in nm."""

    driver_s: Array
    radical_s: Array
    radius_nm: Array
    sd_nm: Array


def grow(histories: list[History], rate: Moments, coupling: Moments) -> Growth:
    """Posterior of K and kappa from the growth of tracks, with log-normal priors of given mean and sd.

    Each track has an unknown start; where its volume jumps (a merger, a mix-up) it starts again.
    """
    matrix, vector = np.zeros((2, 2)), np.zeros(2)
    for history in histories:
        for part in _segments(history, rate):
            design = np.stack([history.driver_s[part], history.radical_s[part]])
            y, sd = history.radius_nm[part] ** 2, history.sd_nm[part]
            radius = history.radius_nm[part]
            weight = 1.0 / (2.0 * radius * np.hypot(sd, COMMON_SHARE * radius) * TAILS + 0.5) ** 2
            design = design - (design * weight).sum(axis=1, keepdims=True) / weight.sum()
            y = y - (y * weight).sum() / weight.sum()
            matrix += (design * weight) @ design.T
            vector += (design * weight) @ y
    return _posterior(matrix, vector, rate, coupling)


def _segments(history: History, rate: Moments) -> list[slice]:
    """Parts of a history in which the squared radius grows without jumps; those with one sighting are left out."""
    y = history.radius_nm**2
    sd = 2.0 * history.radius_nm * np.hypot(history.sd_nm, COMMON_SHARE * history.radius_nm) + 0.5
    waited = np.diff(history.driver_s + DEFAULT_COUPLING[0] * history.radical_s)
    allowed = JUMP * np.hypot(sd[1:], sd[:-1]) + 2.0 * rate[1] * waited
    breaks = np.flatnonzero(np.abs(np.diff(y) - rate[0] * waited) > allowed) + 1
    edges = [0, *breaks.tolist(), y.size]
    return [slice(a, b) for a, b in pairwise(edges) if b - a >= 2]


def _posterior(matrix: Array, vector: Array, rate: Moments, coupling: Moments) -> Growth:
    """Moments of K and kappa on a grid: quadratic likelihood of (K, K kappa) times log-normal priors."""
    axes = [_log_normal(m, GRID) for m in (rate, coupling)]
    k, kappa = axes[0][0][:, None], axes[1][0][None, :]
    misfit = matrix[0, 0] * k**2 + 2.0 * matrix[0, 1] * k**2 * kappa + matrix[1, 1] * (k * kappa) ** 2
    ln = vector[0] * k + vector[1] * k * kappa - 0.5 * misfit + axes[0][1][:, None] + axes[1][1][None, :]
    weight = np.exp(ln - ln.max())
    weight /= weight.sum()
    moments = []
    for values, share in ((axes[0][0], weight.sum(axis=1)), (axes[1][0], weight.sum(axis=0))):
        mean = float(share @ values)
        # No finer than the grid.
        cell = float(np.interp(mean, values, np.gradient(values)))
        moments.append((mean, math.sqrt(float(share @ (values - mean) ** 2) + cell**2 / 12.0)))
    return Growth(rate=moments[0], coupling=moments[1])


def _log_normal(moments: Moments, n: int) -> tuple[Array, Array]:
    """Grid values, even in the logarithm, and ln prior of each, of a log-normal with given mean and sd."""
    sigma2 = math.log1p((moments[1] / moments[0]) ** 2)
    mu, sigma = math.log(moments[0]) - 0.5 * sigma2, math.sqrt(sigma2)
    z = np.linspace(-3.5, 3.5, n)
    return np.exp(mu + sigma * z), -0.5 * z**2
