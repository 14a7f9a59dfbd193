"""How policies write commands: where to look, with what view, under which name.

Every command states all it depends on (position, beam shift, current, C10), so that what it does and what it is charged
follow from the command alone.
"""

from __future__ import annotations

from typing import Literal

from hardware_bridge.geometry import Point, beam_shift_for, field_centre_nm, stage_for
from hardware_bridge.messages import (
    Acquire,
    Capabilities,
    Command,
    Go,
    InstrumentState,
    Limits,
    Mode,
    Optics,
    Range,
    Settings,
)
from hardware_bridge.words import Positive, Size, Word


class View(Word, frozen=True, kw_only=True):
    """How to look: mode, width of the square field, pixels along an edge, dwell at a pixel, and how many frames."""

    mode: Mode = "HAADF"
    fov_nm: Positive
    pixels: Size
    dwell_s: Positive
    frames: Size = 1


def command_id(policy: str, seed: int, turn: int, rank: int) -> str:
    """Return a name that is unique in a run and the same whenever the same decision is asked for again."""
    return f"{policy}-s{seed}-t{turn:04d}-{chr(ord('a') + rank)}"


def aim(point_nm: Point, state: InstrumentState, capabilities: Capabilities, limits: Limits) -> Go:
    """Bring a specimen-frame point onto the axis: by beam shift where its range reaches, else by the stage.

    A beam shift costs no settling. Where the stage moves, the beam shift returns to zero, and where backlash was
    measured, the last of the way comes from the negative side.
    """
    moving: Literal["direct", "from_negative"] = "from_negative" if capabilities.backlash_nm > 0.0 else "direct"
    x, y = state.go.stage_x_nm or 0.0, state.go.stage_y_nm or 0.0
    x_range, y_range = limits.ranges.get("beam_shift_x_nm"), limits.ranges.get("beam_shift_y_nm")
    if x_range is None or y_range is None:
        x, y = stage_for(point_nm, capabilities)
        return Go(stage_x_nm=x, stage_y_nm=y, approach=moving)
    unshifted = field_centre_nm(Go(stage_x_nm=x, stage_y_nm=y), capabilities)
    shift = beam_shift_for((point_nm[0] - unshifted[0], point_nm[1] - unshifted[1]), capabilities)
    if shift == (clipped(shift[0], x_range), clipped(shift[1], y_range)):
        return Go(stage_x_nm=x, stage_y_nm=y, beam_shift_x_nm=shift[0], beam_shift_y_nm=shift[1])
    x, y = stage_for(point_nm, capabilities)
    return Go(stage_x_nm=x, stage_y_nm=y, beam_shift_x_nm=0.0, beam_shift_y_nm=0.0, approach=moving)


def clipped(value: float, allowed: Range | None) -> float:
    """The nearest value that a range allows."""
    return value if allowed is None else min(max(value, allowed.low), allowed.high)


def looking(name: str, go: Go, view: View, current_pA: float, C10_nm: float) -> Command:
    """The command that looks once from a position, with a view, a beam current and a defocus (C10)."""
    return Command(
        id=name,
        go=go,
        set=Settings(optics=Optics(beam_current_pA=current_pA, C10_nm=C10_nm)),
        acquire=Acquire(
            mode=view.mode,
            fov_nm=view.fov_nm,
            pixels_x=view.pixels,
            pixels_y=view.pixels,
            dwell_s=view.dwell_s,
            max_frames=view.frames,
        ),
    )
