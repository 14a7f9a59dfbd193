"""Dark references: what the detectors say without a beam is taken off what they say with one.

A scanned detector is one detector for all pixels, so its dark level is one number for a dwell time; a spectrum's is one
number a channel; a camera's is one number a pixel. The level of another dwell time is no reference.

Images then stand on a pedestal of the read noise's variance (in electrons): counts with Gaussian noise of sd s on top
are distributed as Poisson counts of the mean + s^2, nearly (Snyder, Hammoud and White, J. Opt. Soc. Am. A 10, 1014,
1993), which is what fits and significances reckon with. Spectra, summed over their pixels, need none.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hardware_bridge.messages import SCANNED_MODES, Acquire
from hardware_bridge.observation import Observation

Array = NDArray[np.float64]
Key = tuple[str, float, int, int]


class References:
    """The newest dark reference of each mode and dwell time; ``learn`` from a dark one, then ``corrected`` others."""

    def __init__(self, counts_per_electron: float) -> None:
        self._counts_per_electron = counts_per_electron
        self._dark: dict[Key, Array] = {}

    def learn(self, observation: Observation) -> dict[str, float]:
        """Take in a dark reference; returns its figures: level and noise (sd of a pixel) in counts."""
        acquire, data = observation.command.acquire, observation.data
        if acquire is None or data is None or not observation.row_seen.any():
            return {}
        counts = np.asarray(data[observation.row_seen], dtype=np.float64)
        if observation.kind == "spectrum":
            level: Array = counts.mean(axis=(0, 1))
        elif acquire.mode in SCANNED_MODES:
            level = counts.mean(keepdims=False)[None]
        elif observation.row_seen.all():
            level = counts
        else:
            return {}
        noise = float((counts - level).std())
        pedestal = 0.0 if observation.kind == "spectrum" else noise**2 / self._counts_per_electron
        self._dark[_key(acquire)] = level - pedestal
        return {"dark_level_counts": float(level.mean()), "dark_noise_counts": noise}

    def corrected(self, observation: Observation) -> Observation:
        """The same observation less its dark level; itself where no reference fits, or where the level is 0."""
        acquire, data = observation.command.acquire, observation.data
        level = self._dark.get(_key(acquire)) if acquire is not None else None
        if level is None or data is None or not level.any():
            return observation
        return replace(observation, data=np.asarray(data, dtype=np.float64) - level)


def _key(acquire: Acquire) -> Key:
    camera = acquire.mode not in SCANNED_MODES
    size = (acquire.pixels_y, acquire.pixels_x) if camera else (0, 0)
    return acquire.mode, acquire.dwell_s, *size
