"""How the numbers of a learner become commands, and what an instrument gives becomes numbers in 0..1."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from digital_twin.optics import depth_of_focus_nm
from hardware_bridge.cost import ELECTRONS_PER_PA_S
from hardware_bridge.messages import Acquire, Capabilities, Command, Go, Mode, Optics, Settings
from hardware_bridge.observation import Observation
from hardware_bridge.report import Card

Array = NDArray[np.float32]

PIXELS = 64
SPECTRUM = 128
MODES: tuple[Mode, ...] = ("HAADF", "EELS", "CBED")
"""Image, spectrum, diffraction."""

VIEWS: tuple[tuple[float, int, float], ...] = ((8.0, PIXELS, 5e-6), (32.0, 4, 2e-3), (64.0, 1, 2e-2))
"""For each mode: how often its field fits into the extent, pixels along it, and dwell in s."""

WIDE: Mapping[Mode, tuple[float, int]] = {"HAADF": (2.0, 1), "EELS": (4.0, 1), "CBED": (8.0, 2)}
"""Of a wide field, in each mode: how many times it is as wide (two cells, or one) and as many pixels lie along it."""

LOOKS = 313.0
"""Images at the middle current that would spend the budget."""

FOCUS_DEPTHS, MOST_C10_NM = 45.0, 2000.0
"""C10 spans so many depths of focus, but no more than a bulging window asks for (2000 nm: 98 of 100 places of one)."""

MOST_COUNTS = 1e9


@dataclass(frozen=True)
class Coding:
    """What numbers in -1..1 stand for at one instrument and world."""

    half_nm: float
    C10_span_nm: float
    middle_pA: float

    @classmethod
    def of(cls, card: Card, capabilities: Capabilities) -> Coding:
        """Spans that follow from a card and an instrument."""
        depth_nm = depth_of_focus_nm(capabilities.beam_energy_keV, capabilities.convergence_semi_angle_mrad)
        _, pixels, dwell_s = VIEWS[0]
        return cls(
            half_nm=card.extent_nm / 2,
            C10_span_nm=min(MOST_C10_NM, FOCUS_DEPTHS * depth_nm),
            middle_pA=card.budget_electrons / LOOKS / (pixels**2 * dwell_s * ELECTRONS_PER_PA_S),
        )

    def command(self, name: str, move: NDArray[np.floating], mode: int) -> Command:
        """The command of an action: ``move`` (4,) in -1..1 is x and y, C10, and decades of the current."""
        x, y, focus, spend = (float(value) for value in move)
        times, pixels, dwell_s = VIEWS[mode]
        fov_nm = 2 * self.half_nm / times
        return Command(
            id=name,
            go=Go(stage_x_nm=x * self.half_nm, stage_y_nm=y * self.half_nm, beam_shift_x_nm=0.0, beam_shift_y_nm=0.0),
            set=Settings(optics=Optics(C10_nm=focus * self.C10_span_nm, beam_current_pA=self.middle_pA * 10.0**spend)),
            acquire=Acquire(mode=MODES[mode], fov_nm=fov_nm, pixels_x=pixels, pixels_y=pixels, dwell_s=dwell_s),
        )


def widened(command: Command) -> Command:
    """The same look at a wide field, with as many electrons."""
    acquire = command.acquire
    if acquire is None:
        return command
    times, pixels = WIDE[acquire.mode]
    wide = replace(
        acquire,
        fov_nm=times * acquire.fov_nm,
        pixels_x=pixels * acquire.pixels_x,
        pixels_y=pixels * acquire.pixels_y,
        dwell_s=acquire.dwell_s / pixels**2,
    )
    return replace(command, acquire=wide)


def image_of(observation: Observation, capabilities: Capabilities) -> Array:
    """An image as (64, 64, 1) in 0..1: square root of the counts, 1 the most that one detector can receive.

    The root makes the noise of counting even; the scale follows the dose, so brightness tells matter and not current.
    """
    assert observation.data is not None  # the caller has seen that a frame came
    return _root(observation.data.astype(np.float64), observation, capabilities)


def pattern_of(observation: Observation, capabilities: Capabilities) -> Array:
    """A pattern, the mean over its field, as (64, 64, 1) in 0..1, scaled as images are."""
    assert observation.data is not None  # the caller has seen that a pattern came
    mean = observation.data.astype(np.float64).mean(axis=(0, 1))
    times = mean.shape[0] // PIXELS
    return _root(mean.reshape(PIXELS, times, PIXELS, times).mean(axis=(1, 3)), observation, capabilities)


def _root(counts: NDArray[np.float64], observation: Observation, capabilities: Capabilities) -> Array:
    acquire = observation.command.acquire
    assert acquire is not None  # data came
    current_pA = observation.state.optics.beam_current_pA or 0.0
    most = current_pA * acquire.dwell_s * ELECTRONS_PER_PA_S * capabilities.detector_fraction[acquire.mode]
    return np.sqrt(np.clip(counts / max(most, 1.0), 0.0, 1.0)).astype(np.float32)[..., None]


def spectrum_of(observation: Observation) -> Array:
    """A spectrum summed over its field as (128,) in 0..1: logarithm of the counts in even parts of the energy axis."""
    assert observation.data is not None  # the caller has seen that a spectrum came
    total = observation.data.reshape(-1, observation.data.shape[-1]).sum(axis=0, dtype=np.float64)
    parts = np.bincount(np.arange(len(total)) * SPECTRUM // len(total), weights=total, minlength=SPECTRUM)
    return np.clip(np.log1p(parts) / math.log(MOST_COUNTS), 0.0, 1.0).astype(np.float32)


def centred(value: float, half: float) -> float:
    """Put -half..half onto 0..1."""
    return 0.5 + value / (2 * half)
