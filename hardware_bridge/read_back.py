"""What an instrument was told beside what it reads back: it may clamp, round or ignore a value without a word."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hardware_bridge.messages import Command, InstrumentState

EXACT = 1e-6
TURNS = {
    "scan_rotation_deg": 360.0,
    "phi12_rad": math.pi,
    "phi21_rad": 2.0 * math.pi,
    "phi23_rad": 2.0 * math.pi / 3.0,
}
"""After how much a setting is the same again: an aberration C_nm has m-fold symmetry."""


def mismatch(command: Command, state: InstrumentState, tolerance: Mapping[str, float]) -> str | None:
    """The first setting of a command that does not read back as asked, in words; None where all do.

    ``tolerance`` is in the unit of each field; one that is not in it must read back within a millionth of what was
    asked, or of one unit. Scan rotation and the angles of aberrations are compared on the circle. The holder is left
    out: what it reads back follows slowly.
    """
    for prefix, asked, taken in (("go", command.go, state.go), ("set.optics", command.set.optics, state.optics)):
        for name in asked.__struct_fields__:
            value, there = getattr(asked, name), getattr(taken, name)
            if value is None or isinstance(value, str):
                continue
            allowed = tolerance.get(name, EXACT * max(1.0, abs(value)))
            if there is None or not _apart(name, value, there) <= allowed:
                read = "nothing" if there is None else f"{there:.9g}"
                return f"{prefix}.{name} = {value:.9g} reads back {read}: tolerance {allowed:.3g}"
    return None


def _apart(name: str, value: float, there: float) -> float:
    difference = abs(there - value)
    if turn := TURNS.get(name):
        difference = min(difference % turn, turn - difference % turn)
    return difference
