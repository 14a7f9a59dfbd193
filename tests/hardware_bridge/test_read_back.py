"""A vendor that clamps, rounds or ignores a value without a word is noticed before anything is exposed."""

import math

import pytest
from bench import LIMITS, Bench, scan
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from experiments.small_column import STATE
from hardware_bridge.guard import Guard
from hardware_bridge.messages import Capabilities, Command, End, Go, Holder, InstrumentState, Optics, Settings
from hardware_bridge.observation import Start
from hardware_bridge.read_back import mismatch


def reading(**values: float) -> InstrumentState:
    """A read-back that differs in some settings."""
    go = {name: value for name, value in values.items() if name in Go.__struct_fields__}
    optics = {name: value for name, value in values.items() if name in Optics.__struct_fields__}
    return replace(STATE, go=replace(STATE.go, **go), optics=replace(STATE.optics, **optics))


def test_what_was_taken_is_right_and_what_was_not_asked_for_does_not_matter() -> None:
    command = Command(id="a", go=Go(stage_x_nm=100.0, approach="from_negative"))
    assert mismatch(command, reading(stage_x_nm=100.0, stage_y_nm=7.0, C10_nm=9.0), {}) is None


@pytest.mark.parametrize("there", [100.0, -3.0, 100.0002])
def test_the_field_what_was_asked_what_is_read_and_the_tolerance_are_told(there: float) -> None:
    command = Command(id="a", set=Settings(optics=Optics(C10_nm=200.0)))
    why = mismatch(command, reading(C10_nm=there), {"C10_nm": 0.5})
    assert why == f"set.optics.C10_nm = 200 reads back {there:.9g}: tolerance 0.5"
    assert mismatch(command, replace(STATE, optics=Optics()), {}) == (
        "set.optics.C10_nm = 200 reads back nothing: tolerance 0.0002"
    )


@given(asked=st.floats(-1e6, 1e6), off=st.floats(0, 2))
def test_a_declared_tolerance_is_a_wall_and_without_one_it_is_a_millionth(asked: float, off: float) -> None:
    command = Command(id="a", go=Go(stage_z_nm=asked))
    there = asked + off
    assert (mismatch(command, reading(stage_z_nm=there), {"stage_z_nm": 1.0}) is None) == (abs(there - asked) <= 1.0)
    assert (mismatch(command, reading(stage_z_nm=there), {}) is None) == (
        abs(there - asked) <= 1e-6 * max(1, abs(asked))
    )


def test_angles_are_compared_on_the_circle() -> None:
    turned = Command(id="a", go=Go(scan_rotation_deg=-90.0), set=Settings(optics=Optics(phi12_rad=3.0)))
    assert mismatch(turned, reading(scan_rotation_deg=270.0, phi12_rad=3.0 - 2 * math.pi), {}) is None
    assert mismatch(turned, reading(scan_rotation_deg=90.0, phi12_rad=3.0), {}) is not None
    assert mismatch(turned, reading(scan_rotation_deg=-90.0, phi12_rad=3.0 - math.pi), {}) is None
    assert mismatch(turned, reading(scan_rotation_deg=-90.0, phi12_rad=3.0 - math.pi / 2), {}) is not None
    threefold = Command(id="a", set=Settings(optics=Optics(phi23_rad=1.0, phi21_rad=1.0)))
    assert mismatch(threefold, reading(phi23_rad=1.0 - 2 * math.pi / 3, phi21_rad=1.0), {}) is None
    assert mismatch(threefold, reading(phi23_rad=1.0, phi21_rad=1.0 - 2 * math.pi / 3), {}) is not None
    tilted = Command(id="a", go=Go(tilt_alpha_deg=0.0))
    assert mismatch(tilted, reading(tilt_alpha_deg=360.0), {}) is not None


class Clamping(Bench):
    """Takes no stage position beyond 50 nm and no defocus at all, and says nothing; its lens reads back late."""

    tolerance: dict[str, float] = {}

    def describe(self) -> Capabilities:
        return replace(super().describe(), read_back_tolerance=self.tolerance)

    def state(self) -> InstrumentState:
        state = super().state()
        x_nm = min(state.go.stage_x_nm or 0.0, 50.0)
        return replace(state, go=replace(state.go, stage_x_nm=x_nm), optics=replace(state.optics, C10_nm=0.0))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Command(id="a", go=Go(stage_x_nm=60.0)), "go.stage_x_nm = 60 reads back 50: tolerance 6e-05"),
        (
            Command(id="a", set=Settings(optics=Optics(C10_nm=-5.0))),
            "set.optics.C10_nm = -5 reads back 0: tolerance 5e-06",
        ),
    ],
)
@pytest.mark.parametrize("is_scanned", [True, False])
def test_it_is_noticed_before_anything_is_exposed(asked: Command, said: str, is_scanned: bool) -> None:
    bench = Clamping()
    guard = Guard(bench, LIMITS)
    guard.submit(replace(asked, acquire=scan("a").acquire) if is_scanned else asked)
    *starts, end = guard.watch(1.0)
    assert isinstance(end, End)
    assert [type(part) for part in starts] == [Start] * is_scanned  # and not one chunk
    assert (end.aborted, end.reason, end.chunks) == (True, said, 0)
    assert bench.state().beam_blanked
    assert guard.state().electrons_charged == 0.0
    guard.submit(scan("b"))
    assert not guard.gather(1.0).aborted


def test_within_what_the_driver_declares_nothing_is_wrong() -> None:
    bench = Clamping()
    bench.tolerance = {"stage_x_nm": 10.0}
    guard = Guard(bench, LIMITS)
    guard.submit(replace(scan("a"), go=Go(stage_x_nm=60.0)))
    assert not guard.gather(1.0).aborted


def test_the_holder_may_follow_slowly() -> None:
    command = Command(id="a", set=Settings(holder=Holder(flow_nl_per_s=20.0)))
    assert mismatch(command, STATE, {}) is None
