"""Nothing outside the envelope gets through: every face of the ranges, tilt and height, swept paths, interlocks."""

import math

import pytest
from bench import CAPABILITIES, LIMITS, Bench, scan
from hypothesis import assume, example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from experiments.small_column import ORIGIN, RANGES, STATE
from hardware_bridge import safety
from hardware_bridge.cost import ELECTRONS_PER_PA_S
from hardware_bridge.dose import DoseLedger
from hardware_bridge.errors import Malformed, Rejected
from hardware_bridge.geometry import merged
from hardware_bridge.guard import Guard
from hardware_bridge.messages import Acquire, Box, Command, Go, Holder, InstrumentState, Limits, Optics, Range, Settings

GO = tuple(name for name in RANGES if name in Go.__struct_fields__)
OPTICS = tuple(name for name in RANGES if name in Optics.__struct_fields__)
HOLDER = tuple(name for name in RANGES if name in Holder.__struct_fields__)
ACQUIRE = tuple(name for name in RANGES if name in Acquire.__struct_fields__)
# Walls other than the one that a test is about, moved out of its way.
OPEN = replace(
    LIMITS,
    z_loss_per_deg_nm=0.0,
    keep_out=(),
    max_step_nm=1e9,
    dose_map=Box(x=Range(low=-1e4, high=1e4), y=Range(low=-1e4, high=1e4)),
    dose_cell_nm=1e3,
    max_electrons=1e18,
    max_fluence_e_per_A2=1e18,
    max_dose_rate_e_per_A2_s=1e18,
)


def refused(command: Command, limits: Limits = LIMITS, state: InstrumentState = STATE) -> Rejected | None:
    """The refusal of a command; None where it may run."""
    try:
        safety.check(command, limits, state, CAPABILITIES, DoseLedger(limits))
    except Rejected as rejected:
        return rejected
    return None


def setting(name: str, value: float) -> Command:
    """A command that sets one field."""
    if name in GO:
        return Command(id="a", go=Go(**{name: value}))
    if name in OPTICS:
        return Command(id="a", set=Settings(optics=Optics(**{name: value})))
    if name in HOLDER:
        return Command(id="a", set=Settings(holder=Holder(**{name: value})))
    acquire = scan("a").acquire
    assert acquire is not None
    return Command(id="a", acquire=replace(acquire, **{name: value}))


@pytest.mark.parametrize("name", RANGES)
def test_each_face_of_the_ranges_holds_to_the_last_bit(name: str) -> None:
    low, high = RANGES[name].low, RANGES[name].high
    for inside in (low, high):
        assert refused(setting(name, int(inside) if name.startswith(("pixels", "max_f")) else inside), OPEN) is None
    for outside in (math.nextafter(low, -math.inf), math.nextafter(high, math.inf)):
        rejected = refused(setting(name, outside), OPEN)
        assert rejected is not None
        assert rejected.code == "range"
        assert rejected.path.endswith(f".{name}")
        assert rejected.limit == f"{low:g}..{high:g}"


@given(name=st.sampled_from(sorted(RANGES)), value=st.floats(allow_nan=True, allow_infinity=True))
@example(name="C10_nm", value=math.nan)
@example(name="C10_nm", value=1e308)
@example(name="dwell_s", value=math.inf)
def test_any_number_is_inside_its_range_or_refused(name: str, value: float) -> None:
    allowed = RANGES[name]
    rejected = refused(setting(name, value), OPEN)
    assert (rejected is None) == (allowed.low <= value <= allowed.high)


@pytest.mark.parametrize("name", ["C30_um", "C12_nm"])
def test_a_setting_without_a_range_cannot_be_commanded(name: str) -> None:
    rejected = refused(Command(id="a", set=Settings(optics=Optics(**{name: 0.0}))))
    assert rejected is not None
    assert (rejected.code, rejected.path) == ("no_range", f"set.optics.{name}")


@given(tilt=st.floats(-30, 30), height=st.floats(-5000, 5000))
def test_height_narrows_with_tilt(tilt: float, height: float) -> None:
    state = replace(STATE, go=replace(ORIGIN, stage_z_nm=height))
    limits = replace(OPEN, z_loss_per_deg_nm=100.0)
    rejected = refused(Command(id="a", go=Go(tilt_alpha_deg=tilt)), limits, state)
    margin = 5000 - 100 * abs(tilt) - abs(height)
    assume(abs(margin) > 1e-6)
    assert (rejected is None) == (margin > 0)
    if rejected is not None:
        assert rejected.code == "tilt_height"


def test_tilt_that_was_there_before_counts_for_a_later_height() -> None:
    tilted = replace(STATE, go=replace(ORIGIN, tilt_alpha_deg=30.0))
    rejected = refused(Command(id="a", go=Go(stage_z_nm=2001.0)), replace(OPEN, z_loss_per_deg_nm=100.0), tilted)
    assert rejected is not None
    assert rejected.code == "tilt_height"


@pytest.mark.parametrize(
    ("before", "asked"),
    [
        pytest.param(
            Go(stage_z_nm=4000.0, tilt_alpha_deg=0.0), Go(stage_z_nm=0.0, tilt_alpha_deg=30.0), id="tilts first"
        ),
        pytest.param(
            Go(stage_z_nm=0.0, tilt_alpha_deg=-30.0), Go(stage_z_nm=4000.0, tilt_alpha_deg=0.0), id="rises first"
        ),
    ],
)
def test_a_tilt_is_safe_whichever_axis_moves_first(before: Go, asked: Go) -> None:
    limits = replace(OPEN, z_loss_per_deg_nm=100.0)
    state = replace(STATE, go=merged(ORIGIN, before))
    rejected = refused(Command(id="a", go=asked), limits, state)
    assert rejected is not None
    assert rejected.code == "tilt_height"
    # One after the other, in the order that is safe, it may.
    z, tilt = Go(stage_z_nm=asked.stage_z_nm), Go(tilt_alpha_deg=asked.tilt_alpha_deg)
    for go in (z, tilt) if asked.stage_z_nm == 0.0 else (tilt, z):
        assert refused(Command(id="a", go=go), limits, state) is None
        state = replace(state, go=merged(state.go, go))


POINT = st.tuples(*[st.floats(-1000, 1000).map(lambda v: round(v, 3))] * 2)


@given(start=POINT, end=POINT)
@example(start=(0.0, 350.0), end=(1000.0, 350.0))
@example(start=(200.0, 200.0), end=(500.0, 500.0))
@example(start=(300.0, 0.0), end=(300.0, 1000.0))
def test_the_path_and_not_only_its_end_keeps_out(start: tuple[float, float], end: tuple[float, float]) -> None:
    limits = replace(OPEN, keep_out=LIMITS.keep_out)
    state = replace(STATE, go=replace(ORIGIN, stage_x_nm=start[0], stage_y_nm=start[1]))
    rejected = refused(Command(id="a", go=Go(stage_x_nm=end[0], stage_y_nm=end[1])), limits, state)
    touches = any(
        300 <= start[0] + t * (end[0] - start[0]) <= 400 and 300 <= start[1] + t * (end[1] - start[1]) <= 400
        for t in (i / 400 for i in range(401))
    )
    if touches and start != end:  # the sampled path can miss a corner, but never invents a touch
        assert rejected is not None
        assert rejected.code == "keep_out"
    if max(start[0], end[0]) < 300 or min(start[0], end[0]) > 400 or max(start[1], end[1]) < 300:
        assert rejected is None


def test_a_step_is_limited_in_space_and_not_along_one_axis() -> None:
    limits = replace(OPEN, max_step_nm=1000.0)
    assert refused(Command(id="a", go=Go(stage_x_nm=600.0, stage_y_nm=800.0)), limits) is None
    rejected = refused(Command(id="a", go=Go(stage_x_nm=600.0, stage_y_nm=801.0)), limits)
    assert rejected is not None
    assert rejected.code == "step"


@pytest.mark.parametrize("name", ["vacuum_ok", "valves_open", "high_tension_on", "screen_up", "aperture_inserted"])
def test_nothing_is_acquired_while_an_interlock_is_open(name: str) -> None:
    state = replace(STATE, interlocks=replace(STATE.interlocks, **{name: False}))
    rejected = refused(scan("a"), state=state)
    assert rejected is not None
    assert (rejected.code, rejected.path) == ("interlock", name)
    assert refused(Command(id="a", go=Go(stage_x_nm=1.0)), state=state) is None


def test_nothing_is_acquired_with_a_detector_that_is_out_or_unknown() -> None:
    out = replace(STATE, interlocks=replace(STATE.interlocks, detectors_inserted=("EELS",)))
    rejected = refused(scan("a"), state=out)
    assert rejected is not None
    assert rejected.path == "detectors_inserted"
    acquire = scan("a").acquire
    assert acquire is not None
    rejected = refused(Command(id="a", acquire=replace(acquire, mode="4DSTEM")))
    assert rejected is not None
    assert rejected.code == "mode"


@given(current_pA=st.floats(0, 200))
def test_a_detector_is_never_given_more_electrons_than_it_bears(current_pA: float) -> None:
    limits = replace(OPEN, max_detector_e_per_s={"HAADF": 1e7})
    command = replace(scan("a"), set=Settings(optics=Optics(beam_current_pA=current_pA)))
    worst = current_pA * limits.current_bound * ELECTRONS_PER_PA_S * CAPABILITIES.detector_fraction["HAADF"]
    assert (refused(command, limits) is None) == (worst <= 1e7)


BAD = [math.nan, math.inf, -math.inf, 1e308, True, "1", b"1", [1.0], {"a": 1.0}]


@pytest.mark.parametrize("bad", BAD, ids=repr)
@pytest.mark.parametrize("name", RANGES)
def test_what_is_no_finite_number_reaches_no_instrument(name: str, bad: object) -> None:
    bench = Bench()
    with pytest.raises(Malformed):
        Guard(bench, LIMITS).submit(setting(name, bad))  # type: ignore[arg-type]
    assert not bench.seen


@pytest.mark.parametrize(
    ("before", "asked", "is_safe"),
    [
        ((0.0, 0.0), (10.0, 10.0), True),
        ((0.0, 0.0), (10.0, 11.0), False),
        ((20.0, 0.0), (0.0, 10.0), False),  # beta first: 20 and 10 at once
        ((-20.0, 0.0), (0.0, 0.0), True),
    ],
)
def test_both_tilts_count_whichever_moves_first(
    before: tuple[float, float], asked: tuple[float, float], is_safe: bool
) -> None:
    ranges = {**RANGES, "tilt_beta_deg": Range(low=-30.0, high=30.0)}
    limits = replace(OPEN, ranges=ranges, z_loss_per_deg_nm=100.0)
    go = replace(ORIGIN, stage_z_nm=3000.0, tilt_alpha_deg=before[0], tilt_beta_deg=before[1])
    command = Command(id="a", go=Go(tilt_alpha_deg=asked[0], tilt_beta_deg=asked[1]))
    rejected = refused(command, limits, replace(STATE, go=go))
    assert (rejected is None) == is_safe
    assert is_safe or rejected.code == "tilt_height"  # type: ignore[union-attr]


@given(
    start=st.tuples(st.floats(-1000, 1000), st.floats(-1000, 1000)),
    end=st.tuples(st.floats(-1000, 1000), st.floats(-1000, 1000)),
    is_x_first=st.booleans(),
)
def test_a_move_along_one_axis_after_the_other_keeps_out_too(
    start: tuple[float, float], end: tuple[float, float], is_x_first: bool
) -> None:
    limits = replace(OPEN, keep_out=LIMITS.keep_out)
    state = replace(STATE, go=replace(ORIGIN, stage_x_nm=start[0], stage_y_nm=start[1]))
    if refused(Command(id="a", go=Go(stage_x_nm=end[0], stage_y_nm=end[1])), limits, state) is None:
        corner = (end[0], start[1]) if is_x_first else (start[0], end[1])
        for (x0, y0), (x1, y1) in ((start, corner), (corner, end)):
            for t in (i / 50 for i in range(51)):
                x, y = x0 + t * (x1 - x0), y0 + t * (y1 - y0)
                assert start == end or not (300 < x < 400 and 300 < y < 400)


def test_a_current_that_does_not_read_back_exposes_nothing() -> None:
    dark = replace(STATE, optics=replace(STATE.optics, beam_current_pA=None))
    rejected = refused(scan("a"), OPEN, dark)
    assert rejected is not None
    assert (rejected.code, rejected.path) == ("read_back", "optics.beam_current_pA")
    assert refused(replace(scan("a"), set=Settings(optics=Optics(beam_current_pA=10.0))), OPEN, dark) is None


def test_a_dark_reference_is_charged_nothing_and_only_where_the_instrument_takes_them() -> None:
    dark = scan("dark")
    assert dark.acquire is not None
    dark = replace(dark, acquire=replace(dark.acquire, blanked=True))
    able = replace(CAPABILITIES, dark_references=True)
    charge = safety.check(dark, LIMITS, STATE, able, DoseLedger(LIMITS))
    assert (charge.electrons, charge.fluence_e_per_A2, charge.dose_rate_e_per_A2_s) == (0.0, 0.0, 0.0)
    unread = replace(STATE, optics=replace(STATE.optics, beam_current_pA=None))
    assert safety.check(dark, LIMITS, unread, able, DoseLedger(LIMITS)) == charge
    with pytest.raises(
        Rejected, match=r"acquire\.blanked = true refused \(mode\): limit this instrument takes no dark"
    ):
        safety.check(dark, LIMITS, STATE, CAPABILITIES, DoseLedger(LIMITS))


def test_a_beta_tilt_that_was_there_before_counts_for_a_later_height() -> None:
    tilted = replace(STATE, go=replace(ORIGIN, tilt_alpha_deg=10.0, tilt_beta_deg=-20.0))
    limits = replace(OPEN, z_loss_per_deg_nm=100.0)
    assert refused(Command(id="a", go=Go(stage_z_nm=2000.0)), limits, tilted) is None
    rejected = refused(Command(id="a", go=Go(stage_z_nm=2001.0)), limits, tilted)
    assert rejected is not None
    assert rejected.code == "tilt_height"


@pytest.mark.parametrize(
    ("x_nm", "y_nm", "code"),
    [
        (-950.0, 0.0, ""),
        (-960.0, 0.0, "range"),  # it would turn round at -1010
        (450.0, 350.0, "keep_out"),  # at 400, 300 it would touch the box
        (451.0, 451.0, ""),
    ],
)
def test_where_an_approach_turns_round_is_inside_the_envelope_too(x_nm: float, y_nm: float, code: str) -> None:
    turning = replace(CAPABILITIES, overshoot_nm=50.0)
    go = Go(stage_x_nm=x_nm, stage_y_nm=y_nm, approach="from_negative")
    state = replace(STATE, go=replace(ORIGIN, stage_x_nm=x_nm + 20.0, stage_y_nm=y_nm + 20.0))
    directly = Command(id="a", go=replace(go, approach="direct"))
    for command, capabilities in ((directly, turning), (Command(id="a", go=go), CAPABILITIES)):
        assert safety.check(command, LIMITS, state, capabilities, DoseLedger(LIMITS)).electrons == 0.0
    if code:
        with pytest.raises(Rejected) as caught:
            safety.check(Command(id="a", go=go), LIMITS, state, turning, DoseLedger(LIMITS))
        assert caught.value.code == code
    else:
        safety.check(Command(id="a", go=go), LIMITS, state, turning, DoseLedger(LIMITS))
