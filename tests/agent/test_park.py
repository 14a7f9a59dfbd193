"""A run that ends leaves the instrument where the lab wants it, and its record says so."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent import assemble
from agent.assemble import CHOICES, DEFAULT_CONFIG
from agent.conclude import conclude, rewrite
from agent.config import Config, ConfigErrors, ReviewChoice, load
from agent.notify import Notify
from agent.reading import open_run
from agent.record import Record
from agent.review import Autonomous, Walls
from agent.run import begin, perceive_again
from hardware_bridge.microscope import Microscope
from hardware_bridge.observation import Observation
from policies.interface import Setup

SHORT = ("instrument.kind=twin", "policy.name=raster", "budget.turns=3")
PARKED = ("park.go.stage_x_nm=0.0", "park.set.optics.beam_current_pA=1.0", "park.set.holder.flow_nl_per_s=0.0")


class Silent:
    """An observer that lets everything run, or ends it after its first turn."""

    def __init__(self, stops: bool = False) -> None:
        self._stops = stops

    def tell(self, line: str) -> None:
        pass

    def begin(self, title: str, setup: Setup, turns: int | None, done: tuple[Record, ...]) -> None:
        pass

    def see(self, observation: Observation, belief: object) -> None: ...

    def review(self, microscope: Microscope, walls: Walls, choice: ReviewChoice) -> Autonomous:
        return Autonomous(walls)

    def through(self, microscope: Microscope) -> Microscope:
        return microscope

    def show(self, record: Record) -> bool:
        return not self._stops

    def steering(self, check: object) -> tuple[str, ...]:
        return ()

    def plan(self, config: object, setup: Setup, policy: object) -> None: ...


def config(*overrides: str) -> Config:
    return load(DEFAULT_CONFIG, [*SHORT, *overrides], CHOICES)


def test_the_last_turn_parks(tmp_path: Path) -> None:
    finished = begin(config(*PARKED), 7, tmp_path / "run", Silent())
    with open_run(finished.folder) as run:
        *_, last = run.records
        assert not run.problems
    assert finished.turns == len(run.records) == 4
    assert last.decision.by == "end of run"
    assert last.failure == ""
    assert last.electrons_charged == 0.0
    assert (last.state.go.stage_x_nm, last.state.optics.beam_current_pA) == (0.0, 1.0)
    assert last.decision.command is not None
    assert last.decision.command.set.holder.flow_nl_per_s == 0.0
    assert (last.state.holder.flow_nl_per_s or 0.0) < 4.5  # on its way down, as the holder's own sensor reads it
    assert last.state.beam_blanked
    perception = assemble.perception(finished.header.capabilities, finished.header.card, finished.header.config)
    assert perceive_again(finished.folder, perception.perceive) == []
    assert "Parked" in rewrite(finished.folder, None).read_text()


def test_who_is_not_there_hears_score_and_report(tmp_path: Path) -> None:
    write = "import sys; open(sys.argv[1], 'w').write(sys.argv[2] + '|' + sys.stdin.read())"
    notify = Notify(command=(sys.executable, "-c", write, str(tmp_path / "said"), "{subject}"))
    conclude(begin(replace(config(), notify=notify), 7, tmp_path / "run", Silent()), io.StringIO())
    said = (tmp_path / "said").read_text()
    assert said.startswith("adaptem: run has ended|score of raster on seed 7: S = ")
    assert said.endswith(f"report: {tmp_path}/run/report.html")


def test_after_a_stop_nothing_moves(tmp_path: Path) -> None:
    finished = begin(config(*PARKED), 7, tmp_path / "run", Silent(stops=True))
    assert finished.stopped
    with open_run(finished.folder) as run:
        assert [record.decision.by for record in run.records] == ["envelope"]


def test_where_to_park_is_checked_before_the_start() -> None:
    with pytest.raises(ConfigErrors, match=r"park\.go\.stage_x_nm: 5000 passes limits\.ranges\.stage_x_nm = -1100"):
        config("park.go.stage_x_nm=5000.0")
    with pytest.raises(ConfigErrors, match=r"park\.set\.holder\.bias_V: not in limits\.ranges"):
        config("park.set.holder.bias_V=1.0")
    assert replace(config(), park=None) == config()
