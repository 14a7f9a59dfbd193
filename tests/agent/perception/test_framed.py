"""What every percept begins with: which command, when, and which field."""

import dataclasses

from msgspec.structs import replace

from agent.perception.framed import framed
from hardware_bridge.messages import Acquire
from hardware_bridge.observation import Observation


def of(seen: Observation, acquire: Acquire | None) -> Observation:
    return dataclasses.replace(seen, command=replace(seen.command, acquire=acquire))


def test_a_percept_begins_with_when_and_where(make_observation):
    seen = make_observation(3, fov_nm=64.0)
    half = replace(seen.command.acquire, pixels_y=seen.command.acquire.pixels_x // 2)
    percept = framed(of(seen, half), (5.0, -7.0))
    assert (percept.command_id, percept.mode) == ("c3", "HAADF")
    assert (percept.start_s, percept.end_s) == (12.0, 13.5)
    assert (percept.x_nm, percept.y_nm, percept.width_nm, percept.height_nm) == (5.0, -7.0, 64.0, 32.0)
    nothing = framed(of(seen, None), (5.0, -7.0))
    assert (nothing.mode, nothing.width_nm, nothing.height_nm) == (None, 0.0, 0.0)
