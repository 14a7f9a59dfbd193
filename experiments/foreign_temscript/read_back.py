"""What a column was told beside what it reads back: an instrument may clamp without a word."""

from __future__ import annotations

from hardware_bridge.errors import Rejected
from hardware_bridge.messages import Command, InstrumentState

TOLERANCE = {"_nm": 0.1, "_deg": 1e-3}


def check_taken(command: Command, state: InstrumentState) -> None:
    """Compare everything that a command sets with a state read after it.

    Raises:
        Rejected: with code ``read_back``, the field, what was asked for and what the instrument says.
    """
    for prefix, asked, taken in (("go", command.go, state.go), ("set.optics", command.set.optics, state.optics)):
        for name in asked.__struct_fields__:
            value, there = getattr(asked, name), getattr(taken, name)
            if value is None or isinstance(value, str):
                continue
            tolerance = next((small for unit, small in TOLERANCE.items() if name.endswith(unit)), 0.0)
            if there is None or abs(there - value) > tolerance:
                raise Rejected("read_back", f"{prefix}.{name}", f"{value:g}", f"the instrument took {there:g}")
