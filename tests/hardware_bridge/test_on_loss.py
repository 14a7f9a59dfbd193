"""When the agent is lost, each channel of the holder does what the lab has said."""

import itertools

import pytest
from bench import LIMITS
from msgspec.structs import replace

from experiments.small_column import STATE
from hardware_bridge.messages import Range, Slew
from hardware_bridge.on_loss import commands_on_loss

RANGES = {**LIMITS.ranges, "temperature_K": Range(low=290.0, high=400.0), "bias_V": Range(low=-2.0, high=2.0)}
HOT = replace(STATE, holder=replace(STATE.holder, temperature_K=350.0, bias_V=1.0))


def test_hold_does_nothing() -> None:
    assert commands_on_loss(replace(LIMITS, on_loss={"flow_nl_per_s": "hold"}), STATE, "lost") == []
    assert commands_on_loss(replace(LIMITS, on_loss={}), STATE, "lost") == []


def test_off_goes_to_the_safe_value_at_once() -> None:
    (command,) = commands_on_loss(LIMITS, STATE, "lost")
    assert command.set.holder.flow_nl_per_s == 0.0
    assert command.set.holder.temperature_K is None
    assert command.acquire is None


def test_a_ramp_goes_down_in_even_steps_to_the_value_nearest_to_zero() -> None:
    limits = replace(LIMITS, ranges=RANGES, on_loss={"temperature_K": "ramp", "bias_V": "off"})
    commands = commands_on_loss(limits, HOT, "lost")
    assert [command.set.holder.temperature_K for command in commands] == pytest.approx(
        [344.0, 338.0, 332.0, 326.0, 320.0, 314.0, 308.0, 302.0, 296.0, 290.0]
    )
    assert [command.set.holder.bias_V for command in commands] == [0.0] + 9 * [None]
    assert len({command.id for command in commands}) == len(commands)


def test_a_channel_without_a_range_holds() -> None:
    assert commands_on_loss(replace(LIMITS, on_loss={"temperature_K": "off"}), STATE, "lost") == []


def test_a_generous_slew_limit_does_not_shorten_a_ramp() -> None:
    slew = {"temperature_K": Slew(step=500.0, per_s=500.0)}
    limits = replace(LIMITS, ranges=RANGES, on_loss={"temperature_K": "ramp"}, slew=slew)
    assert len(commands_on_loss(limits, HOT, "x")) == 10


def test_a_ramp_keeps_its_slew_limit() -> None:
    slew = {"temperature_K": Slew(step=5.0, per_s=2.5)}
    commands = commands_on_loss(replace(LIMITS, ranges=RANGES, on_loss={"temperature_K": "ramp"}, slew=slew), HOT, "x")
    values = [350.0, *(command.set.holder.temperature_K or 0.0 for command in commands)]
    assert len(commands) == 24
    assert max(a - b for a, b in itertools.pairwise(values)) <= 2.5 + 1e-9
    assert values[-1] == 290.0
