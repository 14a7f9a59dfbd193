"""The forecast is what a real run writes, to a few percent, and a run that would not fit is not started."""

from __future__ import annotations

import io
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from agent.assemble import CHOICES, DEFAULT_CONFIG
from agent.conclude import conclude
from agent.config import Config, ReviewChoice, load
from agent.eventlog import RecordError
from agent.forecast import Forecast, spoken
from agent.perception.whole_frames import ROW
from agent.record import Record
from agent.review import Autonomous, Walls
from agent.run import begin
from hardware_bridge.microscope import Microscope
from hardware_bridge.observation import Observation
from policies.interface import Setup

IN_PROCESS = ("instrument.kind=twin", "budget.turns=20", "goal.question=How much?")
WATCHED = ("policy.name=staring", "watch.most_bytes=1e6", "budget.turns=10")
FILMS = "policy.settings={'view.frames' = 3}"
SMALL_FILMS = "policy.settings={'view.frames' = 9, 'view.pixels' = 32}"
Disk = namedtuple("Disk", "total used free")


class Listening:
    """An observer that lets everything run and keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def tell(self, line: str) -> None:
        self.lines.append(line)

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


def config(*overrides: str) -> Config:
    return load(DEFAULT_CONFIG, [*IN_PROCESS, *overrides], CHOICES)


def written(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def foreseen(monkeypatch: pytest.MonkeyPatch) -> list[Forecast]:
    """The forecasts that were checked."""
    found: list[Forecast] = []
    real = Forecast.check
    monkeypatch.setattr(Forecast, "check", lambda self: (found.append(self), real(self))[1])
    return found


@pytest.mark.parametrize("overrides", [("policy.name=raster",), (*WATCHED, FILMS)], ids=["raster", "watched films"])
def test_a_short_run_writes_what_was_foreseen(
    tmp_path: Path, foreseen: list[Forecast], overrides: tuple[str, ...]
) -> None:
    observer = Listening()
    finished = begin(config(*overrides), 7, tmp_path / "run", observer)
    conclude(finished, io.StringIO())
    (forecast,) = foreseen
    assert observer.lines == [str(forecast)]
    assert forecast.turns == finished.turns
    assert written(finished.folder) == pytest.approx(forecast.likely_bytes, rel=0.07)
    assert written(finished.folder) < forecast.most_bytes


def test_the_table_of_a_watched_run_is_foreseen_to_the_line(tmp_path: Path, foreseen: list[Forecast]) -> None:
    finished = begin(config(*WATCHED, SMALL_FILMS), 7, tmp_path / "run", Listening())
    lines = np.load(finished.folder / "spool" / "table.npy")
    assert len(lines) == 10 * 9
    begin(config(WATCHED[0], WATCHED[2], SMALL_FILMS), 7, tmp_path / "plain", Listening())
    assert foreseen[0].likely_bytes - foreseen[1].likely_bytes == pytest.approx(10 * 9 * ROW.itemsize, abs=300)
    assert foreseen[0].clips_bytes == 1e6


def test_what_does_not_fit_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(1e12, 0, 2e9))
    with pytest.raises(
        RecordError,
        match=r"may write 10 GB, 10 GB of it watch.most_bytes, and only 1.97 GB can be used there: make room",
    ):
        begin(config("policy.name=raster", "watch.urgent=['change']"), 7, tmp_path / "run", Listening())
    assert not (tmp_path / "run").exists()
    finished = begin(
        config("policy.name=raster", "budget.turns=1", "watch.most_bytes=1e9"), 7, tmp_path / "run", Listening()
    )
    assert finished.turns == 1


def test_the_forecast_is_one_line() -> None:
    forecast = Forecast(1, 2.4e6, 3e9, 1e9, 5e12, Path("runs/a"))
    assert str(forecast) == "disk: about 2.4 MB in 1 turn, at most 3 GB; 5 TB free"
    assert [spoken(count) for count in (0, 999, 1000, 65_536, 7.5e12)] == [
        "0 bytes",
        "999 bytes",
        "1 kB",
        "65.5 kB",
        "7.5 TB",
    ]
