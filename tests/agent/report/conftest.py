"""Recorded runs to report on, written by the recorder itself."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.eventlog import Header
from agent.record import Record
from agent.recorder import FileRecorder
from hardware_bridge.observation import Observation
from hardware_bridge.report import Card, Estimate, Report, TargetReport

WriteRun = Callable[..., Path]


@pytest.fixture
def look(
    make_record: Callable[..., Record], make_observation: Callable[..., Observation]
) -> Callable[..., tuple[Record, Observation]]:
    """One turn that saw something at a place: an image, or a spectrum."""

    def look(turn: int, x_nm: float = 0.0, mode: str = "HAADF", **percept: object) -> tuple[Record, Observation]:
        seen = make_observation(turn, mode, 32 if mode == "HAADF" else 4)
        record = make_record(turn, seen)
        assert record.percept is not None
        if mode == "EELS":
            told = {"copper_probability": 0.9, "thickness_t_over_lambda": 1.2}
            percept.setdefault("estimates", {name: Estimate(value=value, sd=0.1) for name, value in told.items()})
        return replace(record, percept=replace(record.percept, mode=mode, x_nm=x_nm, **percept)), seen

    return look


@pytest.fixture
def write_run(tmp_path: Path, header: Header) -> WriteRun:
    """Write a run of turns given as (record, observation or None)."""

    def write(turns: Sequence[tuple[Record, Observation | None]], header: Header = header, name: str = "run") -> Path:
        folder = tmp_path / name
        with FileRecorder(folder, header) as recorder:
            for record, seen in turns:
                recorder.write(record, seen)
        return folder

    return write


@pytest.fixture
def claims(card: Card) -> Report:
    return Report(world=card.world, targets={"count": TargetReport(mean=(1.5, 2.0, 0.5, 0.0), sd=(0.2,) * 4)})


@pytest.fixture
def whole_run(write_run: WriteRun, look: Callable[..., tuple[Record, Observation]]) -> Path:
    """Eight turns: images of two places, and a spectrum."""
    places = [0.0, 0.0, 500.0, 0.0, 500.0, 0.0, 0.0]
    return write_run([*(look(turn, x_nm=x) for turn, x in enumerate(places)), look(7, mode="EELS")])
