from collections.abc import Callable

import pytest
from msgspec.structs import replace
from sights import PIXELS, Drifting

from agent.console.whereabouts import Whereabouts
from hardware_bridge.messages import Capabilities, Command, InstrumentState, Limits, Range
from hardware_bridge.observation import Observation

Make = Callable[..., Command]
PIXEL_NM = 256.0 / PIXELS


@pytest.fixture
def drifting(make_observation: Callable[..., Observation], make_state: Callable[..., InstrumentState]) -> Drifting:
    return Drifting(make_observation, make_state)


@pytest.fixture
def places(capabilities: Capabilities, limits: Limits) -> Whereabouts:
    return Whereabouts(capabilities, limits)


def seen(places: Whereabouts, drifting: Drifting, command: Command) -> Command:
    """A reference is taken, a question put, and after 20 s of drift by (5, -3) pixels it is looked for."""
    places.see(drifting.observe(command))
    places.hold(drifting.clock_s)
    drifting.clock_s += 20.0
    drifting.drift_px = (5, -3)
    look = places.low_dose("t1")
    assert look is not None
    places.see(drifting.observe(look))
    return look


def test_a_low_dose_look_tells_by_how_much(places: Whereabouts, drifting: Drifting, make_command: Make) -> None:
    command = make_command(pixels=PIXELS)
    look = seen(places, drifting, command)
    assert look.acquire is not None
    assert look.acquire.dwell_s == 2e-6 / 8
    assert look.id == "finding-t1"
    assert places.found(look)
    assert places.drifted_nm == pytest.approx((5 * PIXEL_NM, -3 * PIXEL_NM), abs=0.2 * PIXEL_NM)


def test_a_command_goes_where_things_are_by_now(
    places: Whereabouts, drifting: Drifting, make_command: Make, capabilities: Capabilities, limits: Limits
) -> None:
    command = make_command("far", pixels=PIXELS, stage_x_nm=100.0, stage_y_nm=40.0)
    seen(places, drifting, command)
    by_stage = places.moved(command, drifting.state())
    assert (by_stage.go.stage_x_nm, by_stage.go.stage_y_nm) == pytest.approx((120.0, 28.0), abs=0.8)
    assert replace(by_stage, go=command.go) == command
    shifts = {name: Range(low=-50.0, high=50.0) for name in ("beam_shift_x_nm", "beam_shift_y_nm")}
    able = replace(capabilities, beam_shift_to_specimen=(0.0, 2.0, -2.0, 0.0))
    shifting = Whereabouts(able, replace(limits, ranges={**limits.ranges, **shifts}))
    drifting.drift_px = (0, 0)
    seen(shifting, drifting, command)
    by_beam = shifting.moved(command, drifting.state())
    assert (by_beam.go.stage_x_nm, by_beam.go.stage_y_nm) == (100.0, 40.0)
    assert (by_beam.go.beam_shift_x_nm, by_beam.go.beam_shift_y_nm) == pytest.approx((6.0, 10.0), abs=0.4)


def test_when_it_is_doubtful(places: Whereabouts, drifting: Drifting, make_command: Make) -> None:
    assert not places.is_doubtful(256.0, 1e6), "nothing was seen, so nothing is elsewhere by now"
    places.see(drifting.observe(make_command(pixels=PIXELS)))
    assert not places.is_doubtful(256.0, 1e6), "nobody was asked"
    places.hold(10.0)
    assert places.can_be_found
    assert not places.is_doubtful(256.0, 15.0)
    assert places.is_doubtful(256.0, 15.2)
    places.release()
    places.hold(30.0)
    assert places.is_doubtful(256.0, 30.0), "refused meanwhile, and nothing was seen since"
    drifting.clock_s = 31.0
    places.see(drifting.observe(places.low_dose("t2") or make_command()))
    assert not places.is_doubtful(256.0, 36.0)
    assert places.is_doubtful(256.0, 36.3)


def test_what_cannot_be_found_again_is_put_again_later(
    places: Whereabouts, drifting: Drifting, make_command: Make
) -> None:
    drifting.matter[:] = 20.0
    places.see(drifting.observe(make_command(pixels=PIXELS)))
    places.hold(10.0)
    assert not places.can_be_found
    assert not places.is_doubtful(256.0, 35.0)
    assert places.is_doubtful(256.0, 36.0)
    look = places.low_dose("t1")
    assert look is not None
    places.see(drifting.observe(look))
    assert not places.found(look)


def test_what_has_drifted_counts_from_the_question(places: Whereabouts, drifting: Drifting, make_command: Make) -> None:
    command = make_command(pixels=PIXELS)
    seen(places, drifting, command)
    places.rebase(30.0)
    assert places.drifted_nm == (0.0, 0.0)
    drifting.drift_px = (6, -3)
    places.see(drifting.observe(places.low_dose("t2") or command))
    assert places.drifted_nm == pytest.approx((PIXEL_NM, 0.0), abs=0.3 * PIXEL_NM)
    places.release()
    drifting.drift_px = (0, 0)
    places.see(drifting.observe(command))
    places.hold(30.0)
    assert places.drifted_nm == (0.0, 0.0), "a new image is a new reference"
