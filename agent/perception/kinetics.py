"""The law that particles follow, and its constants from how tracked particles grow.

Growth limited by diffusion and attachment in series: d(r + a)^2/dt = K f(t) (1 + kappa R), with f the driver (it lags
the holder's set point), R the radical level that the beam makes and kappa how it couples; a is the radius below which
attachment limits growth, of a few nm. Nucleation has the same factor, so all that happens is a function of the *drive
time* s = F + kappa X, F = int f dt, X = int f R dt: with the beam off a place at time t is what it was with the beam on
when s was F(t).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from agent.perception.scan import Array

LAG_S = 20.0
BIRTH_RADIUS_NM = 1.0
# No radius is better known than this share of itself: particles are no ideal balls.
COMMON_SHARE = 0.01
JUMP = 3.0
# Tracks that grow at rates so far from the usual one do not follow the law.
UNLAWFUL_SHARE = 0.5
LEAST_WAIT_S, LEAST_SLOPES, USUAL_SHARE = 20.0, 12, 0.1
# Radii of one image are all off by this share (focus, current, background).
IMAGE_SD = 0.015
# Brightness that is wrong from the start makes all squared radii wrong by this share, and the rate with them.
SCALE_SD = 0.01
# Residuals of radii are heavier-tailed than Gaussian and shared within images.
TAILS = 1.5
GRID = 160
DEFAULT_RATE = (1.65, 0.65)
DEFAULT_COUPLING = (1.2, 0.62)
# What is known of a before anything is seen, in nm.
REACTION_NM = (5.0, 6.0)
# By how much a looks larger than it is, in nm: ripening slows what is small, and what is large swallows what is unseen.
# Found on whole runs of the growth world, seeds 3000-3014, raster and bayes: 3.2 with a standard deviation of 1.6, of
# which half is told by the sd of the rate.
APPARENT_NM = (3.1, 1.3)
# Estimates of a, each around the one before.
PASSES = 3
# Errors common to all tracks: of every radius in nm, a being one, and by how much brightness, as a share, has changed
# by 600 s.
NUISANCE_SD = (math.hypot(0.15, REACTION_NM[1]), 0.01)

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
    """The law that particles seem to follow: K in nm^2/s and kappa, each as mean and standard deviation, and a in nm.

    ``typical_nm`` is the mean radius of what it was read from.
    """

    rate: Moments
    coupling: Moments
    reaction_nm: float = 0.0
    typical_nm: float = math.inf

    def diffusive(self) -> Moments:
        """K of diffusion alone: that of the same growth at typical radii, with a as large as it is."""
        mean, sd = self.rate
        offset, offset_sd = (each / (self.typical_nm + self.reaction_nm) for each in APPARENT_NM)
        return mean * (1.0 - offset), math.hypot(sd, mean * offset_sd)

    def square(self, radius_nm: Array) -> Array:
        """(r + a)^2 in nm^2, which grows evenly in drive time."""
        return np.asarray((radius_nm + self.reaction_nm) ** 2)

    def radius_nm(self, square_nm2: Array) -> Array:
        """The radius at such a square, no smaller than that of a nucleus."""
        least = (BIRTH_RADIUS_NM + self.reaction_nm) ** 2
        return np.asarray(np.sqrt(np.maximum(square_nm2, least)) - self.reaction_nm)


@dataclass(frozen=True)
class History:
    """What one track was seen as: (n,) driver time and radical time in s, radius and its sd in nm, image number."""

    driver_s: Array
    radical_s: Array
    radius_nm: Array
    sd_nm: Array
    image: NDArray[np.intp]


def grow(histories: list[History], rate: Moments, coupling: Moments) -> Growth:
    """Posterior of K and kappa from the growth of tracks, with log-normal priors of given mean and sd.

    Each track has an unknown start; where its size jumps (a merger, a mix-up) it starts again.
    """
    around = np.array([rate[0], rate[0] * coupling[0]])
    around_sd = np.array([rate[1], math.hypot(rate[0] * coupling[1], rate[1] * coupling[0])])
    reaction_nm = REACTION_NM[0]
    for _ in range(PASSES):
        matrix, vector = _normal(histories, rate, reaction_nm)
        # Errors that tracks share are known only by their size: eliminate them.
        own, shared = matrix[:2, :2], matrix[:2, 2:]
        sds = np.array([*NUISANCE_SD, *[IMAGE_SD] * (len(vector) - 4)])
        solved = np.linalg.solve(matrix[2:, 2:] + np.diag(sds**-2.0), np.column_stack([shared.T, vector[2:]]))
        left, right = own - shared @ solved[:, :2], vector[:2] - shared @ solved[:, 2]
        constants = np.linalg.solve(left + np.diag(around_sd**-2.0), right + around / around_sd**2)
        # Squares around a wrong a are wrong by what all radii would do that are wrong by as much.
        reaction_nm = max(REACTION_NM[0] - float(solved[0, 2] - solved[0, :2] @ constants), 0.0)
    typical_nm = float(np.mean(np.concatenate([h.radius_nm for h in histories]))) if histories else math.inf
    return replace(_posterior(left, right, rate, coupling), reaction_nm=reaction_nm, typical_nm=typical_nm)


def _normal(histories: list[History], rate: Moments, reaction_nm: float) -> tuple[Array, Array]:
    """Normal equations of K, K kappa and what tracks share, (2 + n, 2 + n) and (2 + n,), with a near its estimate."""
    usual = _usual_rate(histories, rate, reaction_nm)
    images = 1 + max((int(h.image.max()) for h in histories if h.image.size), default=-1)
    matrix, vector = np.zeros((4 + images,) * 2), np.zeros(4 + images)
    for history in histories:
        for part in _segments(history, usual, reaction_nm):
            radius = history.radius_nm[part]
            wide = radius + reaction_nm
            weight = 1.0 / (2.0 * wide * np.hypot(history.sd_nm[part], COMMON_SHARE * radius) * TAILS + 0.5) ** 2
            design, columns = _design(history, part, weight, usual[0], reaction_nm)
            # The nuisance of all radii is counted from where a is what is known of it before.
            y = wide**2 - (reaction_nm - REACTION_NM[0]) * design[2]
            design = design - (design * weight).sum(axis=1, keepdims=True) / weight.sum()
            y = y - (y * weight).sum() / weight.sum()
            matrix[np.ix_(columns, columns)] += (design * weight) @ design.T
            vector[columns] += (design * weight) @ y
    return matrix, vector


def _usual_rate(histories: list[History], rate: Moments, reaction_nm: float) -> Moments:
    """The median of how fast (r + a)^2 grows between sightings, with the spread allowed around it.

    Mergers and mix-ups are outliers that a median does not mind.
    """
    slopes = []
    for h in histories:
        waited = np.diff(h.driver_s)
        grown = np.diff((h.radius_nm + reaction_nm) ** 2)
        slopes.append((grown / np.maximum(waited, 1e-9))[waited > LEAST_WAIT_S])
    every = np.concatenate(slopes) if slopes else np.zeros(0)
    if every.size < LEAST_SLOPES:
        return rate
    usual = float(np.median(every))
    return (usual, USUAL_SHARE * usual) if usual > 0.0 else rate


def _design(
    history: History, part: slice, weight: Array, rate: float, reaction_nm: float
) -> tuple[Array, NDArray[np.intp]]:
    """What (r + a)^2 depends on, (4 + n, n), and the numbers of these columns: F, X, errors by NUISANCE_SD, images.

    Errors are taken at radii as the law would have them, since measured ones share their noise with what is explained.
    """
    radius, drive = history.radius_nm[part], history.driver_s[part]
    middle = float((weight * drive).sum() / weight.sum())
    square = float((weight * (radius + reaction_nm) ** 2).sum() / weight.sum()) + rate * (drive - middle)
    wide = np.sqrt(np.maximum(square, (BIRTH_RADIUS_NM + reaction_nm) ** 2))
    radius = wide - reaction_nm
    common = np.stack([drive, history.radical_s[part], 2.0 * radius, radius * wide * drive / 600.0])
    columns = np.concatenate([np.arange(4), 4 + history.image[part]])
    return np.concatenate([common, np.diag(2.0 * radius * wide)]), columns


def _segments(history: History, rate: Moments, reaction_nm: float) -> list[slice]:
    """Parts of a history in which (r + a)^2 grows without jumps; those with one sighting are left out."""
    wide = history.radius_nm + reaction_nm
    sd = 2.0 * wide * np.hypot(history.sd_nm, COMMON_SHARE * history.radius_nm) + 0.5
    waited = np.diff(history.driver_s + DEFAULT_COUPLING[0] * history.radical_s)
    allowed = JUMP * np.hypot(sd[1:], sd[:-1]) + 2.0 * rate[1] * waited
    breaks = np.flatnonzero(np.abs(np.diff(wide**2) - rate[0] * waited) > allowed) + 1
    edges = [0, *breaks.tolist(), wide.size]
    parts = [slice(a, b) for a, b in pairwise(edges) if b - a >= 2]
    drive = history.driver_s + DEFAULT_COUPLING[0] * history.radical_s
    return [part for part in parts if _lawful(drive[part], wide[part] ** 2, sd[part], rate[0])]


def _lawful(drive_s: Array, square_nm2: Array, sd_nm2: Array, rate: float) -> bool:
    """Whether squares grow neither much faster nor much slower than others do: debris that was believed does not."""
    weight = sd_nm2**-2.0
    from_middle = drive_s - (weight * drive_s).sum() / weight.sum()
    spread = float((weight * from_middle**2).sum())
    slope = float((weight * from_middle * square_nm2).sum()) / spread if spread > 0.0 else rate
    allowed = UNLAWFUL_SHARE * rate + JUMP * max(spread, 1e-12) ** -0.5
    return bool(abs(slope - rate) < allowed)


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
    (k_mean, k_sd), coupled = moments
    return Growth(rate=(k_mean, math.hypot(k_sd, SCALE_SD * k_mean)), coupling=coupled)


def _log_normal(moments: Moments, n: int) -> tuple[Array, Array]:
    """Grid values, even in the logarithm, and ln prior of each, of a log-normal with given mean and sd."""
    sigma2 = math.log1p((moments[1] / moments[0]) ** 2)
    mu, sigma = math.log(moments[0]) - 0.5 * sigma2, math.sqrt(sigma2)
    z = np.linspace(-3.5, 3.5, n)
    return np.exp(mu + sigma * z), -0.5 * z**2
