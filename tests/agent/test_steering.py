"""A run that goes on is changed: checked as a configuration is, and exactly as if it had been started so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.assemble import CHOICES, DEFAULT_CONFIG
from agent.config import Config, ConfigErrors, ReviewChoice, load
from agent.eventlog import Header
from agent.reading import open_run
from agent.record import Record, as_turn
from agent.review import Autonomous, Walls
from agent.run import begin, resume
from agent.steering import Check, begun, setup_of, steered
from hardware_bridge.geometry import field_centre_nm
from hardware_bridge.microscope import Microscope
from hardware_bridge.observation import Observation
from policies.interface import Policy, Setup, Situation

REGION = "goal.regions=[{x={low=-300,high=300},y={low=100,high=500}}]"


class Steering:
    """An observer that changes the run once so many turns are over."""

    def __init__(self, at: int, *changes: str, stops: int = 6) -> None:
        self.at, self.changes, self.stops = at, changes, stops
        self.turns = 0
        self.plans: list[tuple[Config, Setup]] = []

    def tell(self, line: str) -> None:
        pass

    def begin(self, title: str, setup: Setup, turns: int | None, done: tuple[Record, ...]) -> None:
        self.turns = len(done)

    def see(self, observation: Observation, belief: object) -> None: ...

    def review(self, microscope: Microscope, walls: Walls, choice: ReviewChoice) -> Autonomous:
        return Autonomous(walls)

    def through(self, microscope: Microscope) -> Microscope:
        return microscope

    def show(self, record: Record) -> bool:
        self.turns += 1
        return self.turns < self.stops

    def steering(self, check: Check) -> tuple[str, ...]:
        if self.turns < self.at:
            return ()
        check(self.changes)
        return self.changes

    def plan(self, config: Config, setup: Setup, policy: Policy) -> None:
        self.plans.append((config, setup))


@pytest.fixture(scope="module")
def config() -> Config:
    return load(DEFAULT_CONFIG, ["instrument.kind=twin", "policy.name=raster"], CHOICES)


@pytest.fixture(scope="module")
def started(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Header:
    return begin(config, 7, tmp_path_factory.mktemp("started") / "run", Steering(9, stops=1)).header


def places(records: Sequence[Record], header: Header) -> list[tuple[float, float]]:
    commands = [record.decision.command for record in records]
    return [field_centre_nm(command.go, header.capabilities) for command in commands if command is not None]


def test_from_a_turn_on_it_is_another_run(config: Config, tmp_path: Path) -> None:
    changes = (REGION, "policy.name=expert", "budget.electrons=2e8", "goal.weights.growth_rate=2")
    helm = Steering(3, *changes)
    finished = begin(config, 7, tmp_path / "run", helm)
    with open_run(finished.folder) as run:
        records, header = run.records, run.header
    assert header is not None
    assert finished.header.config.policy.name == "expert"
    assert header.config.policy.name == "raster", "the record says how it was started"
    proposers = [record.decision.proposals[0].proposer for record in records]
    assert proposers[:3] == ["raster"] * 3
    assert "raster" not in proposers[3:]
    inside = [abs(x) < 75.0 and 95.0 < y < 505.0 for x, y in places(records, header)]
    assert inside[3:] == [True] * 3
    (_, before), (_, after) = helm.plans
    assert (before.max_electrons, after.max_electrons) == (4e8, 2e8)
    weights = {target.name: target.weight for target in after.card.targets}
    assert sum(weights.values()) == pytest.approx(1.0)
    assert weights["growth_rate"] > 0.5

    # And its next proposal is that of a policy that was begun with the changes and has learned from all turns.
    policy = begun(finished.header)
    for record in records[:-1]:
        policy.ingest(as_turn(record))
    last = records[-1]
    situation = Situation(
        turn=last.turn, state=records[-2].state, electrons_left=2e8 - records[-2].state.electrons_charged,
        time_left_s=setup_of(finished.header).end_s - records[-2].state.clock_s,
    )  # fmt: skip
    assert policy.suggest(situation, 4)[0].command == last.decision.command


def test_a_resumed_run_goes_on_as_it_was_steered(config: Config, tmp_path: Path) -> None:
    begin(config, 7, tmp_path / "run", Steering(2, REGION, stops=4))
    finished = resume(tmp_path / "run", Steering(0, REGION, stops=6))
    whole = begin(config, 7, tmp_path / "whole", Steering(2, REGION, stops=6))
    for one in (finished, whole):
        assert one.header.config.goal.regions
    with open_run(finished.folder) as run, open_run(whole.folder) as other:
        assert run.header is not None
        assert places(run.records, run.header) == places(other.records, run.header)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("limits.max_electrons=1e12", "cannot be changed in a run; goal.question, "),
        ("goal.worldly=1", "cannot be changed in a run"),
        ("budget.electrons=1e12", "is above limits.max_electrons"),
        ("budget.duration_s=1e5", "budget.duration_s: 100000 is above 600"),
        ("policy.name=rastr", "policy.name: 'rastr' is unknown"),
        ("policy.settings.vew=1", "unknown field, did you mean view"),
        ("goal.weights.growth=1", "no such target, did you mean growth_rate"),
        ("goal.regions=[{x={low=1,high=0},y={low=0,high=1}}]", "low 1 is above high 0"),
        ("policy.name=greedy", "perception.name = 'analyst' is not reader"),
        ("goal.question", "cannot be changed|expected PATH=VALUE"),
    ],
)
def test_what_cannot_be_is_refused(started: Header, change: str, why: str) -> None:
    with pytest.raises(ConfigErrors, match=why):
        steered(started, [change])
