"""What the agent does on de-twin: how its policies decide, and (slow) that it focuses there and sees what is there."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from foreign import python_of

from experiments.foreign_detwin import study
from experiments.foreign_detwin.eyes import ESTIMATE
from experiments.foreign_detwin.limits import limits
from experiments.foreign_detwin.policy import ASIDE, ENOUGH_SD_NM, SERIES, STEP_ASIDE_NM, Focusing, Survey, grid
from experiments.foreign_detwin.running import microscope
from hardware_bridge.client import Client
from hardware_bridge.messages import Capabilities, Command, Go, Holder, InstrumentState, Interlocks, Optics, Settings
from hardware_bridge.microscope import execute
from hardware_bridge.report import Card, Estimate, Percept
from policies.interface import Setup, Situation, Turn

VIEW = study.view(384.0, 512, 0.1)
CAPABILITIES = Capabilities(
    name="tem",
    version="1",
    time="real",
    beam_energy_keV=200.0,
    convergence_semi_angle_mrad=0.08,
    collection_semi_angle_mrad=1.0,
    haadf_inner_mrad=1.0,
    haadf_outer_mrad=1.0,
    modes=("HRTEM",),
    holder_channels=(),
    probe_diameter_nm=4000.0,
    energy_offset_eV=0.0,
    energy_step_eV=1.0,
    energy_channels=1,
    detector_fraction={"HRTEM": 1e-8},
    stage_to_specimen=(0.0, 1.0, -1.0, 0.0),
    beam_shift_to_specimen=(1.0, 0.0, 0.0, 1.0),
    stage_speed_nm_per_s=1e5,
    decision_s=0.0,
    settle_s=0.0,
    flyback_s=0.0,
    frame_overhead_s=0.0,
    blank_latency_s=0.01,
)
CARD = Card(
    world="detwin", version=1, extent_nm=1e5, cells=1, times_s=(), duration_s=1.0, budget_electrons=1.0,
    max_fluence_e_per_A2=1.0, targets=(),
)  # fmt: skip
SETUP = Setup(CAPABILITIES, limits(), CARD, 0.0, 3600.0, 1e12)
STATE = InstrumentState(
    clock_s=0.0,
    go=Go(stage_x_nm=100.0, stage_y_nm=-50.0),
    optics=Optics(beam_current_pA=600.0, C10_nm=1000.0),
    holder=Holder(),
    beam_blanked=True,
    interlocks=Interlocks(
        vacuum_ok=True, valves_open=True, high_tension_on=True, screen_up=True, aperture_inserted=True,
        detectors_inserted=("HRTEM",),
    ),
)  # fmt: skip


def asked(policy: Focusing | Survey, turn: int) -> Command | None:
    """The command that a policy puts first."""
    proposals = policy.suggest(Situation(turn, STATE, 1e12, 3600.0), 4)
    return proposals[0].command if proposals else None


def told(policy: Focusing | Survey, command: Command, error: Estimate | None, usable: float = 1.0) -> None:
    """Tell a policy what came of its command."""
    percept = Percept(
        command_id=command.id,
        mode="HRTEM",
        start_s=0.0,
        end_s=1.0,
        quality={"usable": usable},
        estimates={} if error is None else {ESTIMATE: error},
    )
    policy.ingest(Turn(0, command, percept, "approved", ""))


def test_focusing_goes_where_the_rings_say_and_ends() -> None:
    policy = Focusing(VIEW, "focus")
    policy.begin(SETUP, 0)
    C10_nm = []
    for turn in range(20):
        command = asked(policy, turn)
        if command is None:
            break
        assert command.set.optics.C10_nm is not None
        C10_nm.append(command.set.optics.C10_nm)
        known = len(C10_nm) >= SERIES
        told(policy, command, Estimate(value=-250.0 - C10_nm[-1], sd=20.0) if known else None)
    assert C10_nm == [1000.0, 100.0, 1900.0, -250.0]
    assert policy.found == (-250.0, 20.0)


def test_an_image_that_did_not_come_is_taken_again() -> None:
    policy = Focusing(VIEW, "focus")
    policy.begin(SETUP, 0)
    first = asked(policy, 0)
    assert first is not None
    told(policy, first, None, usable=0.0)
    again = asked(policy, 1)
    assert again is not None
    assert again.set == first.set


def test_a_place_without_rings_is_left_and_in_the_end_C10_is_put_back() -> None:
    policy = Focusing(VIEW, "focus")
    policy.begin(SETUP, 0)
    places, last = [], None
    for turn in range(SERIES * len(ASIDE) + 1):
        last = asked(policy, turn)
        assert last is not None
        places.append((last.go.stage_x_nm, last.go.stage_y_nm))
        told(policy, last, None, usable=float(last.acquire is not None))
    assert places[SERIES] == (100.0 + STEP_ASIDE_NM, -50.0)
    assert len(set(places[:-1])) == len(ASIDE)
    assert last is not None
    assert last.acquire is None
    assert last.set.optics.C10_nm == 1000.0
    assert asked(policy, 99) is None
    assert policy.found is None


def test_the_survey_sees_every_point_of_the_grid_once_by_the_measured_map() -> None:
    points = grid((0.0, 0.0), 3, 100.0)
    assert sorted(points) == sorted((x, y) for x in (-100.0, 0.0, 100.0) for y in (-100.0, 0.0, 100.0))
    policy = Survey(VIEW, "survey", points)
    policy.begin(SETUP, 0)
    for turn, (x_nm, y_nm) in enumerate(points):
        command = asked(policy, turn)
        assert command is not None
        # stage_to_specimen turns (x, y) into (y, -x).
        assert (command.go.stage_x_nm, command.go.stage_y_nm) == pytest.approx((-y_nm, x_nm))
        assert command.go.approach == "from_negative"
        told(policy, command, None)
    assert asked(policy, 99) is None


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("start_nm", [-1500.0, 1500.0])
def test_it_focuses_on_de_twin(start_nm: float, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        tem = stack.enter_context(microscope(python_of("detwin"), seed=3))
        # What the experiment measures with the stage: pixels 1.4 % off would put focus 3 % of the defocus off.
        scale = tem.truth()["pixel_nm"] * 1024 / study.NOMINAL_FOV_NM
        client = stack.enter_context(Client(stack.enter_context(tem.served(tmp_path / "bridge", pixel_scale=scale))))
        spoil = Command(id="spoil", set=Settings(optics=Optics(C10_nm=start_nm)))
        execute(client, spoil, study.SILENCE_S)
        before = tem.truth()["C10_nm"]
        policy = Focusing(study.view(study.NOMINAL_FOV_NM * scale, 1024, 1.0), "focus")
        taken = list(study.turns(client, policy, tmp_path / "run", 0))
        after = tem.truth()["C10_nm"]
    assert policy.found is not None
    assert abs(before) > 900.0
    assert abs(after) < 3.0 * policy.found[1]
    assert policy.found[1] < ENOUGH_SD_NM
    assert sum(image is not None for _, image in taken) >= SERIES + 1
