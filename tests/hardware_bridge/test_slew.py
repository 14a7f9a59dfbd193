"""No setting jumps, and none changes faster for long than the lab allows, on the instrument's clock."""

import pytest
from bench import LIMITS, Bench
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from experiments.small_column import STATE
from hardware_bridge.errors import Rejected
from hardware_bridge.guard import Guard
from hardware_bridge.messages import Command, Go, Holder, InstrumentState, Range, Settings, Slew
from hardware_bridge.slew import SlewLedger

SLEW = replace(LIMITS, slew={"temperature_K": Slew(step=10.0, per_s=2.0), "tilt_alpha_deg": Slew(step=5.0, per_s=1.0)})


def heat(kelvin: float) -> Command:
    return Command(id="a", set=Settings(holder=Holder(temperature_K=kelvin)))


def at(clock_s: float) -> InstrumentState:
    """The holder's read-back has not moved yet."""
    return replace(STATE, clock_s=clock_s)


def begun() -> SlewLedger:
    """Long after the bridge began: the buckets are empty."""
    ledger = SlewLedger(SLEW)
    ledger.add(Command(id="x"), at(0.0))
    return ledger


def test_a_jump_is_refused_and_a_step_is_not() -> None:
    ledger = begun()
    with pytest.raises(
        Rejected, match=r"temperature_K = a change of 10\.5 refused \(slew\): limit 10 at once and 2 per s"
    ):
        ledger.check(heat(308.5), at(100.0))
    ledger.check(heat(308.0), at(100.0))
    ledger.check(heat(288.0), at(100.0))
    with pytest.raises(Rejected, match="tilt_alpha_deg"):
        ledger.check(Command(id="a", go=Go(tilt_alpha_deg=-5.1)), at(100.0))


def test_the_next_step_waits_for_the_clock_of_the_instrument_and_counts_from_what_was_set() -> None:
    ledger = begun()
    ledger.add(heat(308.0), at(100.0))
    ledger.check(heat(308.0), at(100.0))  # the same again changes nothing, though the read-back lags
    with pytest.raises(Rejected, match="wait 1 s"):
        ledger.check(heat(312.0), at(101.0))
    ledger.check(heat(312.0), at(102.0))
    with pytest.raises(Rejected, match="slew"):
        ledger.check(heat(312.0), at(50.0))  # a clock that went back gives nothing


def test_what_changed_before_the_bridge_began_is_not_known() -> None:
    ledger = SlewLedger(SLEW)
    with pytest.raises(Rejected, match="slew"):
        ledger.check(heat(299.0), at(0.0))
    with pytest.raises(Rejected, match=r"wait 0\.05 s"):
        ledger.check(heat(299.0), at(0.45))
    ledger.check(heat(299.0), at(0.5))  # and needs no other command before it


@given(steps=st.lists(st.tuples(st.floats(0, 10), st.floats(280, 320)), max_size=30))
def test_over_any_time_it_changes_by_a_step_and_the_rate_at_most(steps: list[tuple[float, float]]) -> None:
    ledger, now_s, kelvin, changed = begun(), 100.0, 298.0, 0.0
    for wait_s, asked in steps:
        now_s += wait_s
        try:
            ledger.check(heat(asked), at(now_s))
        except Rejected:
            continue
        ledger.add(heat(asked), at(now_s))
        changed, kelvin = changed + abs(asked - kelvin), asked
        assert changed <= 10.0 + 2.0 * (now_s - 100.0) + 1e-6


def test_the_guard_keeps_it_and_the_way_to_the_safe_state_does_not_wait() -> None:
    limits = replace(SLEW, ranges={**LIMITS.ranges, "temperature_K": Range(low=280.0, high=400.0)})
    bench = Bench()
    guard = Guard(bench, limits)
    with pytest.raises(Rejected, match="slew"):
        guard.submit(heat(350.0))
    assert not bench.seen
    assert not guard.secure(replace(heat(280.0), id="on-loss-1"), 1.0).aborted


def test_what_the_driver_refused_has_not_changed_anything() -> None:
    class Refusing(Bench):
        def submit(self, command: Command) -> None:
            raise Rejected("vendor", "id", command.id, "another time")

    bench = Refusing()
    slew = {"stage_x_nm": Slew(step=100.0, per_s=1e-3)}
    guard = Guard(bench, replace(LIMITS, slew=slew))
    guard._slew._level["stage_x_nm"] = 0.0
    for _ in range(2):
        with pytest.raises(Rejected, match="vendor"):
            guard.submit(Command(id="a", go=Go(stage_x_nm=90.0)))
