"""From electrons that are expected to the numbers that a detector delivers, for the frames of a twin.

Scanned detectors count electrons one pixel after the other; broad-beam images and diffraction patterns fall on a
camera. Readout makes numbers of both.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from digital_twin.acquisition import dtype_of
from digital_twin.camera import Camera
from digital_twin.optics import Array
from digital_twin.readout import Readout
from hardware_bridge.messages import Acquire, Mode

CAMERA_MODES: frozenset[Mode] = frozenset({"HRTEM", "CBED", "4DSTEM"})

CAMERA_STREAM = 8


class Sensors:
    """The detectors during one frame of a seed's instrument, the noise keyed by the acquisition and the frame."""

    def __init__(self, camera: Camera, readout: Readout, acquire: Acquire, key: tuple[int, int, int]) -> None:
        seed, *which = key
        self._camera, self._readout, self._acquire = camera, readout, acquire
        self._seed, self._which = seed, which
        self._random = np.random.default_rng([seed, 5, *which])

    def record(self, expected: Array, top: int) -> NDArray[np.unsignedinteger]:
        """Numbers for the expected electrons of some rows, (H, W, ...), from row ``top`` on."""
        mode, dwell_s = self._acquire.mode, self._acquire.dwell_s
        electrons = self._charge(expected, top) if mode in CAMERA_MODES else self._random.poisson(expected)
        dtype = np.uint32 if dtype_of(mode) == "uint32" else np.uint16
        return self._readout.read(electrons, dwell_s, dtype, self._random)

    def _charge(self, expected: Array, top: int) -> Array:
        """What a camera collects: (H, W) as one image, (H, W, K, K) as a pattern at each pixel."""
        light = torch.from_numpy(np.asarray(expected, dtype=np.float32))[None]
        charge = self._camera.charge(light, self._acquire.dwell_s, [self._seed], CAMERA_STREAM, *self._which, top)
        # Charge comes in less than whole counts: spread evenly over one, it is rounded to numbers of the right mean.
        spread = (self._random.random(expected.shape) - 0.5) / self._readout.gain_counts_per_electron
        return charge[0].clamp(min=0.0).numpy().astype(np.float64) + spread
