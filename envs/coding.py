"""How the numbers of a learner become commands, and what an instrument gives becomes numbers in 0..1."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hardware_bridge.cost import ELECTRONS_PER_PA_S
from hardware_bridge.messages import Acquire, Capabilities, Command, Go, Mode, Optics, Settings
from hardware_bridge.observation import Observation

Array = NDArray[np.float32]

PIXELS = 64
SPECTRUM = 128
MODES: tuple[Mode, ...] = ("HAADF", "EELS")
VIEWS: dict[Mode, tuple[float, int, float]] = {"HAADF": (256.0, PIXELS, 5e-6), "EELS": (64.0, 4, 2e-3)}
"""Width of the field in nm, pixels along it, and dwell in s."""

C10_SPAN_NM = 2000.0
"""Reaches focus on 98 of 100 places of a window that bulges by 0.9 micrometres."""

MIDDLE_PA = 10.0
MOST_COUNTS = 1e9


def command_of(name: str, move: NDArray[np.floating], mode: int, half_nm: float) -> Command:
    """The command of an action: ``move`` (4,) in -1..1 is x and y over ``half_nm``, C10, and decades of the current."""
    x, y, focus, spend = (float(value) for value in move)
    fov_nm, pixels, dwell_s = VIEWS[MODES[mode]]
    return Command(
        id=name,
        go=Go(stage_x_nm=x * half_nm, stage_y_nm=y * half_nm, beam_shift_x_nm=0.0, beam_shift_y_nm=0.0),
        set=Settings(optics=Optics(C10_nm=focus * C10_SPAN_NM, beam_current_pA=MIDDLE_PA * 10.0**spend)),
        acquire=Acquire(mode=MODES[mode], fov_nm=fov_nm, pixels_x=pixels, pixels_y=pixels, dwell_s=dwell_s),
    )


def image_of(observation: Observation, capabilities: Capabilities) -> Array:
    """An image as (64, 64, 1) in 0..1: square root of the counts, 1 the most that one detector can receive.

    The root makes the noise of counting even; the scale follows the dose, so brightness tells matter and not current.
    """
    acquire = observation.command.acquire
    assert acquire is not None  # the caller has seen that a frame came
    assert observation.data is not None
    current_pA = observation.state.optics.beam_current_pA or 0.0
    most = current_pA * acquire.dwell_s * ELECTRONS_PER_PA_S * capabilities.detector_fraction[acquire.mode]
    share = observation.data.astype(np.float64) / max(most, 1.0)
    return np.sqrt(np.clip(share, 0.0, 1.0)).astype(np.float32)[..., None]


def spectrum_of(observation: Observation) -> Array:
    """A spectrum summed over its field as (128,) in 0..1: logarithm of the counts in even parts of the energy axis."""
    assert observation.data is not None  # the caller has seen that a spectrum came
    total = observation.data.reshape(-1, observation.data.shape[-1]).sum(axis=0, dtype=np.float64)
    parts = np.bincount(np.arange(len(total)) * SPECTRUM // len(total), weights=total, minlength=SPECTRUM)
    return np.clip(np.log1p(parts) / math.log(MOST_COUNTS), 0.0, 1.0).astype(np.float32)


def centred(value: float, half: float) -> float:
    """Put -half..half onto 0..1."""
    return 0.5 + value / (2 * half)
