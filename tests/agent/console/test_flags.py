from collections.abc import Callable

import pytest
from msgspec.structs import replace

from agent.console.flags import doubts, flags
from hardware_bridge.messages import Capabilities, Command, InstrumentState, Limits, Optics, Settings
from hardware_bridge.report import Estimate, Percept

Make = Callable[..., Command]


@pytest.fixture
def flagged(
    limits: Limits, capabilities: Capabilities, make_state: Callable[..., InstrumentState]
) -> Callable[..., list[str]]:
    def told(command: Command, **state: float) -> list[str]:
        return list(flags(command, replace(make_state(0.0), **state), limits, capabilities))

    return told


def test_in_the_middle_nothing_is_told(flagged: Callable[..., list[str]], make_command: Make) -> None:
    assert flagged(make_command(stage_x_nm=0.0)) == []


@pytest.mark.parametrize("x_nm", [-905.0, 905.0])
def test_near_a_limit(flagged: Callable[..., list[str]], make_command: Make, x_nm: float) -> None:
    assert flagged(make_command(stage_x_nm=x_nm)) == [f"stage_x_nm {x_nm:g} is near its limit, -1000 to 1000"]
    assert flagged(make_command(stage_x_nm=x_nm * 0.99)) == []


def test_little_current_is_no_risk_and_much_is(flagged: Callable[..., list[str]], make_command: Make) -> None:
    def current(value_pA: float) -> Command:
        return replace(make_command(), set=Settings(optics=Optics(beam_current_pA=value_pA)))

    assert flagged(current(1.5)) == []
    assert flagged(current(195.0)) == ["beam_current_pA 195 is near its limit, 1 to 200"]


def test_near_damage(flagged: Callable[..., list[str]], make_command: Make) -> None:
    close = make_command(fov_nm=10.0, pixels=512)
    assert close.acquire is not None
    (told,) = flagged(replace(close, acquire=replace(close.acquire, dwell_s=1e-5)))
    assert told.startswith("near damage: ")
    (told,) = flagged(make_command(), fluence_max_e_per_A2=450.0)
    assert told.startswith("near damage if it meets the most exposed cell: 450")


def test_what_the_last_look_leaves_in_doubt(capabilities: Capabilities) -> None:
    percept = Percept(command_id="c", mode="HAADF", start_s=0.0, end_s=1.0, width_nm=256.0)
    assert list(doubts(percept, capabilities)) == []
    estimates = {"drift_x_nm": Estimate(value=0.0, sd=6.0), "defocus_error_nm": Estimate(value=0.0, sd=80.0)}
    worse = replace(percept, novelty=7.0, quality={"drift_in_frame_nm": 3.0}, estimates=estimates)
    place, focus = "its place is known to 6 nm only", "defocus is known to 80 nm only: it may blur by 0.8 nm"
    assert list(doubts(worse, capabilities)) == [
        "drift: 3 nm within the last image", place, focus,
        "the last image is unlike those before, by 7 standard deviations",
    ]  # fmt: skip
