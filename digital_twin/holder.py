"""The twin's holder: a device of its own, whose electronics measure what lags behind their set points."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from digital_twin.growth import LAG_S
from hardware_bridge.messages import Holder

NOISE_K = 0.05
NOISE_NL_PER_S = 0.02


class TwinHolder:
    """Reads temperature and flow; implements ``hardware_bridge.holder.HolderDevice``.

    Readings go to their set points with the time constant of the liquid cell, with Gaussian noise of ``NOISE_K`` and
    ``NOISE_NL_PER_S`` that depends on seed and time alone. ``clock`` gives the instrument's time in s.
    """

    def __init__(self, start: Holder, clock: Callable[[], float], seed: int) -> None:
        self._clock, self._seed = clock, seed
        self._points = np.array([start.temperature_K, start.flow_nl_per_s], dtype=np.float64)
        self._values = self._points.copy()
        self._at_s = clock()

    def channels(self) -> tuple[str, ...]:
        """Flow and temperature."""
        return ("flow_nl_per_s", "temperature_K")

    def set(self, points: Holder) -> None:
        """Take set points; None leaves one as it is."""
        self._follow()
        for index, point in enumerate((points.temperature_K, points.flow_nl_per_s)):
            if point is not None:
                self._points[index] = point

    def read(self) -> Holder:
        """What the sensors say now."""
        self._follow()
        random = np.random.default_rng([self._seed, 7, round(1e3 * self._at_s)])
        temperature, flow = self._values + random.normal(size=2) * (NOISE_K, NOISE_NL_PER_S)
        return Holder(temperature_K=float(temperature), flow_nl_per_s=max(0.0, float(flow)))

    def _follow(self) -> None:
        now_s = self._clock()
        self._values += (self._points - self._values) * -math.expm1(-(now_s - self._at_s) / LAG_S)
        self._at_s = now_s
