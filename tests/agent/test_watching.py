"""Watching at a camera, in process: events, the early end, what is saved; and the whole loop with its record."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from agent.assemble import watching
from agent.config import WatchChoice
from agent.eventlog import Header, RecordError
from agent.loop import Loop
from agent.perception.analyst import Analyst
from agent.perception.watcher import Watcher, told
from agent.pretrigger import Span
from agent.reading import open_run
from agent.record import Decision
from agent.recorder import FileRecorder
from agent.spool import NpyFile, Spool
from agent.watching import Watching
from experiments.benchmarks.camera import CAPABILITIES, LIMITS, Camera, filming
from hardware_bridge.errors import Unreachable
from hardware_bridge.guard import Guard
from hardware_bridge.microscope import execute
from hardware_bridge.observation import Part
from policies.interface import Proposal, Setup, Turn

ROOT = Path(__file__).resolve().parents[2]
PIXELS = 32
SPAN = Span(before_s=0.02, after_s=0.01, memory_bytes=1e8)


def film(name: str = "a", frames: int = 400) -> Any:
    return filming(name, frames, PIXELS)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path, 1e9)
    yield spool
    spool.close()


@pytest.mark.parametrize("burst", [1, 16])
def test_frames_before_and_after_the_spot_are_saved_to_the_byte(tmp_path: Path, burst: int) -> None:
    spool, camera = Spool(tmp_path, 1e9), Camera(burst=burst, spots=iter([150]))
    seen = Watching(Watcher(), spool, SPAN, save=("change",)).execute(Guard(camera, LIMITS), film(), 2.0)
    assert [(event.kind, event.frame) for event in seen.events] == [("change", 150)]
    assert not seen.aborted
    clips = {clip.what: clip for clip in spool.close()}
    assert clips["table"].ranges == ((0, 399),)
    assert clips["frames"].ranges == ((130, 160),)
    acquire = film().acquire
    expected = np.stack([camera.frame(acquire, number, 150) for number in range(130, 161)])
    assert np.load(tmp_path / clips["frames"].file).tobytes() == expected.tobytes()
    table = np.load(tmp_path / "spool/table.npy")
    np.testing.assert_allclose(table["mean"], [camera.frame(acquire, n, 150).mean() for n in range(400)], rtol=1e-6)


@pytest.mark.parametrize("burst", [1, 16])
def test_an_urgent_event_ends_the_acquisition(spool: Spool, burst: int) -> None:
    camera = Camera(burst=burst, spots=iter([150]))
    guard = Guard(camera, LIMITS)
    seen = Watching(Watcher(), spool, SPAN, urgent=("change",)).execute(guard, film(frames=1000), 2.0)
    assert seen.aborted
    assert seen.state.beam_blanked
    assert 150 < seen.electrons_charged / (seen.electrons / 150) < 220  # what was not used is refunded
    assert seen.row_start_s[-1] < 0.17
    assert seen.data is not None
    assert seen.data.tobytes() == camera.frame(film().acquire, 150 - 150 % burst + burst - 1, 150).tobytes()


def test_an_event_that_is_not_urgent_ends_nothing(spool: Spool) -> None:
    camera = Camera(spots=iter([150]))
    seen = Watching(Watcher(), spool, SPAN, urgent=("saturation",)).execute(Guard(camera, LIMITS), film(), 2.0)
    assert not seen.aborted
    assert len(seen.events) == 1


def test_the_window_is_what_it_is_without_a_watcher(spool: Spool) -> None:
    plain = execute(Guard(Camera(), LIMITS), film(), 2.0)
    seen = Watching(Watcher(), spool, SPAN).execute(Guard(Camera(), LIMITS), film(), 2.0)
    assert (seen.state, seen.start_s, seen.end_s) == (plain.state, plain.start_s, plain.end_s)
    assert (seen.electrons, seen.electrons_charged) == (plain.electrons, plain.electrons_charged)
    assert seen.data is not None
    assert plain.data is not None
    assert seen.data.tobytes() == plain.data.tobytes()
    assert seen.events == ()


def test_a_repeated_command_goes_on_with_what_was_learned(spool: Spool) -> None:
    camera = Camera(spots=iter([399, 10, 10]))
    watch, guard = Watching(Watcher(), spool, SPAN), Guard(camera, LIMITS)
    events = [
        watch.execute(guard, film(name, frames), 2.0).events
        for name, frames in zip("abc", (200, 200, 100), strict=True)
    ]
    assert [len(found) for found in events] == [0, 1, 0]


def test_a_lost_instrument_leaves_what_was_seen(tmp_path: Path) -> None:
    class Broken(Camera):
        def watch(self, timeout_s: float) -> Iterator[Part]:
            for number, part in enumerate(super().watch(timeout_s)):
                if number == 180:
                    raise Unreachable("the cable is cut")
                yield part

    spool = Spool(tmp_path, 1e9)
    with pytest.raises(Unreachable):
        Watching(Watcher(), spool, SPAN, save=("change",)).execute(Broken(spots=iter([170])), film(), 2.0)
    ranges = {clip.what: clip.ranges for clip in spool.close()}
    assert ranges == {"table": ((0, 178),), "frames": ((150, 178),)}


class Again:
    """A policy that takes the same film again and again."""

    def begin(self, setup: Setup, seed: int) -> None:
        self.turns: list[Turn] = []

    def suggest(self, situation: Any, n: int) -> list[Proposal]:
        proposal = Proposal(
            command=film(f"film-{situation.turn}", 600),
            information=0.0,
            information_sd=0.0,
            electrons=0.0,
            time_s=0.6,
            reason="look on",
            proposer="again",
        )
        return [proposal]

    def ingest(self, turn: Turn) -> None:
        self.turns.append(turn)


def approve(proposals: Any, situation: Any) -> Decision:
    command = proposals[0].command
    return Decision(proposals=tuple(proposals), verdict="approved", by="test", reason="", waited_s=0.0, command=command)


def run_loop(folder: Path, header: Header, choice: WatchChoice, turns: int, spots: list[int]) -> None:
    header = replace(header, config=replace(header.config, watch=choice), capabilities=CAPABILITIES, max_electrons=1e15)
    setup = Setup(CAPABILITIES, LIMITS, header.card, 0.0, 600.0, 1e15)
    policy = Again()
    policy.begin(setup, 0)
    with FileRecorder(folder, header) as recorder:
        expose = watching(header.config, recorder.spool)
        microscope = Guard(Camera(spots=iter(spots)), LIMITS)
        loop = Loop(microscope, policy, Analyst(CAPABILITIES), approve, recorder, setup, expose)
        assert len(list(loop.run(turns))) == turns


def test_the_record_of_a_watched_run_holds_events_table_and_clips(tmp_path: Path, header: Header) -> None:
    choice = WatchChoice(urgent=("change",), before_s=0.02, after_s=0.01)
    run_loop(tmp_path / "run", header, choice, 3, [100, 50, 60])
    with open_run(tmp_path / "run") as run:
        assert run.problems == []
        assert [[(e.kind, e.frame) for e in record.events] for record in run.records] == [
            [("change", frame)] for frame in (100, 50, 60)
        ]
        assert [record.aborted for record in run.records] == [True] * 3
        for record, frame in zip(run.records, (100, 50, 60), strict=True):
            observation = run.observation(record)
            assert observation is not None
            assert observation.events == record.events
            table, clip = (
                next(c for c in run.clips if c.what == what and c.command_id == f"film-{record.turn}")
                for what in ("table", "frames")
            )
            numbers, lines = run.frames(table)
            np.testing.assert_array_equal(lines["frame"], numbers)
            assert set(lines["epoch"]) == {record.turn + 1}
            saved, frames = run.frames(clip)
            assert (saved[0], saved[-1]) == (frame - 20, frame)
            np.testing.assert_array_equal(frames[-1], observation.data)
    page = (ROOT / "docs" / "watching.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    shown = snippet.replace("runs/first", str(tmp_path / "run")) + "        print(len(frames))\n"
    said = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True, cwd=ROOT)
    assert sorted(map(int, said.stdout.split())) == [21, 21, 21, 51, 61, 101]
    with FileRecorder.resume(tmp_path / "run") as recorder:
        assert len(recorder.records) == 3


def test_a_disk_that_fills_up_ends_the_run_with_a_clear_error(
    tmp_path: Path, header: Header, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = NpyFile._write, [250_000]

    def write(self: NpyFile, data: bytes | memoryview, offset: int) -> None:
        left[0] -= len(data)
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        real(self, data, offset)

    monkeypatch.setattr(NpyFile, "_write", write)
    choice = WatchChoice(urgent=("change",), before_s=0.1)
    with pytest.raises(RecordError, match=r"run/spool/.*cannot be written: No space left on device"):
        run_loop(tmp_path / "run", header, choice, 50, [100] * 50)
    with open_run(tmp_path / "run") as run:
        assert len(run.records) >= 2
        assert [record.turn for record in run.records] == list(range(len(run.records)))
        assert any("could not be saved: spool/" in problem for problem in run.problems)
        for clip in run.clips:
            assert len(run.frames(clip)[1]) == clip.frames
        for record in run.records:
            assert run.observation(record) is not None


def test_events_are_told_in_words(spool: Spool) -> None:
    camera = Camera(spots=iter([150]))
    (event,) = Watching(Watcher(), spool, SPAN).execute(Guard(camera, LIMITS), film(), 2.0).events
    assert told(event).startswith("sudden change in frame 150 at 0.15 s: ")
    assert "pixel (" in told(event)
    assert (
        told(replace(event, kind="lost_signal", value=0.03)) == "lost signal in frame 150 at 0.15 s: 3% of what it was"
    )
    assert "2.5% of the pixels" in told(replace(event, kind="saturation", value=0.025))
