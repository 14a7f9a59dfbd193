import math
import re
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from agent.record import Decision, Record
from agent.review import Autonomous, Walls
from hardware_bridge.dose import predict_charge
from hardware_bridge.errors import Rejected
from hardware_bridge.geometry import merged
from hardware_bridge.guard import Guard
from hardware_bridge.messages import Capabilities, Command, End, Go, InstrumentState, Limits, Range, Slew
from hardware_bridge.observation import Observation, Part
from policies.interface import Proposal, Situation

Make = Callable[..., Command]


@pytest.fixture
def walls(limits: Limits, capabilities: Capabilities) -> Walls:
    return Walls(limits, capabilities, {"stage_x_nm": Range(low=-100.0, high=100.0)})


@pytest.fixture
def decide(
    walls: Walls, make_proposal: Callable[..., Proposal], make_situation: Callable[..., Situation]
) -> Callable[..., Decision]:
    def decide_over(*commands: Command, electrons_left: float = 1e9) -> Decision:
        proposals = [make_proposal(command, reason=f"because of {command.id}") for command in commands]
        return Autonomous(walls)(proposals, make_situation(electrons_left=electrons_left))

    return decide_over


def test_the_best_inside_the_envelope_is_taken(decide: Callable[..., Decision], make_command: Make) -> None:
    best, second = make_command("best", stage_x_nm=50.0), make_command("second")
    decision = decide(best, second)
    assert (decision.verdict, decision.by, decision.command) == ("approved", "envelope", best)
    assert decision.reason == "because of best"
    assert decision.waited_s == 0.0
    assert [shown.command for shown in decision.proposals] == [best, second]


def test_the_next_is_taken_where_the_best_is_outside(decide: Callable[..., Decision], make_command: Make) -> None:
    decision = decide(make_command("far", stage_x_nm=101.0), make_command("near", stage_x_nm=99.0))
    assert decision.command is not None
    assert decision.command.id == "near"
    assert decision.reason.startswith("because of near (choice 2; the first: go.stage_x_nm = 101 refused (range)")


@pytest.mark.parametrize("x_nm", [101.0, math.nan, math.inf, 1e300])
def test_all_outside_is_a_refusal_with_the_limit_and_the_value(
    decide: Callable[..., Decision], make_command: Make, x_nm: float
) -> None:
    decision = decide(make_command(stage_x_nm=x_nm))
    assert (decision.verdict, decision.command) == ("refused", None)
    assert "stage_x_nm" in decision.reason
    assert "limit -100..100" in decision.reason or "not a valid Command" in decision.reason


def test_nothing_proposed_is_a_refusal(decide: Callable[..., Decision]) -> None:
    assert decide().reason == "nothing was proposed"


def test_what_the_budget_cannot_pay_is_refused(decide: Callable[..., Decision], make_command: Make) -> None:
    decision = decide(make_command(), electrons_left=1000.0)
    assert decision.verdict == "refused"
    assert "refused (budget): limit 1000 electrons left" in decision.reason


def test_the_envelope_is_inside_the_limits(
    walls: Walls, make_command: Make, make_situation: Callable[..., Situation]
) -> None:
    command = make_command(stage_x_nm=500.0)
    assert "limit -100..100" in walls.outside(command, make_situation())
    assert walls.impossible(command, make_situation()) == ""
    assert "limit -1000..1000" in walls.impossible(make_command(stage_x_nm=1001.0), make_situation())


class Bench:
    """An instrument that stands still and exposes a set share of what it is asked."""

    def __init__(self, state: InstrumentState, capabilities: Capabilities, share: float) -> None:
        self._state, self._capabilities, self._share = state, capabilities, share
        self._command: Command | None = None

    def describe(self) -> Capabilities:
        return self._capabilities

    def state(self) -> InstrumentState:
        return self._state

    def submit(self, command: Command) -> None:
        self._command = command

    def watch(self, timeout_s: float) -> "list[Part]":
        assert self._command is not None
        return [
            End(
                command_id=self._command.id,
                epoch=0,
                end_s=self._state.clock_s,
                electrons=0.0,
                beam_on_share=self._share,
                aborted=False,
                reason="",
                chunks=0,
                state=self._state,
            )
        ]

    def gather(self, timeout_s: float) -> Observation:
        raise NotImplementedError  # the guard gathers by watching

    def blank(self) -> None: ...

    def stop(self) -> None: ...


class Moving(Bench):
    """The same, but it goes where it is told and its clock can be moved on."""

    def pass_to(self, clock_s: float) -> None:
        self._state = replace(self._state, clock_s=clock_s)

    def watch(self, timeout_s: float) -> "list[Part]":
        assert self._command is not None
        self._state = replace(
            self._state, go=merged(self._state.go, self._command.go),
            optics=replace(self._state.optics, C10_nm=self._command.set.optics.C10_nm),
        )  # fmt: skip
        return super().watch(timeout_s)


@pytest.mark.parametrize("share", [1.0, 0.25])
def test_the_ledger_follows_the_guard(
    limits: Limits,
    capabilities: Capabilities,
    make_command: Make,
    make_state: Callable[..., InstrumentState],
    make_record: Callable[..., Record],
    share: float,
) -> None:
    """The same cells are charged as beside the instrument, aborted exposures too, and after a resume too."""
    guard = Guard(Bench(make_state(0.0), capabilities, share), limits)  # type: ignore[arg-type]
    walls = Walls(limits, capabilities)
    records = []
    for turn in range(6):
        before = Situation(turn=turn, state=guard.state(), electrons_left=1e9, time_left_s=600.0)
        walls.settle(before)
        command = make_command(f"c{turn}", fov_nm=128.0)
        walls.chosen(command, before)
        guard.submit(command)
        observation = guard.gather(1.0)
        record = make_record(turn, observation)
        records.append(replace(record, decision=replace(record.decision, command=command)))
    after = Situation(turn=6, state=guard.state(), electrons_left=1e9, time_left_s=600.0)
    walls.settle(after)
    resumed = Walls(limits, capabilities)
    resumed.resume(records)
    resumed.settle(after)
    assert guard.ledger.electrons > 0
    for ledger in (walls._ledger, resumed._ledger):
        assert ledger.electrons == guard.ledger.electrons
        assert ledger.fluence_e_per_A2 == pytest.approx(guard.ledger.fluence_e_per_A2, rel=1e-9)


def test_a_change_that_the_guard_would_refuse_as_too_fast_is_refused_beforehand(
    limits: Limits, capabilities: Capabilities, make_command: Make, make_record: Callable[..., Record],
    make_state: Callable[..., InstrumentState],
) -> None:  # fmt: skip
    """Walls and guard say the same at every step, and so do walls that follow from the record."""
    slow = replace(limits, slew={"stage_x_nm": Slew(step=40.0, per_s=1.0)})
    bench = Moving(make_state(0.0), capabilities, 1.0)
    guard, walls = Guard(bench, slow), Walls(slow, capabilities)  # type: ignore[arg-type]
    said, records = [], []
    for turn, (clock_s, x_nm) in enumerate([(0.0, 5.0), (50.0, 30.0), (51.0, 30.0), (52.0, 60.0), (80.0, 60.0)]):
        bench.pass_to(clock_s)
        now = Situation(turn=turn, state=guard.state(), electrons_left=1e9, time_left_s=600.0)
        walls.settle(now)
        resumed = Walls(slow, capabilities)
        resumed.resume(records)
        resumed.settle(now)
        command = replace(make_command(f"c{turn}"), go=Go(stage_x_nm=x_nm), acquire=None)
        said.append(walls.impossible(command, now))
        assert resumed.impossible(command, now) == said[-1]
        if said[-1]:
            with pytest.raises(Rejected, match=re.escape(said[-1])):
                guard.submit(command)
            records.append(replace(make_record(turn, None), start_s=clock_s, state=now.state))
            records[-1] = replace(records[-1], decision=replace(records[-1].decision, command=None))
            continue
        guard.submit(command)
        walls.chosen(command, now)
        observation = guard.gather(1.0)
        done = replace(make_record(turn, observation), start_s=clock_s, state=observation.state)
        records.append(replace(done, decision=replace(done.decision, command=command)))
    assert ["refused (slew)" in words for words in said] == [True, False, False, True, False]


def test_a_cell_that_is_spent_is_refused_beforehand(
    limits: Limits, capabilities: Capabilities, make_command: Make, make_situation: Callable[..., Situation]
) -> None:
    walls = Walls(limits, capabilities)
    command = make_command(fov_nm=16.0)
    charge = predict_charge(command, limits, make_situation().state, capabilities)
    allowed = int(limits.max_fluence_e_per_A2 / charge.fluence_e_per_A2)
    electrons = 0.0
    for turn in range(allowed):
        situation = make_situation(turn, electrons_charged=electrons)
        walls.settle(situation)
        assert walls.impossible(command, situation) == ""
        walls.chosen(command, situation)
        electrons += charge.electrons
    situation = make_situation(allowed, electrons_charged=electrons)
    walls.settle(situation)
    assert "refused (fluence)" in walls.impossible(command, situation)
    assert walls.impossible(make_command(fov_nm=16.0, stage_x_nm=500.0), situation) == ""
