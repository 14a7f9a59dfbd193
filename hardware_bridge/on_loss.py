"""What happens to the holder when the agent is lost: each channel holds, ramps down, or goes off at once."""

from __future__ import annotations

import logging
import math
from collections import deque

from hardware_bridge.guard import SAFE_STATE, Guard
from hardware_bridge.messages import Command, Holder, InstrumentState, Limits, Range, Settings

_log = logging.getLogger(__name__)

RAMP_STEPS = 10
RAMP_STEP_S = 1.0


class Retreat:
    """Brings the holder to its safe state, a step a second; where a step fails it begins anew from where it is."""

    def __init__(self, guard: Guard, token: int, silence_s: float) -> None:
        """``token`` is that of the lost lease; ``silence_s`` is what the driver may take for one step."""
        self._guard, self._token, self._silence_s = guard, token, silence_s
        self._left: deque[Command] | None = None
        self._attempts = 0
        self._due_s = 0.0

    def is_due(self, now_s: float) -> bool:
        """Whether it is time for the next step."""
        return now_s >= self._due_s

    def step(self, now_s: float) -> bool:
        """Take the next step; True when the safe state is reached."""
        self._due_s = now_s + RAMP_STEP_S
        try:
            if self._left is None:
                self._attempts += 1
                name = f"{SAFE_STATE}{self._token}-{self._attempts}"
                self._left = deque(commands_on_loss(self._guard.limits, self._guard.state(), name))
            if self._left:
                self._guard.secure(self._left.popleft(), self._silence_s)
        except Exception:  # noqa: BLE001 - the border to a driver: whatever it raises, the next attempt may work
            _log.exception("the holder could not be brought to its safe state: once more in %g s", RAMP_STEP_S)
            self._left = None
            return False
        return not self._left


def commands_on_loss(limits: Limits, state: InstrumentState, name: str) -> list[Command]:
    """The commands that bring the holder to its safe state, one for each step of a ramp, to be run a second apart.

    A channel's safe value is the one nearest to zero in its range; channels without an entry in ``limits.on_loss``, or
    without a range, hold. A ramp takes ten steps, or as many as its slew limit asks for. ``name`` begins the ids.
    """
    ramps: dict[str, tuple[float, float]] = {}
    first: dict[str, float] = {}
    for channel, how in limits.on_loss.items():
        allowed, now = limits.ranges.get(channel), getattr(state.holder, channel, None)
        if how == "hold" or allowed is None or now is None:
            continue
        safe = _nearest_to_zero(allowed)
        if how == "off":
            first[channel] = safe
        elif now != safe:
            ramps[channel] = (now, safe)
    steps = RAMP_STEPS if ramps else min(len(first), 1)
    for channel, (now, safe) in ramps.items():
        if channel in limits.slew:
            steps = max(steps, math.ceil(abs(now - safe) / (limits.slew[channel].per_s * RAMP_STEP_S)))
    commands = []
    for step in range(1, steps + 1):
        values = {channel: now + (safe - now) * step / steps for channel, (now, safe) in ramps.items()}
        if step == 1:
            values |= first
        commands.append(Command(id=f"{name}-{step}", set=Settings(holder=Holder(**values))))
    return commands


def _nearest_to_zero(allowed: Range) -> float:
    return min(max(0.0, allowed.low), allowed.high)
