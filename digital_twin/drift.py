"""What moves by itself: the specimen under the beam, the focus, and the stage after it was told to stop."""

from __future__ import annotations

import math

import numpy as np

from digital_twin.conditions import ROOM_K, Conditions
from digital_twin.optics import Aberrations, Array, summed

WAVES = 96
BANDS = (1e-2, 3e3)
"""The slowest and fastest angular frequencies of a wander, times tau: 99.3 % of its variance; the rest goes to both."""

MOST_TABLES = 4
"""Scans of how many different timings are remembered."""

MAINS_Hz = 50.0
SHAKEN_s = 10.0
"""The probe shakes along y as it did along x so much later, which is long forgotten."""

DEFAULT = Conditions()


class Wander:
    """A stationary Ornstein-Uhlenbeck process as waves: the same at a time whenever it is asked for.

    Its covariance is sd^2 exp(-|t| / tau): WAVES bands, evenly spaced in the logarithm of the frequency, have as much
    of the variance each as its Cauchy spectrum has there, and one wave, drawn within them. With frequencies drawn from
    the whole spectrum, all of one amplitude, one seed in a dozen would shake a seventh of sd within a frame.
    """

    def __init__(self, sd: float, tau_s: float, random: np.random.Generator) -> None:
        self._sd = sd
        edges = np.geomspace(*BANDS, WAVES + 1)
        self._omega = edges[:-1] * (edges[1:] / edges[:-1]) ** random.uniform(0, 1, WAVES) / tau_s
        within = 2 / math.pi * np.arctan(edges)
        within[[0, -1]] = 0.0, 1.0
        self._amplitude = sd * np.sqrt(2 * np.diff(within))
        self._phase = random.uniform(0, 2 * math.pi, WAVES)
        self._tables: dict[tuple[float, int], Array] = {}
        self._first = self.at(0.0)

    def moved(self, time_s: Array | float) -> Array:
        """How far the values at times are from that at time zero, of the shape of ``time_s``."""
        return np.asarray(self.at(time_s) - self._first)

    def at(self, time_s: Array | float) -> Array:
        """Values at times in s, of the shape of ``time_s``, in the unit of ``sd``."""
        t = np.asarray(time_s, dtype=np.float64)
        if self._sd == 0.0:
            return np.zeros(t.shape)
        # No matrix product: its rounding would depend on how many times are asked for.
        return np.asarray((self._amplitude * np.cos(t[..., None] * self._omega + self._phase)).sum(axis=-1))

    def even(self, start_s: Array, rows: tuple[float, int]) -> Array:
        """Values at even times, (T, S): ``rows`` are the step in s and T, ``start_s`` (S,) where each of S begins.

        The same as ``at`` but for rounding: cos(a + b) by a table of what b is, which is kept.
        """
        if self._sd == 0.0:
            return np.zeros((rows[1], len(start_s)))
        if rows not in self._tables:
            if len(self._tables) == MOST_TABLES:
                self._tables.pop(next(iter(self._tables)))
            turn = (rows[0] * np.arange(rows[1]))[:, None] * self._omega
            self._tables[rows] = np.concatenate([np.cos(turn), -np.sin(turn)], axis=1)
        begin = self._omega[:, None] * start_s + self._phase[:, None]
        both = np.concatenate([self._amplitude[:, None] * np.cos(begin), self._amplitude[:, None] * np.sin(begin)])
        result: Array = self._tables[rows] @ both
        return result


class Stage:
    """A stage that overshoots, settles and has backlash; positions in nm, (x, y).

    ``backlash_nm`` (x, y) is missing after a move in negative direction that was not approached from the negative side.
    """

    def __init__(self, conditions: Conditions, backlash_nm: tuple[float, float]) -> None:
        self.commanded_nm: Array = np.zeros(2)
        self._conditions, self._backlash_nm = conditions, np.array(backlash_nm)
        self._missing_nm: Array = np.zeros(2)
        self._creep_nm: Array = np.zeros(2)
        self._moved_s = 0.0

    def move(self, target_nm: Array, clock_s: float, from_negative: bool) -> None:
        """Go to a target; ``clock_s`` is when the move ends."""
        step = target_nm - self.commanded_nm
        if not step.any():
            return
        if from_negative:
            self._missing_nm = np.zeros(2)
        else:
            self._missing_nm = np.where(step < 0, self._backlash_nm, np.where(step > 0, 0.0, self._missing_nm))
        c = self._conditions
        self._creep_nm = -np.sign(step) * np.minimum(c.creep_share * np.abs(step), c.creep_nm)
        self.commanded_nm = target_nm.copy()
        self._moved_s = clock_s

    def error_nm(self, time_s: Array) -> Array:
        """True minus commanded position at times (T,) in s, (T, 2) nm."""
        left = np.exp(-np.clip(time_s - self._moved_s, 0, None) / self._conditions.creep_s)
        result: Array = self._missing_nm + left[:, None] * self._creep_nm
        return result


class Drift:
    """Drift of the specimen under the probe, of the aberrations, the zero loss and the current, keyed by the seed."""

    def __init__(self, seed: int, conditions: Conditions = DEFAULT) -> None:
        random, c = np.random.default_rng([seed, 4]), conditions
        self._conditions = conditions
        self._x = Wander(c.wander_nm, c.wander_s, random)
        self._y = Wander(c.wander_nm, c.wander_s, random)
        self._jitter = Wander(c.jitter_nm, c.jitter_s, random)
        self._focus = Wander(c.C10_wander_nm, c.focus_s, random)
        self._decay_nm = random.normal(0.0, 1.0, 2) * c.decay_nm
        sizes = c.C12_wander_nm, c.C12_wander_nm, c.C21_wander_nm, c.C21_wander_nm, c.C23_wander_nm, c.C23_wander_nm
        self._aberrations = [Wander(size, c.aberration_s, random) for size in (*sizes, c.C30_wander_um)]
        self._steady = not any((*sizes, c.C30_wander_um))
        self._zero_loss = Wander(c.zero_loss_wander_eV, c.zero_loss_s, random)
        self._mains_nm = c.mains_nm * random.normal(0.0, 1.0, 2) / math.sqrt(2)
        self._mains_rad = random.uniform(0.0, 2 * math.pi)
        self._heat_nm_per_K = random.normal(0.0, 1.0, 2) * c.heat_nm_per_K
        self._heated = 0.0, ROOM_K, ROOM_K
        self._first_nm: Array = np.zeros(2)
        self._first_nm = self.specimen_nm(np.zeros(1))[0]

    def heat(self, set_point_K: float | None, clock_s: float) -> None:
        """Let the holder have a set point from a time on, None the one it has; earlier times are not asked for then."""
        if set_point_K is not None and set_point_K != self._heated[2]:
            self._heated = clock_s, float(self._holder_K(clock_s)), set_point_K

    def _holder_K(self, time_s: Array | float) -> Array | float:
        """What the parts that carry the specimen off have warmed up to."""
        since_s, before_K, set_point_K = self._heated
        left: Array | float = np.exp((since_s - time_s) / self._conditions.heat_s)
        return set_point_K + left * (before_K - set_point_K)

    def specimen_nm(self, time_s: Array) -> Array:
        """Displacement of the specimen from where it was at time zero, (T, 2) nm."""
        t = np.atleast_1d(time_s)
        wander = np.stack([self._x.at(t), self._y.at(t)], axis=-1)
        shake = np.stack([self._jitter.at(t), self._jitter.at(t + SHAKEN_s)], axis=-1)
        return self._specimen_nm(t, wander + shake) - self._first_nm

    def rows_nm(self, start_s: float, step_s: float, rows: int) -> Array:
        """The same, (rows, 2) nm, for the even times of the rows of a scan: in a fraction of the time."""
        begin, even = np.array([start_s]), (step_s, rows)
        wander = np.concatenate([self._x.even(begin, even), self._y.even(begin, even)], axis=1)
        shake = self._jitter.even(np.array([start_s, start_s + SHAKEN_s]), even)
        return self._specimen_nm(np.asarray(start_s + step_s * np.arange(rows)), wander + shake) - self._first_nm

    def _specimen_nm(self, t: Array, random_nm: Array) -> Array:
        decayed = (1 - np.exp(-t / self._conditions.decay_s))[:, None] * self._decay_nm
        mains = np.sin(2 * math.pi * MAINS_Hz * t + self._mains_rad)[:, None] * self._mains_nm
        result: Array = random_nm + decayed + mains
        if self._heat_nm_per_K.any():
            result += np.multiply.outer(self._holder_K(t) - ROOM_K, self._heat_nm_per_K)
        return result

    def C10_nm(self, time_s: float) -> float:
        """Drift of C10 at a time, nm."""
        return float(self._focus.moved(time_s))

    def aberrations(self, set_to: Aberrations, time_s: float) -> Aberrations:
        """The aberrations at a time, of a column that is set to these: all but C10, whose drift is apart."""
        if self._steady:
            return set_to
        moved = [float(each.moved(time_s)) for each in self._aberrations]
        found: dict[str, float] = {}
        for nm, x, y in zip(("12", "21", "23"), moved[:6:2], moved[1:6:2], strict=True):
            found |= {f"C{nm}_nm": math.hypot(x, y), f"phi{nm}_rad": math.atan2(y, x) / int(nm[1])}
        return summed(set_to, Aberrations(C30_um=moved[6], **found))

    def zero_loss_eV(self, time_s: Array) -> Array:
        """How far the zero loss has wandered at times (T,), (T,) eV."""
        return self._zero_loss.moved(time_s)

    def current(self, time_s: float) -> float:
        """What is left of the beam current, as a share of what is set."""
        return math.exp(-self._conditions.current_decay_per_h * time_s / 3600.0)
