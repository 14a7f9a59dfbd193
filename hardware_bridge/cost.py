"""What a command costs in time and electrons, predicted before anything happens."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hardware_bridge.geometry import merged, pixel_nm
from hardware_bridge.messages import SCANNED_MODES, Acquire, Capabilities, Command, InstrumentState

ELEMENTARY_CHARGE_C = 1.602176634e-19
ELECTRONS_PER_PA_S = 1e-12 / ELEMENTARY_CHARGE_C


@dataclass(frozen=True)
class Cost:
    """Predicted time on the instrument's clock, beam-on part of it, and incident electrons at the set current."""

    time_s: float
    beam_on_s: float
    electrons: float


def move_s(command: Command, state: InstrumentState, capabilities: Capabilities) -> float:
    """Time of the stage move plus settling, in s; zero where the stage stays and only the beam shifts."""
    after = merged(state.go, command.go)
    distance_nm = math.dist(
        (state.go.stage_x_nm or 0.0, state.go.stage_y_nm or 0.0, state.go.stage_z_nm or 0.0),
        (after.stage_x_nm or 0.0, after.stage_y_nm or 0.0, after.stage_z_nm or 0.0),
    )
    if distance_nm == 0.0:
        return 0.0
    return distance_nm / capabilities.stage_speed_nm_per_s + capabilities.settle_s


def frame_s(acquire: Acquire, capabilities: Capabilities) -> float:
    """Duration of one frame in s, flyback included, without the overhead before it."""
    if acquire.mode in SCANNED_MODES:
        return acquire.pixels_y * (acquire.pixels_x * acquire.dwell_s + capabilities.flyback_s)
    return acquire.dwell_s


def predict(command: Command, state: InstrumentState, capabilities: Capabilities) -> Cost:
    """Predict time, that for deciding included, and electrons of a command from the present state."""
    time_s = capabilities.decision_s + move_s(command, state, capabilities)
    if command.acquire is None:
        return Cost(time_s=time_s, beam_on_s=0.0, electrons=0.0)
    on_s = command.acquire.max_frames * frame_s(command.acquire, capabilities)
    overhead_s = command.acquire.max_frames * capabilities.frame_overhead_s
    current_pA = beam_current_pA(command, state)
    return Cost(
        time_s=time_s + on_s + overhead_s,
        beam_on_s=0.0 if command.acquire.blanked else on_s,
        electrons=current_pA * on_s * ELECTRONS_PER_PA_S,
    )


def beam_current_pA(command: Command, state: InstrumentState) -> float:
    """Beam current in pA while this command acquires: the commanded one, or what is set; none in a dark reference."""
    if command.acquire is not None and command.acquire.blanked:
        return 0.0
    asked = command.set.optics.beam_current_pA
    return asked if asked is not None else (state.optics.beam_current_pA or 0.0)


def disc_nm(acquire: Acquire, capabilities: Capabilities) -> float:
    """Diameter in nm of what the beam lights at once: the probe, or the broad beam of the modes that do not scan."""
    if acquire.mode in SCANNED_MODES or not capabilities.lit_diameter_nm:
        return capabilities.probe_diameter_nm
    return capabilities.lit_diameter_nm


def fluence_e_per_A2(command: Command, state: InstrumentState, capabilities: Capabilities) -> float:
    """Fluence of a whole acquisition in e/A^2, averaged over the larger of pixel and probe disc (I6 of the bridge).

    Outside scanned modes the current falls on the illuminated disc, however much of it the camera sees.
    """
    acquire = command.acquire
    if acquire is None:
        return 0.0
    probe_area_A2 = math.pi * (5.0 * disc_nm(acquire, capabilities)) ** 2
    pixel_area_A2 = (10.0 * pixel_nm(acquire)) ** 2
    if acquire.mode in SCANNED_MODES:
        flyback_share = 1.0 + capabilities.flyback_s / (acquire.pixels_x * acquire.dwell_s)
        electrons = beam_current_pA(command, state) * acquire.dwell_s * ELECTRONS_PER_PA_S * flyback_share
        return acquire.max_frames * electrons / max(pixel_area_A2, probe_area_A2)
    return predict(command, state, capabilities).electrons / probe_area_A2
