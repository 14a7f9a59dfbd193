"""The space-time process in state-space form: exact at standing places, at the same cost however many readings came.

In time the kernel is exponential, so the field is a Markov process (an Ornstein-Uhlenbeck process at every place,
correlated between them): all that readings told is in mean and covariance at the newest of their times, and a forecast
fades from there towards the prior. What readings have told is P = K - D, K the prior covariance and D what is known
(Hartikainen and Särkkä, MLSP 2010; Särkkä, Solin and Hartikainen, IEEE Signal Process. Mag. 30(4), 51, 2013).
Neither form nor places are approximations: the posterior is that of the exact process. Notation: m places, Q outputs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policies.bayes.kernel import Array, SpaceTimeKernel
from policies.bayes.known import Known

LEAST_VARIANCE_SHARE = 1e-10


@dataclass(frozen=True)
class Reading:
    """A measurement at one place: what it says of a weighted sum of the outputs there, with noise of known variance.

    ``weights`` has one number for each output: what a mode responds to, and how much.
    """

    place: int
    t_s: float
    value: float
    noise_var: float
    weights: tuple[float, ...] = (1.0,)


@dataclass(frozen=True)
class Forecast:
    """The posterior of all outputs at all places, each at its time: ``mean`` (Q, m) and ``cov`` (Q, Q, m)."""

    mean: Array
    cov: Array


class StateSpaceProcess:
    """A belief about Q outputs at m places, with zero prior mean; its time only moves forward.

    The prior covariance of output p here and now with q there and then is ``together[p, q]`` times the kernel (the
    intrinsic model of coregionalisation). Every output is a local part, which fades, and a level of its own that all
    places and times have in common.
    """

    def __init__(self, kernel: SpaceTimeKernel, places: Array, together: Array | None = None) -> None:
        self.kernel = kernel
        # (m, 2) nm, and (Q, Q).
        self.places = np.atleast_2d(np.asarray(places, dtype=np.float64))
        self.together = np.ones((1, 1)) if together is None else np.atleast_2d(np.asarray(together, dtype=np.float64))
        outputs, places_n = len(self.together), len(self.places)
        _check_together(self.together)
        self.outputs = outputs
        self.t_s = -math.inf
        self.n = 0
        self._local_var = kernel.variance_factor * (1.0 - kernel.shared_share)
        self._level_var = kernel.variance_factor * kernel.shared_share
        self._mean, self._level = np.zeros((outputs, places_n)), np.zeros(outputs)
        # What is known: of the local parts, of local parts with levels, of levels; and of outputs at one place.
        self._known = Known(outputs * places_n)
        self._with_level = np.zeros((outputs, places_n, outputs))
        self._of_level = np.zeros((outputs, outputs))
        self._here = np.zeros((outputs, outputs, places_n))

    def append(self, reading: Reading) -> None:
        """Learn from a reading.

        Raises:
            ValueError: it is of an earlier time than one before, of no place, or not finite.
        """
        self._check(reading)
        self._advance(reading.t_s)
        weights, place = np.array(reading.weights), reading.place
        together = self.together @ weights
        local = np.outer(together, self._local_var * self._near(place))
        local -= self._with_level @ weights
        level = self._level_var * together - self._of_level @ weights - weights @ self._with_level[:, place]
        for output, weight in enumerate(reading.weights):
            if weight:
                column = self._known.column(output * len(self.places) + place)
                local -= weight * column.reshape(local.shape)
        prior = float(weights @ together) * self.kernel.variance_factor + reading.noise_var
        variance = float(weights @ (local[:, place] + level)) + reading.noise_var
        root = math.sqrt(max(variance, LEAST_VARIANCE_SHARE * prior))
        surprise = (reading.value - float(weights @ (self._mean[:, place] + self._level))) / root
        self._learn(local / root, level / root, surprise)

    def predict(self, t_s: float | Array) -> Forecast:
        """Forecast all outputs everywhere at one time, or at a time of each place's own, (m,).

        Raises:
            ValueError: a time lies before the newest reading.
        """
        since_s = np.asarray(t_s, dtype=np.float64) - self.t_s
        if not bool(np.all(since_s >= 0.0)):
            raise ValueError(f"t_s = {np.min(t_s):g} is before the newest reading, of {self.t_s:g} s")
        fade = np.exp(-since_s / self.kernel.time_s)
        prior = self.kernel.variance_factor * self.together - self._of_level
        with_level = np.swapaxes(self._with_level, 1, 2)
        cov = prior[:, :, None] - fade**2 * self._here - fade * (with_level + np.swapaxes(with_level, 0, 1))
        return Forecast(fade * self._mean + self._level[:, None], cov)

    def _learn(self, local: Array, level: Array, surprise: float) -> None:
        """Add what one reading tells: covariances (Q, m) and (Q,) with it, and its surprise, in units of its sd."""
        self._mean += local * surprise
        self._level += level * surprise
        self._known.add(local.reshape(-1))
        self._with_level += local[:, :, None] * level
        self._of_level += np.outer(level, level)
        self._here += local[:, None] * local[None]
        self.n += 1

    def _advance(self, t_s: float) -> None:
        fade = math.exp(-(t_s - self.t_s) / self.kernel.time_s)
        self.t_s = t_s
        if fade == 1.0:
            return
        self._mean *= fade
        self._known.fade(fade)
        self._with_level *= fade
        self._here *= fade**2

    def _near(self, place: int) -> Array:
        apart = self.places - self.places[place]
        return np.asarray(np.exp(-np.hypot(apart[:, 0], apart[:, 1]) / self.kernel.length_nm))

    def _check(self, reading: Reading) -> None:
        numbers: Sequence[float] = (reading.t_s, reading.value, reading.noise_var, *reading.weights)
        if not (np.all(np.isfinite(numbers)) and reading.noise_var >= 0.0):
            raise ValueError(f"a reading needs finite numbers and noise_var >= 0, not {reading}")
        if not 0 <= reading.place < len(self.places):
            raise ValueError(f"place = {reading.place} is not one of {len(self.places)}")
        if len(reading.weights) != self.outputs or not any(reading.weights):
            raise ValueError(f"weights = {reading.weights} must be {self.outputs} numbers, not all of them 0")
        if reading.t_s < self.t_s:
            raise ValueError(f"t_s = {reading.t_s:g} is before the newest reading, of {self.t_s:g} s")


def _check_together(together: Array) -> None:
    if together.shape[0] != together.shape[1] or not np.allclose(together, together.T):
        raise ValueError(f"together must be a symmetric matrix, not of shape {together.shape}")
    if not np.all(np.isfinite(together)) or float(np.linalg.eigvalsh(together).min()) <= 0.0:
        raise ValueError(f"together must be positive definite, not {together.tolist()}")
