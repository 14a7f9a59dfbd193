"""The dose ledger is an upper bound, charged before and reconciled after."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bench import CAPABILITIES, LIMITS, Bench, scan
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from experiments.small_column import ORIGIN, STATE
from hardware_bridge.dose import Charge, DoseLedger, predict_charge
from hardware_bridge.errors import Rejected
from hardware_bridge.geometry import pixel_to_specimen
from hardware_bridge.guard import Guard
from hardware_bridge.journal import FileJournal
from hardware_bridge.messages import Acquire, Command, End, Go, Optics, Range, Settings
from hardware_bridge.microscope import execute
from hardware_bridge.observation import Part

E_PER_PA_S = 1e-12 / 1.602176634e-19


def test_a_scan_is_charged_current_times_time_over_area() -> None:
    command = scan("a", rows=32, frames=3, dwell_s=2e-6)
    charge = predict_charge(command, LIMITS, STATE, CAPABILITIES)
    on_s = 3 * 32 * (32 * 2e-6 + 1e-4)
    electrons = 1.05 * 50.0 * on_s * E_PER_PA_S
    assert charge.electrons == pytest.approx(electrons)
    # The same electrons, spread evenly over the field of 2560 A x 2560 A.
    assert charge.fluence_e_per_A2 == pytest.approx(electrons / 2560.0**2)
    assert charge.dose_rate_e_per_A2_s == pytest.approx(electrons / 2560.0**2 / on_s)


def test_a_broad_beam_is_charged_on_all_of_its_disc() -> None:
    command = Command(id="a", acquire=Acquire(mode="HRTEM", fov_nm=50.0, pixels_x=64, pixels_y=64, dwell_s=0.5))
    charge = predict_charge(command, LIMITS, STATE, replace(CAPABILITIES, lit_diameter_nm=400.0))
    margin = 3 * STATE.position_sd_nm + 200.0
    assert charge.x_high_nm - charge.x_low_nm == pytest.approx(2 * margin)
    assert charge.y_high_nm - charge.y_low_nm == pytest.approx(2 * margin)
    assert charge.fluence_e_per_A2 == pytest.approx(1.05 * 25.0 * E_PER_PA_S / (math.pi * 2000.0**2))


def test_a_probe_parked_in_a_pixel_smaller_than_itself_is_charged_over_its_own_area() -> None:
    command = scan("a")
    assert command.acquire is not None
    command = replace(command, acquire=replace(command.acquire, fov_nm=0.32))  # pixels of 0.1 A, probe of 2 A
    charge = predict_charge(command, LIMITS, STATE, CAPABILITIES)
    per_pixel = 1.05 * 50.0 * (1e-6 + 1e-4 / 32) * E_PER_PA_S
    assert charge.fluence_e_per_A2 == pytest.approx(per_pixel / math.pi)


@given(
    rotation_deg=st.floats(-180, 180),
    row=st.integers(0, 31),
    column=st.integers(0, 31),
    sd_nm=st.floats(0, 50),
    off=st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
)
@example(rotation_deg=0.0, row=0, column=0, sd_nm=50.0, off=(-1.0, -1.0))
@example(rotation_deg=0.0, row=31, column=31, sd_nm=50.0, off=(1.0, 1.0))
def test_the_charged_box_holds_every_pixel_wherever_the_specimen_may_be(
    rotation_deg: float, row: int, column: int, sd_nm: float, off: tuple[float, float]
) -> None:
    state = replace(STATE, position_sd_nm=sd_nm, go=replace(ORIGIN, scan_rotation_deg=rotation_deg))
    command = scan("a")
    assert command.acquire is not None
    charge = predict_charge(command, LIMITS, state, CAPABILITIES)
    x, y = pixel_to_specimen((0.0, 0.0), command.acquire, rotation_deg, (row, column))
    assert charge.x_low_nm <= x + 3 * sd_nm * off[0] <= charge.x_high_nm
    assert charge.y_low_nm <= y + 3 * sd_nm * off[1] <= charge.y_high_nm


def test_every_cell_that_the_box_touches_is_charged_and_no_other() -> None:
    ledger = DoseLedger(LIMITS)
    ledger.add(
        Charge(electrons=1.0, fluence_e_per_A2=2.0, x_low_nm=-1600.0, x_high_nm=-1567.0, y_low_nm=0.0, y_high_nm=1.0)
    )
    charged = np.argwhere(ledger.fluence_e_per_A2 > 0).tolist()
    assert charged == [[50, 0], [50, 1]]


@pytest.mark.parametrize(
    ("limit", "code"),
    [("max_electrons", "dose"), ("max_fluence_e_per_A2", "fluence"), ("max_dose_rate_e_per_A2_s", "dose_rate")],
)
def test_each_limit_of_the_dose_stops_the_command_that_would_pass_it(limit: str, code: str) -> None:
    charge = predict_charge(scan("a"), LIMITS, STATE, CAPABILITIES)
    size = {"dose": charge.electrons, "fluence": charge.fluence_e_per_A2, "dose_rate": charge.dose_rate_e_per_A2_s}
    bench = Bench()
    guard = Guard(bench, replace(LIMITS, **{limit: 0.999 * size[code]}))
    with pytest.raises(Rejected) as caught:
        guard.submit(scan("a"))
    assert caught.value.code == code
    assert not bench.seen
    assert guard.state().electrons_charged == 0.0


def test_the_budget_counts_what_was_spent_before() -> None:
    charge = predict_charge(scan("a"), LIMITS, STATE, CAPABILITIES)
    guard = Guard(Bench(), replace(LIMITS, max_electrons=2.5 * charge.electrons))
    for name in "ab":
        guard.submit(scan(name))
        guard.gather(1.0)
    with pytest.raises(Rejected, match=r"electrons .*dose"):
        guard.submit(scan("c"))


def test_fluence_adds_up_where_fields_overlap_and_nowhere_else() -> None:
    charge = predict_charge(scan("a"), LIMITS, STATE, CAPABILITIES)
    guard = Guard(Bench(), replace(LIMITS, max_fluence_e_per_A2=1.5 * charge.fluence_e_per_A2))
    guard.submit(scan("a"))
    guard.gather(1.0)
    with pytest.raises(Rejected, match="fluence"):
        guard.submit(replace(scan("b"), go=Go(stage_x_nm=200.0)))
    guard.submit(replace(scan("c"), go=Go(stage_x_nm=600.0)))


def test_a_field_that_leaves_the_map_is_refused() -> None:
    limits = replace(LIMITS, dose_map=replace(LIMITS.dose_map, x=replace(LIMITS.dose_map.x, high=100.0)))
    with pytest.raises(Rejected, match="dose_map"):
        Guard(Bench(), limits).submit(scan("a"))


@given(shares=st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_what_was_not_exposed_is_given_back_and_no_more(shares: list[float]) -> None:
    ledger = DoseLedger(LIMITS)
    charge = predict_charge(scan("a"), LIMITS, STATE, CAPABILITIES)
    for share in shares:
        ledger.add(charge)
        ledger.refund(charge, share)
    assert ledger.electrons == pytest.approx(sum(shares) * charge.electrons, abs=1e-6 * charge.electrons)
    assert ledger.fluence_e_per_A2.max() == pytest.approx(
        sum(shares) * charge.fluence_e_per_A2, abs=1e-6 * charge.fluence_e_per_A2
    )


def test_what_a_slow_shutter_let_through_is_charged_here_and_after_a_restart(tmp_path: Path) -> None:
    class Slow(Bench):
        def watch(self, timeout_s: float) -> Iterator[Part]:
            for part in super().watch(timeout_s):
                yield replace(part, electrons=1.3 * part.electrons) if isinstance(part, End) else part

    journal = FileJournal(tmp_path / "journal")
    guard = Guard(Slow(), LIMITS, journal)
    charge = predict_charge(scan("a"), LIMITS, STATE, CAPABILITIES)
    seen = execute(guard, scan("a"), 1.0)
    journal.close()
    assert seen.electrons_charged == pytest.approx(1.3 * charge.electrons)
    assert seen.state.fluence_max_e_per_A2 == pytest.approx(1.3 * charge.fluence_e_per_A2)
    again = FileJournal(tmp_path / "journal")
    ledger = again.past.ledger(LIMITS)
    again.close()
    assert ledger.electrons == pytest.approx(seen.electrons_charged)
    assert ledger.fluence_e_per_A2.max() == pytest.approx(seen.state.fluence_max_e_per_A2)


def test_a_charge_that_leaves_the_map_adds_nothing() -> None:
    charge = predict_charge(scan("a"), LIMITS, STATE, CAPABILITIES)
    ledger = DoseLedger(LIMITS)
    with pytest.raises(Rejected, match="dose_map"):
        ledger.add(replace(charge, x_high_nm=1e6))
    assert ledger.electrons == 0.0


def test_a_commanded_current_is_charged_and_not_the_one_before() -> None:
    command = replace(scan("a"), set=Settings(optics=Optics(beam_current_pA=100.0)))
    before = predict_charge(scan("a"), LIMITS, STATE, CAPABILITIES)
    assert predict_charge(command, LIMITS, STATE, CAPABILITIES).electrons == pytest.approx(2 * before.electrons)


def test_a_move_alone_is_charged_nothing() -> None:
    assert predict_charge(Command(id="a", go=Go(stage_x_nm=1.0)), LIMITS, STATE, CAPABILITIES) == Charge()


def test_a_map_that_nobody_could_keep_is_refused() -> None:
    with pytest.raises(ValueError, match=r"dose_cell_nm = 0\.001: a map of 1\.02e\+13 cells"):
        DoseLedger(replace(LIMITS, dose_cell_nm=0.001))
    with pytest.raises(ValueError, match="dose_map"):
        DoseLedger(replace(LIMITS, dose_map=replace(LIMITS.dose_map, x=Range(low=1.0, high=1.0))))
