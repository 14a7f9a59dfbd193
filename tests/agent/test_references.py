"""A night's references: a beam that decays is told while the run goes on, and the zero loss is read on a clock."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent import assemble, twins
from agent.assemble import CHOICES, DEFAULT_CONFIG
from agent.conclude import rewrite
from agent.config import Config, ConfigErrors, ReviewChoice, load
from agent.notify import Notify
from agent.reading import open_run
from agent.record import Record
from agent.review import Autonomous, Walls
from agent.run import begin, perceive_again
from digital_twin.misalignment import Misalignment
from hardware_bridge.messages import Capabilities, Command, End, InstrumentState
from hardware_bridge.microscope import Microscope, gather_from_watch
from hardware_bridge.observation import Observation, Part
from policies.interface import Setup

SHORT = ("instrument.kind=twin", "policy.name=raster", "budget.turns=5")
APPEND = "import sys; open(sys.argv[1], 'a').write(sys.argv[2] + ': ' + sys.stdin.read() + chr(10))"


class Decaying:
    """A Microscope whose measured beam current is less by 6 % of the set one after each command."""

    def __init__(self, inner: Microscope) -> None:
        self._inner, self._share = inner, 1.06
        self._pending: tuple[Command, InstrumentState] | None = None

    def describe(self) -> Capabilities:
        return self._inner.describe()

    def state(self) -> InstrumentState:
        return self._inner.state()

    def submit(self, command: Command) -> None:
        self._pending = (command, self.state())
        self._share -= 0.06
        self._inner.submit(command)

    def watch(self, timeout_s: float) -> Iterator[Part]:
        for part in self._inner.watch(timeout_s):
            yield replace(part, electrons=self._share * part.electrons) if isinstance(part, End) else part

    def gather(self, timeout_s: float) -> Observation:
        assert self._pending is not None
        return gather_from_watch(self, *self._pending, timeout_s)

    def blank(self) -> None:
        self._inner.blank()

    def stop(self) -> None:
        self._inner.stop()


class Silent:
    """An observer that lets everything run."""

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
        return True

    def steering(self, check: object) -> tuple[str, ...]:
        return ()

    def plan(self, config: object, setup: Setup, policy: object) -> None: ...


@pytest.fixture
def decaying(monkeypatch: pytest.MonkeyPatch) -> None:
    twin = twins.driver
    monkeypatch.setattr(twins, "driver", lambda config, seed: Decaying(twin(config, seed)))


def config(notify: Notify, *overrides: str) -> Config:
    return replace(load(DEFAULT_CONFIG, [*SHORT, *overrides], CHOICES), notify=notify)


@pytest.mark.usefixtures("decaying")
def test_a_decay_is_told_recorded_and_reported(tmp_path: Path) -> None:
    notify = Notify(command=(sys.executable, "-c", APPEND, str(tmp_path / "heard"), "{subject}"), on=("alarm",))
    finished = begin(config(notify), 7, tmp_path / "run", Silent())
    assert finished.untold == ()
    with open_run(finished.folder) as run:
        alarms = [record.percept.alarms for record in run.records if record.percept is not None]
    # 100, 94, 88, 82, 76 %: 12 % below what is set, then another 12 %.
    assert [len(said) for said in alarms] == [0, 0, 1, 0, 1]
    heard = (tmp_path / "heard").read_text()
    for turn in (2, 4):
        assert f"turn {turn}: {alarms[turn][0]}" in heard
    assert heard.startswith("adaptem: an alarm in run: turn 2: the beam current has gone to 88.0% of what is set")
    page = rewrite(finished.folder, None).read_text(encoding="utf-8")
    assert f"turn 2: {alarms[2][0]}" in page
    assert 'aria-label="beam current over time"' in page
    assert perceive_again(finished.folder, assemble.perception(finished.header.capabilities, finished.header.card,
                                                               finished.header.config).perceive) == []  # fmt: skip


@pytest.mark.usefixtures("decaying")
def test_the_step_is_set_in_the_config_and_a_deaf_ear_harms_nothing(tmp_path: Path) -> None:
    deaf = Notify(command=("no-such-command",))
    finished = begin(config(deaf, "references.current_share=0.2"), 7, tmp_path / "run", Silent())
    with open_run(finished.folder) as run:
        alarms = [len(record.percept.alarms) for record in run.records if record.percept is not None]
    assert alarms == [0, 0, 0, 0, 1]
    assert [problem.split(" = ")[0] for problem in finished.untold] == ["notify.command"]


def test_a_steady_beam_raises_no_alarm(tmp_path: Path) -> None:
    finished = begin(config(Notify()), 7, tmp_path / "run", Silent())
    with open_run(finished.folder) as run:
        assert not any(record.percept.alarms for record in run.records if record.percept is not None)


def test_the_zero_loss_is_read_on_a_clock_and_the_dark_that_its_spectrum_needs_before_it(tmp_path: Path) -> None:
    asked = ("references.zero_loss.every_s=20.0", "references.dark_every_s=1e4", "instrument.misaligned=3")
    finished = begin(config(Notify(), *asked, "budget.turns=12"), 7, tmp_path / "run", Silent())
    with open_run(finished.folder) as run:
        records = run.records
    assert [record.failure for record in records] == [""] * 12
    done = ["".join(record.decision.command.id.split("-s")[0]) for record in records if record.decision.command]
    assert done[:3] == ["dark", "zero-loss", "dark"]
    zero = [record for record, name in zip(records, done, strict=True) if name == "zero-loss"]
    assert len(zero) >= 2
    assert all(after.start_s - before.end_s > 20.0 for before, after in pairwise(zero))
    hidden_eV = Misalignment.drawn(3).zero_loss_eV
    for record in zero:
        assert record.percept is not None
        told = record.percept.estimates["zero_loss_eV"]
        assert abs(told.value - hidden_eV) < 4.0 * told.sd
        assert told.sd < 0.01
        assert record.electrons < 1e6


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ("references.gain.at.go.stage_x_nm=9e9", "references.gain.at.go.stage_x_nm: 9e+09 passes limits.ranges"),
        ("references.gain.at.beam_current_pA=999", "references.gain.at.beam_current_pA: 999 passes limits.ranges"),
        ("references.zero_loss.at.go.tilt_alpha_deg=1", "tilt_alpha_deg: not in limits.ranges: it cannot be set"),
        ("references.gain.modes=['HAADF']", "references.gain.modes"),
    ],
)
def test_references_that_cannot_be_taken_are_told_with_the_config(asked: str, complaint: str) -> None:
    every = ("references.gain.every_s=60.0", "references.zero_loss.every_s=60.0")
    with pytest.raises(ConfigErrors, match=re.escape(complaint)):
        config(Notify(), *every, asked)
