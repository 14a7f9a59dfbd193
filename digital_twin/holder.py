"""The twin's holder: a device of its own, whose electronics measure what lags behind their set points."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from digital_twin.conditions import LAG_S, ROOM_K
from hardware_bridge.messages import Holder

NOISE = 0.05, 1e-3, 0.02
"""Sds of what is read, in K, V and nl/s: assumptions, no source could be opened. Of 300 K, 1 V and 5 nl/s they are less
than half a per cent, next to what calibrations of such sensors leave.
"""
CHANNELS = ("temperature_K", "bias_V", "flow_nl_per_s")
AT_REST = (ROOM_K, 0.0, 0.0)
"""What a holder reads that was just put in: room temperature, and nothing else."""


class TwinHolder:
    """Reads temperature, bias and flow; implements ``hardware_bridge.holder.HolderDevice``.

    Readings begin at rest and go to their set points with the time constant of the worlds, with Gaussian ``noise`` (off
    at zeros) that depends on seed and time alone. ``clock`` gives the instrument's time in s.
    """

    lag_s = LAG_S
    noise = NOISE

    def __init__(self, start: Holder, clock: Callable[[], float], seed: int) -> None:
        self._clock, self._seed = clock, seed
        self._values = np.array(AT_REST)
        self._points = self._values.copy()
        self._at_s = clock()
        self.set(start)

    def channels(self) -> tuple[str, ...]:
        """Temperature, bias and flow."""
        return CHANNELS

    def set(self, points: Holder) -> None:
        """Take set points; None leaves one as it is."""
        self._follow()
        for index, name in enumerate(CHANNELS):
            point = getattr(points, name)
            if point is not None:
                self._points[index] = point

    def read(self) -> Holder:
        """What the sensors say now."""
        self._follow()
        random = np.random.default_rng([self._seed, 7, round(1e3 * self._at_s)])
        read = self._values + random.normal(size=3) * self.noise
        temperature, bias, flow = read.tolist()
        return Holder(temperature_K=temperature, bias_V=bias, flow_nl_per_s=max(0.0, flow))

    def _follow(self) -> None:
        now_s = self._clock()
        self._values += (self._points - self._values) * -math.expm1(-(now_s - self._at_s) / self.lag_s)
        self._at_s = now_s
