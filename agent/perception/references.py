"""References: what the detectors say without a beam is taken off, and what they make of an even beam divided out.

A scanned detector is one detector for all pixels, so its dark level is one number for a dwell time; a spectrum's is one
number a channel; a camera's is one number a pixel. The level of another dwell time is no reference.

A gain reference is an acquisition of an empty, evenly lit place (its command's id begins with ``GAIN_REFERENCE``). Of a
camera it gives a map of the gain of the pixels, with mean 1; references that follow each other are averaged, and a
pixel that shows next to nothing is left as it is. Of a scanned detector that takes the whole beam it gives counts per
electron. Of a detector that an empty place leaves dark there is none.

Images then stand on a pedestal of the read noise's variance (in electrons): counts with Gaussian noise of sd s on top
are distributed as Poisson counts of the mean + s^2, nearly (Snyder, Hammoud and White, J. Opt. Soc. Am. A 10, 1014,
1993), which is what fits and significances reckon with. Spectra, summed over their pixels, need none.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agent.perception.scan import incident_per_pixel
from hardware_bridge.messages import SCANNED_MODES, Acquire, Capabilities
from hardware_bridge.observation import Observation
from hardware_bridge.report import GAIN_REFERENCE

Array = NDArray[np.float64]
Key = tuple[str, float, int, int]

DEAD_SHARE = 0.2
"""A pixel with less of the mean than this is not a weak one but a broken one."""


class References:
    """The newest references of each mode: ``learn`` from those, then ``corrected`` others."""

    def __init__(self, counts_per_electron: float, capabilities: Capabilities) -> None:
        """``counts_per_electron`` is what is reckoned with afterwards, by whoever counts the electrons."""
        self._counts_per_electron, self._capabilities = counts_per_electron, capabilities
        self._dark: dict[Key, Array] = {}
        self._gain: dict[Key, Array] = {}
        self._flats: list[Array] = []
        self._flats_of: Key | None = None

    def learn(self, observation: Observation) -> dict[str, float] | None:
        """Take in a reference; returns its figures, none where it is of no use, and None of anything else.

        Dark: level and noise (sd of a pixel) in counts. Gain: ``gain_spread`` (sd of the map), ``gain_dead_share`` and
        ``gain_averaged`` of a camera, ``counts_per_electron`` of a scanned detector.
        """
        acquire = observation.command.acquire
        if acquire is None:
            return None
        if acquire.blanked:
            return self._learn_dark(observation, acquire)
        if observation.command.id.startswith(GAIN_REFERENCE):
            return self._learn_gain(observation, acquire)
        self._flats_of = None
        return None

    def corrected(self, observation: Observation) -> Observation:
        """The same observation less its dark level, over its gain; itself where no reference fits or changes it."""
        acquire, data = observation.command.acquire, observation.data
        if acquire is None or data is None:
            return observation
        level, gain = self._dark.get(_key(acquire)), self._gain.get(_view(acquire))
        if (level is None or not level.any()) and gain is None:
            return observation
        counts = np.asarray(data, dtype=np.float64)
        counts = counts if level is None else counts - level
        return replace(observation, data=counts if gain is None else counts / gain)

    def _learn_dark(self, observation: Observation, acquire: Acquire) -> dict[str, float]:
        data = observation.data
        if data is None or not observation.row_seen.any():
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

    def _learn_gain(self, observation: Observation, acquire: Acquire) -> dict[str, float]:
        data, key = observation.data, _view(acquire)
        if data is None or observation.aborted or not observation.row_seen.all() or not np.isfinite(data).all():
            return {}
        flat = np.asarray(data, dtype=np.float64) - self._dark.get(_key(acquire), np.zeros(1))
        if acquire.mode in SCANNED_MODES:
            incident = incident_per_pixel(observation, self._capabilities) * acquire.pixels_x * acquire.pixels_y
            gain = float(flat.sum()) / incident if incident > 0.0 else 0.0
            if gain <= 0.0:
                return {}
            self._gain[key] = np.array([gain / self._counts_per_electron])
            return {"counts_per_electron": gain}
        self._flats = [*self._flats, flat] if key == self._flats_of else [flat]
        self._flats_of = key
        mean = np.mean(self._flats, axis=0)
        if mean.mean() <= 0.0:
            return {}
        dead = mean < DEAD_SHARE * mean.mean()
        gain_map = np.where(dead, 1.0, mean / mean[~dead].mean())
        self._gain[key] = gain_map
        return {
            "gain_spread": float(gain_map.std()),
            "gain_dead_share": float(dead.mean()),
            "gain_averaged": float(len(self._flats)),
        }


def _key(acquire: Acquire) -> Key:
    """What has a dark level of its own."""
    mode, _, height, width = _view(acquire)
    return mode, acquire.dwell_s, height, width


def _view(acquire: Acquire) -> Key:
    """What has a gain of its own."""
    camera = acquire.mode not in SCANNED_MODES
    size = (acquire.pixels_y, acquire.pixels_x) if camera else (0, 0)
    return acquire.mode, 0.0, *size
