"""What moves by itself: the specimen under the beam, the focus, and the stage after it was told to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from digital_twin.optics import Array

WAVES = 96


class Wander:
    """A stationary Ornstein-Uhlenbeck process as random Fourier features: the same at a time whenever it is asked for.

    Its covariance is sd^2 exp(-|t| / tau), since the frequencies are drawn from the Cauchy spectrum of that kernel.
    """

    def __init__(self, sd: float, tau_s: float, random: np.random.Generator) -> None:
        self._sd = sd
        self._omega = random.standard_cauchy(WAVES) / tau_s
        self._phase = random.uniform(0, 2 * math.pi, WAVES)

    def at(self, time_s: Array | float) -> Array:
        """Values at times in s, of the shape of ``time_s``, in the unit of ``sd``."""
        t = np.asarray(time_s, dtype=np.float64)
        waves = np.cos(t[..., None] * self._omega + self._phase)
        result: Array = self._sd * math.sqrt(2 / WAVES) * waves.sum(axis=-1)
        return result


@dataclass
class Stage:
    """A stage that overshoots, settles and has backlash; positions in nm, (x, y).

    ``backlash_nm`` is missing after a move in negative direction that was not approached from the negative side.
    ``CREEP_SHARE`` of a move, at most ``CREEP_MAX_NM``, is still to come when it ends and decays with ``CREEP_S``.
    """

    CREEP_SHARE = 0.02
    CREEP_MAX_NM = 8.0
    CREEP_S = 3.0

    backlash_nm: tuple[float, float] = (12.0, 12.0)
    commanded_nm: Array = field(default_factory=lambda: np.zeros(2))
    _backlash_nm: Array = field(default_factory=lambda: np.zeros(2))
    _creep_nm: Array = field(default_factory=lambda: np.zeros(2))
    _moved_s: float = 0.0

    def move(self, target_nm: Array, clock_s: float, from_negative: bool) -> None:
        """Go to a target; ``clock_s`` is when the move ends."""
        step = target_nm - self.commanded_nm
        if not step.any():
            return
        if from_negative:
            self._backlash_nm = np.zeros(2)
        else:
            back = np.where(step < 0, np.array(self.backlash_nm), np.where(step > 0, 0.0, self._backlash_nm))
            self._backlash_nm = back
        self._creep_nm = -np.sign(step) * np.minimum(self.CREEP_SHARE * np.abs(step), self.CREEP_MAX_NM)
        self.commanded_nm = target_nm.copy()
        self._moved_s = clock_s

    def error_nm(self, time_s: Array) -> Array:
        """True minus commanded position at times (T,) in s, (T, 2) nm."""
        left = np.exp(-np.clip(time_s - self._moved_s, 0, None) / self.CREEP_S)
        result: Array = self._backlash_nm + left[:, None] * self._creep_nm
        return result


class Drift:
    """Drift of the specimen, (T, 2) nm, and of C10, (T,) nm, keyed by the seed.

    The specimen's drift is a decaying part (after the holder was put in) and a random part.
    """

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng([seed, 4])
        self._x = Wander(6.0, 120.0, random)
        self._y = Wander(6.0, 120.0, random)
        self._jitter = Wander(0.15, 0.02, random)
        self._focus = Wander(60.0, 200.0, random)
        self._decay_nm = random.normal(0.0, 25.0, 2)
        self.tau_s = 150.0

    def specimen_nm(self, time_s: Array) -> Array:
        """Displacement of the specimen from where it was at time zero, (T, 2) nm."""
        t = np.concatenate([[0.0], np.atleast_1d(time_s)])
        wander = np.stack([self._x.at(t), self._y.at(t)], axis=-1)
        shake = np.stack([self._jitter.at(t), self._jitter.at(t + 10.0)], axis=-1)
        decayed = (1 - np.exp(-t / self.tau_s))[:, None] * self._decay_nm
        total = wander + shake + decayed
        result: Array = total[1:] - total[0]
        return result

    def C10_nm(self, time_s: float) -> float:
        """Drift of C10 at a time, nm."""
        return float(self._focus.at(time_s) - self._focus.at(0.0))
