"""What a person should be careful about in a command, in few words each."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from hardware_bridge.cost import fluence_e_per_A2
from hardware_bridge.messages import Capabilities, Command, InstrumentState, Limits

NEAR = 0.05
"""Share of its range that a setting is near a limit in; an assumption of this console, as the next one is."""
HARMLESS_LOW = frozenset({"beam_current_pA"})
MUCH = 0.8
"""Share of the allowed fluence from which on damage is near."""


def flags(command: Command, state: InstrumentState, limits: Limits, capabilities: Capabilities) -> Iterator[str]:
    """Say what is risky: settings near their limits, and fluence near what a cell may get."""
    tree = msgspec.to_builtins(command)
    for group in (tree["go"], tree["set"]["optics"], tree["set"]["holder"]):
        for name, value in group.items():
            allowed = limits.ranges.get(name)
            if allowed is None or not isinstance(value, int | float):
                continue
            margin = NEAR * (allowed.high - allowed.low)
            below = value - allowed.low if name not in HARMLESS_LOW else margin
            if min(below, allowed.high - value) < margin:
                yield f"{name} {value:g} is near its limit, {allowed.low:g} to {allowed.high:g}"
    fluence = fluence_e_per_A2(command, state, capabilities)
    most = limits.max_fluence_e_per_A2
    if fluence > MUCH * most:
        yield f"near damage: {fluence:.3g} of {most:g} e/A^2 in one go"
    elif state.fluence_max_e_per_A2 + fluence > MUCH * most:
        reached = state.fluence_max_e_per_A2 + fluence
        yield f"near damage if it meets the most exposed cell: {reached:.3g} of {most:g} e/A^2"
