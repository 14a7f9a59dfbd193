"""Commands, books, pointing and focus: what all policies stand on."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from hardware_bridge.cost import predict
from hardware_bridge.dose import predict_charge
from hardware_bridge.geometry import field_centre_nm
from hardware_bridge.messages import Go, Range
from hardware_bridge.report import Estimate, Percept
from policies.book import Book, with_current
from policies.commands import View, aim, clipped, command_id, looking
from policies.focus import Focus, FocusSettings
from policies.interface import Turn
from policies.pointing import Pointing

VIEW = View(fov_nm=256.0, pixels=128, dwell_s=1e-5)


def test_names_are_unique_in_a_run_and_valid() -> None:
    names = {command_id("bayes", 7, turn, rank) for turn in range(300) for rank in range(8)}
    assert len(names) == 2400
    assert command_id("bayes", 7, 12, 0) == "bayes-s7-t0012-a"


def test_a_view_of_many_frames_is_one_command() -> None:
    command = looking("film", Go(), replace(VIEW, frames=500), 10.0, 0.0)
    assert command.acquire is not None
    assert command.acquire.max_frames == 500
    assert replace(command.acquire, max_frames=1) == looking("image", Go(), VIEW, 10.0, 0.0).acquire


def test_small_moves_are_beam_shifts(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    capabilities, limits = bench.setup.capabilities, bench.setup.limits
    near = aim((30.0, -40.0), bench.state, capabilities, limits)
    assert (near.stage_x_nm, near.stage_y_nm) == (0.0, 0.0)
    far = aim((300.0, -40.0), bench.state, capabilities, limits)
    assert (far.beam_shift_x_nm, far.beam_shift_y_nm) == (0.0, 0.0)
    for go, point in ((near, (30.0, -40.0)), (far, (300.0, -40.0))):
        assert field_centre_nm(go, capabilities) == pytest.approx(point)


def test_where_backlash_was_measured_the_stage_comes_from_the_negative_side(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    limits, played = bench.setup.limits, replace(bench.setup.capabilities, backlash_nm=12.0)
    assert aim((300.0, -40.0), bench.state, bench.setup.capabilities, limits).approach == "direct"
    assert aim((300.0, -40.0), bench.state, played, limits).approach == "from_negative"
    # The stage stays: there is nothing to approach.
    assert aim((30.0, -40.0), bench.state, played, limits).approach == "direct"
    alone = replace(limits, ranges={name: r for name, r in limits.ranges.items() if not name.startswith("beam_shift")})
    assert aim((5.0, 5.0), bench.state, played, alone).approach == "from_negative"


def test_without_a_range_for_beam_shifts_the_stage_moves(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    ranges = {name: r for name, r in bench.setup.limits.ranges.items() if not name.startswith("beam_shift")}
    go = aim((5.0, 5.0), bench.state, bench.setup.capabilities, replace(bench.setup.limits, ranges=ranges))
    assert go.beam_shift_x_nm is None
    assert field_centre_nm(go, bench.setup.capabilities) == pytest.approx((5.0, 5.0))


def test_clipped() -> None:
    assert clipped(5.0, Range(low=0.0, high=2.0)) == 2.0
    assert clipped(-5.0, Range(low=0.0, high=2.0)) == 0.0
    assert clipped(5.0, None) == 5.0


def test_the_even_current_spends_evenly(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    book, situation = Book(bench.setup), bench.situation(0)
    command = looking("c", aim((0.0, 0.0), bench.state, bench.setup.capabilities, bench.setup.limits), VIEW, 1.0, 0.0)
    for spend in (0.5, 1.0, 3.0):
        real = with_current(command, book.even_current_pA(command, situation, spend))
        charge = predict_charge(real, bench.setup.limits, bench.state, bench.setup.capabilities)
        time_s = predict(real, bench.state, bench.setup.capabilities).time_s
        assert charge.electrons / bench.setup.max_electrons == pytest.approx(spend * time_s / 600.0)


def test_a_full_cell_allows_no_current(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    limits = replace(bench.setup.limits, max_fluence_e_per_A2=0.05)
    setup = type(bench.setup)(bench.setup.capabilities, limits, bench.setup.card, 10.0, 610.0, 1e9)
    book, situation = Book(setup), bench.situation(0)
    command = looking("c", aim((0.0, 0.0), bench.state, setup.capabilities, limits), VIEW, 1.0, 0.0)
    currents = []
    while (current := book.even_current_pA(command, situation, 100.0)) > 0.0:
        ran = with_current(command, current)
        assert book.price(ran, situation) is not None
        book.ingest(Turn(len(currents), ran, None, "approved", ""))
        currents.append(current)
    # Each look leaves most of the rest to others, until the least current is too much.
    assert 1 < len(currents) < 100
    assert currents[1] == pytest.approx(0.75 * currents[0], rel=0.05)
    assert book.price(with_current(command, currents[0]), situation) is None
    # Elsewhere there is room.
    away = looking("d", aim((600.0, 0.0), bench.state, setup.capabilities, limits), VIEW, 1.0, 0.0)
    assert book.even_current_pA(away, situation, 100.0) > 0.0


def test_rejected_commands_cost_nothing_and_failed_ones_all(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    command = looking("c", aim((0.0, 0.0), bench.state, bench.setup.capabilities, bench.setup.limits), VIEW, 5.0, 0.0)
    charged = {}
    for verdict in ("rejected", "failed", "approved"):
        book = Book(bench.setup)
        book.ingest(Turn(0, command, None, verdict, ""))
        charged[verdict] = book.ledger.fluence_e_per_A2.max()
    assert charged["rejected"] == 0.0 < charged["failed"] == charged["approved"]


def test_the_book_covers_what_the_guard_charges(make_bench: Callable[..., Any]) -> None:
    """Cell by cell never less than the ledger beside the instrument, though the position's sd is not known here."""
    bench = make_bench()
    book = Book(bench.setup)
    for i, point in enumerate(((0.0, 0.0), (-700.0, 640.0), (30.0, 20.0))):
        go = aim(point, bench.state, bench.setup.capabilities, bench.setup.limits)
        turn = bench.execute(looking(f"c{i}", go, VIEW, 10.0, 0.0), bench.situation(i))
        book.ingest(turn)
    assert (book.ledger.fluence_e_per_A2 >= bench.ledger.fluence_e_per_A2 - 1e-12).all()


def test_pointing_stays_on_the_map(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    pointing = Pointing(bench.setup)
    pointing.offset_nm = (-200.0, 0.0)
    go = pointing.go((1024.0, 0.0), 256.0, bench.state)
    x, y = field_centre_nm(go, bench.setup.capabilities)
    # Half a field, three standard deviations of the position and the probe's radius inside of the edge.
    assert x == pytest.approx(1088.0 - 128.0 - 6.0 - 0.1, abs=1e-5)
    assert y == pytest.approx(0.0)


def seen(x: float, y: float, error_nm: float, sd_nm: float, end_s: float = 60.0) -> Percept:
    return Percept(
        command_id="c",
        mode="HAADF",
        start_s=end_s - 1.0,
        end_s=end_s,
        x_nm=x,
        y_nm=y,
        width_nm=512.0,
        height_nm=512.0,
        estimates={"defocus_error_nm": Estimate(value=error_nm, sd=sd_nm)},
    )


def test_focus_learns_a_paraboloid_from_few_pairs(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    focus, rng = Focus(FocusSettings(), bench.setup), np.random.default_rng(0)
    before = focus.best((700.0, 700.0), 60.0)
    for x in (-768.0, 0.0, 768.0):
        for y in (-768.0, 0.0, 768.0):
            C10_nm = 150.0
            focus.ingest(seen(x, y, bench.C10_in_focus_nm(x, y) - C10_nm + rng.normal(0.0, 20.0), 20.0), C10_nm)
    errors = []
    for x, y in rng.uniform(-800.0, 800.0, (40, 2)):
        mean, sd = focus.best((x, y), 60.0)
        errors.append((mean - bench.C10_in_focus_nm(x, y)) / sd)
    assert 0.1 < float(np.std(errors)) < 1.5
    assert focus.best((700.0, 700.0), 60.0)[1] < 0.1 * before[1]


def test_focus_grows_uncertain_with_time(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    focus = Focus(FocusSettings(), bench.setup)
    focus.ingest(seen(0.0, 0.0, 0.0, 10.0), 300.0)
    early, late = focus.best((0.0, 0.0), 61.0), focus.best((0.0, 0.0), 361.0)
    assert early[0] == pytest.approx(300.0, abs=5.0)
    assert late[1] ** 2 - early[1] ** 2 == pytest.approx(100.0**2 * 300.0 / 600.0, rel=0.1)


def test_what_focus_would_be_known_to_is_what_it_is_then(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    focus = Focus(FocusSettings(), bench.setup)
    places = [(-500.0, 0.0), (0.0, 300.0), (600.0, -600.0)]
    predicted = focus.after((0.0, 0.0), places, 60.0, 25.0)
    focus.ingest(seen(0.0, 0.0, 40.0, 25.0), 0.0)
    np.testing.assert_allclose(predicted, focus.over(places, 60.0)[1], rtol=1e-9)


@pytest.mark.parametrize("sd_nm", [0.0, 5000.0])
def test_useless_estimates_are_left_out(make_bench: Callable[..., Any], sd_nm: float) -> None:
    bench = make_bench()
    focus = Focus(FocusSettings(), bench.setup)
    before = focus.best((0.0, 0.0), 60.0)
    focus.ingest(seen(0.0, 0.0, 100.0, sd_nm), 0.0)
    assert focus.best((0.0, 0.0), 60.0) == before
    assert math.isfinite(focus.best((0.0, 0.0), 60.0)[1])
