"""The benchmark of the stream runs, and of what it reads nothing is lost; how fast it is, is not asked here."""

import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.benchmarks import stream, stream_camera
from hardware_bridge.observation import Chunk, End, collect, whole


def camera(frames: int, exposure_s: float) -> tuple[stream_camera.Camera, np.ndarray, object]:
    made = stream_camera.pool((8, 8), "uint16")[:10]
    command = stream.acquire((8, 8), frames, exposure_s)
    camera = stream_camera.Camera(made)
    camera.submit(command)
    return camera, made, command


def test_the_camera_gives_every_frame_once_and_in_order() -> None:
    made, frames, command = camera(25, stream.UNPACED_S)
    parts = list(whole(made.watch(1.0)))
    stacks = [part for part in parts if isinstance(part, Chunk)]
    given = np.concatenate([part.stack for part in stacks])
    np.testing.assert_array_equal(given, np.concatenate([frames, frames, frames[:5]]))
    assert [part.header.frame for part in stacks] == [0, 10, 20]
    seen = collect(command, stream_camera.STATE, parts)  # type: ignore[arg-type]
    assert (seen.gaps, len(seen.statistics)) == (0, 25)


def test_a_paced_camera_gives_no_frame_before_it_is_ready() -> None:
    made, _, _ = camera(20, 1e-3)
    ages = [stream.time.monotonic() - part.header.end_s for part in made.watch(1.0) if isinstance(part, Chunk)]
    assert min(ages) >= 0.0


def test_a_blanked_camera_ends_early() -> None:
    made, _, _ = camera(10_000, stream.UNPACED_S)
    parts = made.watch(1.0)
    next(parts)
    next(parts)
    made.blank()
    *_, end = parts
    assert isinstance(end, End)
    assert end.aborted


def test_all_of_it_runs_and_nothing_is_lost(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    stream.main(["--quick", "--out", str(tmp_path / "no.md")])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert all(line.startswith("| ") for line in lines)
    assert lines[1].split("|")[3].strip() == "800"  # frames of 0.2 s
    assert not (tmp_path / "no.md").exists()


def test_the_page_holds_all_tables() -> None:
    page = stream.page([["| a |"], ["| b |"], ["| c |"]], 0.1)
    assert all(f"|\n| {letter} |\n" in page for letter in "abc")


def test_help_gives_an_example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["stream", "--help"])
    with pytest.raises(SystemExit):
        stream.main()
    assert "python -m experiments.benchmarks.stream" in capsys.readouterr().out
