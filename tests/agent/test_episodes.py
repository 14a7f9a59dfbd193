"""Recorded runs as training data: nothing of them is lost, and what is no whole run is named and left out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from agent.assemble import CHOICES, DEFAULT_CONFIG
from agent.cli import main
from agent.config import load
from agent.episode import play
from agent.episodes import Episodes, _rewards
from agent.eventlog import Event, Header
from agent.reading import open_run
from agent.run import REPORT_JSON
from policies.training.trajectory import CANDIDATE, SITUATION, Trajectory

ROOT = Path(__file__).resolve().parents[2]
TURNS = 6


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run, and others that are none."""
    folder = tmp_path_factory.mktemp("runs")
    command = ["run", str(DEFAULT_CONFIG), "--out", str(folder / "whole"), "--turns", str(TURNS), "--seed", "7"]
    done = subprocess.run(
        [sys.executable, "-m", "agent.cli", *command, "--set", "instrument.kind=twin"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    whole = folder / "whole"
    log = (whole / "events.jsonl").read_bytes()
    lines = log.splitlines(keepends=True)
    for name, kept in {"empty": b"", "header": lines[0], "torn": log[:-40], "unended": b"".join(lines[:4])}.items():
        (folder / name).mkdir()
        (folder / name / "events.jsonl").write_bytes(kept)
        (folder / name / "arrays").symlink_to(whole / "arrays")
    (folder / "torn" / REPORT_JSON).symlink_to(whole / REPORT_JSON)
    return folder


@pytest.fixture(scope="module")
def trajectory(runs: Path) -> Trajectory:
    (found,) = Episodes([runs / "whole"])
    return found


def test_every_turn_and_every_array_is_there_bit_by_bit(runs: Path, trajectory: Trajectory) -> None:
    seen = 0
    with open_run(runs / "whole") as run:
        assert len(run.records) == len(trajectory.actions) == TURNS
        assert msgspec.json.decode(trajectory.header, type=Header) == run.header
        assert [msgspec.json.decode(text, type=Event).record for text in trajectory.events] == run.records
        for record in run.records:
            observation = run.observation(record)
            assert observation is not None
            assert observation.data is not None
            height, width, channels = trajectory.observations[f"{observation.kind}_shape"][record.turn + 1]
            given = trajectory.observations[str(observation.kind)][record.turn + 1]
            assert given.dtype == observation.data.dtype
            assert given[:height, :width, :channels].tobytes() == observation.data.tobytes()
            assert not given[height:].any()
            rows = trajectory.observations[f"{observation.kind}_row_start_s"][record.turn + 1][:height]
            assert rows.tobytes() == observation.row_start_s.tobytes()
            rows = trajectory.observations[f"{observation.kind}_row_seen"][record.turn + 1][:height]
            assert np.array_equal(rows, observation.row_seen)
            seen += 1
    assert seen == TURNS


def test_what_was_offered_and_taken_is_told_in_numbers(runs: Path, trajectory: Trajectory) -> None:
    with open_run(runs / "whole") as run:
        record = run.records[3]
    numbers, there = trajectory.observations["candidates"][3], trajectory.observations["there"][3]
    assert there.sum() == len(record.decision.proposals)
    row = dict(zip(CANDIDATE, numbers[trajectory.actions[3]], strict=True))
    command = record.decision.command
    assert command is not None
    assert command.acquire is not None
    assert (row["fov_nm"], row["dwell_s"]) == (command.acquire.fov_nm, command.acquire.dwell_s)
    assert row["stage_x_nm"] == command.go.stage_x_nm
    assert row["information"] == record.decision.proposals[trajectory.actions[3]].information
    situation = dict(zip(SITUATION, trajectory.observations["situation"][3], strict=True))
    with open_run(runs / "whole") as run:
        spent = sum(each.electrons_charged for each in run.records[:3])
    assert situation["electrons_left"] == pytest.approx(4e8 - spent, rel=1e-12)
    assert situation["time_left_s"] == 600.0 - record.start_s
    assert not trajectory.terminated


def test_rewards_are_what_the_score_rose_by(trajectory: Trajectory) -> None:
    config = load(DEFAULT_CONFIG, [f"budget.turns={TURNS}"], CHOICES)
    nothing = play(load(DEFAULT_CONFIG, ["budget.electrons=1e-3"], CHOICES), 7, 1.0)
    assert trajectory.rewards.sum() == pytest.approx(play(config, 7, 1.0).score - nothing.score, abs=1e-12)


def test_what_is_no_whole_run_is_named_and_counted(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [runs / name for name in ("empty", "header", "torn", "unended", "none", "whole")]
    episodes = Episodes(folders)
    assert [found.name for found in episodes] == ["whole"]
    told = dict(zip(folders, episodes.skipped, strict=False))
    assert all(text.startswith(f"{folder}: skipped: ") for folder, text in told.items())
    assert "not at its end" in told[runs / "unended"]
    assert "not whole" in told[runs / "torn"]
    assert len(list(episodes)) == 1
    assert len(episodes.skipped) == 5, "reading again counts again"
    out = runs / "out"
    command = ["export-episodes", *map(str, folders[:-1]), "--format", "minari", "--out", str(out)]
    assert main(command) == 2
    complained = capsys.readouterr().err
    assert complained.count(": skipped: ") == 5
    assert "no episode in 5 runs: nothing was written" in complained
    assert not out.exists()


def test_without_a_truth_there_are_no_rewards(runs: Path) -> None:
    with open_run(runs / "whole") as run:
        header = run.header
        records = run.records
    assert header is not None
    # The record of a specimen that is not the one of its seed.
    other = msgspec.structs.replace(header, seed=8)
    rewards, is_scored = _rewards(other, records)
    assert not is_scored
    assert not rewards.any()
