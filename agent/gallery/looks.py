"""What a gallery shows of a world: the whole of it and details in every mode, at some times."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hardware_bridge.cost import ELECTRONS_PER_PA_S
from hardware_bridge.messages import SCANNED_MODES, Acquire, Capabilities, Command, Go, Mode, Optics, Settings
from hardware_bridge.microscope import Microscope, execute
from hardware_bridge.observation import Observation
from hardware_bridge.report import Card

TIMEOUT_S = 60.0
PIXELS: Mapping[Mode, int] = {"EELS": 4, "EDS": 4, "CBED": 1, "4DSTEM": 12}
"""Pixels along a field; images have 192."""

WIDTHS: Mapping[Mode, float] = {"CBED": 64.0, "4DSTEM": 16.0}
"""How often a field fits into the extent; others 8 times."""

FINE_NM, FINE_ELECTRONS = 12.0, 10.0
"""Width of an HRTEM image, so that lattices are seen, where the specimen bears so many electrons a pixel of it."""

MOST_ELECTRONS: Mapping[Mode, float] = {"EELS": 3e6, "EDS": 3e8, "CBED": 3e6, "4DSTEM": 1e5}
"""Incident electrons a pixel, 2000 in images; less where a picture would spend a fiftieth of what a place bears."""

SCAN_S, EXPOSURE_S = 1e-5, 0.2


@dataclass(frozen=True)
class Moment:
    """A world at a time: the whole of it in HAADF, and a detail in each mode."""

    time_s: float
    whole: Observation
    details: Mapping[Mode, Observation]


def moments(
    microscope: Microscope, card: Card, times_s: Sequence[float], say: Callable[[str], None] = lambda line: None
) -> list[Moment]:
    """Look at a world at times on its clock, in the middle of it, in all modes of the instrument."""
    able, found = microscope.describe(), []
    for time_s in times_s:
        _wait(microscope, time_s)
        whole = _look(microscope, f"whole-{time_s:g}", _acquire("HAADF", card.extent_nm, card))
        details: dict[Mode, Observation] = {}
        for mode in able.modes:
            acquire = _acquire(mode, _width_nm(mode, card, able), card)
            details[mode] = _look(microscope, f"{mode}-{time_s:g}", acquire)
        found.append(Moment(time_s, whole, details))
        say(f"{card.world}: {time_s:g} s of {times_s[-1]:g} s")
    return found


def _wait(microscope: Microscope, time_s: float) -> None:
    """Let decisions go by until a time."""
    turn = 0
    while microscope.state().clock_s < time_s:
        execute(microscope, Command(id=f"wait-{time_s:g}-{turn}"), TIMEOUT_S)
        turn += 1


def _width_nm(mode: Mode, card: Card, able: Capabilities) -> float:
    width_nm = card.extent_nm / WIDTHS.get(mode, 8.0)
    if mode in SCANNED_MODES:
        return width_nm
    fine = _acquire(mode, FINE_NM, card)[1] >= FINE_ELECTRONS
    return min(width_nm, FINE_NM if fine else math.inf, able.lit_diameter_nm / 2)


def _acquire(mode: Mode, fov_nm: float, card: Card) -> tuple[Acquire, float]:
    """A frame, and the incident electrons a pixel."""
    pixels = PIXELS.get(mode, 192)
    bears = 0.02 * card.max_fluence_e_per_A2 * (10 * fov_nm / pixels) ** 2
    seconds = SCAN_S if mode in SCANNED_MODES else EXPOSURE_S
    acquire = Acquire(mode=mode, fov_nm=fov_nm, pixels_x=pixels, pixels_y=pixels, dwell_s=seconds)
    return acquire, min(MOST_ELECTRONS.get(mode, 2000.0), bears)


def _look(microscope: Microscope, name: str, asked: tuple[Acquire, float]) -> Observation:
    acquire, electrons = asked
    current_pA = electrons / (acquire.dwell_s * ELECTRONS_PER_PA_S)
    lit_nm = microscope.describe().lit_diameter_nm
    if acquire.mode not in SCANNED_MODES and lit_nm:
        # Of a broad beam a pixel gets the share of its area.
        current_pA *= math.pi / 4 * lit_nm**2 / (acquire.fov_nm / acquire.pixels_x) ** 2
    command = Command(
        id=name,
        go=Go(stage_x_nm=0.0, stage_y_nm=0.0),
        set=Settings(optics=Optics(beam_current_pA=current_pA)),
        acquire=acquire,
    )
    return execute(microscope, command, TIMEOUT_S)
