"""What happens to the holder when the agent is lost: each channel holds, ramps down, or goes off at once."""

from __future__ import annotations

from hardware_bridge.messages import Command, Holder, InstrumentState, Limits, Range, Settings

SAFE_STATE = "on-loss-"
"""How the ids of these commands begin; nobody else's may."""

RAMP_STEPS = 10
RAMP_STEP_S = 1.0


def commands_on_loss(limits: Limits, state: InstrumentState, name: str) -> list[Command]:
    """The commands that bring the holder to its safe state, one for each step of a ramp, to be run a second apart.

    A channel's safe value is the one nearest to zero in its range; channels without an entry in ``limits.on_loss``, or
    without a range, hold. ``name`` begins the ids.
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
    commands = []
    for step in range(1, steps + 1):
        values = {channel: now + (safe - now) * step / steps for channel, (now, safe) in ramps.items()}
        if step == 1:
            values |= first
        commands.append(Command(id=f"{name}-{step}", set=Settings(holder=Holder(**values))))
    return commands


def _nearest_to_zero(allowed: Range) -> float:
    return min(max(0.0, allowed.low), allowed.high)
