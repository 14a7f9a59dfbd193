"""Simulated Merlin and DECTRIS detectors behind the bridge: the contract, every frame counted, losses told."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from contract import CHECKS, Acquisition, refusal
from foreign import ROOT, python_of, served
from processes import end, wait_line

from experiments.foreign_detectors.counting import Frames
from experiments.foreign_detectors.source import Burst
from hardware_bridge.client import Client
from hardware_bridge.errors import BridgeError, Unreachable
from hardware_bridge.messages import Acquire, Command, End, Go, Start
from hardware_bridge.microscope import Microscope, execute
from hardware_bridge.observation import Chunk

PACKAGE = "experiments.foreign_detectors"
DETECTORS = ("merlin", "dectris")
SIDE = {"merlin": 256, "dectris": 512}
SILENCE_S = 10.0
PACE_US = 10_000
names = (f"c{number}" for number in itertools.count())


@contextlib.contextmanager
def bridged(
    detector: str, folder: Path, frames: int, dwell_us: int | None = None, *options: str, told: int | None = None
) -> Iterator[Client]:
    """A simulator and a bridge to it; ``told`` is the length of a run that the bridge is told, if not the true one."""
    dwell = ["--dwell-us", str(dwell_us)] if dwell_us else []
    with served("detectors", f"{PACKAGE}.simulators", detector, f"--frames={frames}", *dwell, *options) as ports:
        set_to = [f"--frames={told or frames}", f"--dwell-s={dwell_s(dwell_us)}"]
        where = [*ports.split(":"), str(folder / "journal")]
        with served("detectors", f"{PACKAGE}.serve", detector, *where, *set_to) as endpoint, Client(endpoint) as client:
            yield client


def dwell_s(dwell_us: int | None) -> float:
    return (dwell_us or 100) * 1e-6


def run(detector: str, name: str, frames: int, dwell_us: int | None = None) -> Command:
    side = SIDE[detector]
    acquire = Acquire(
        mode="HRTEM", fov_nm=100.0, pixels_x=side, pixels_y=side, dwell_s=dwell_s(dwell_us), max_frames=frames
    )
    return Command(id=name, acquire=acquire)


def own_numbers(detector: str, chunk: Chunk) -> list[int]:
    """The numbers that are written into the pixels of a chunk's frames."""
    pixels = chunk.stack.reshape(chunk.header.frames, -1).astype(np.int64)
    if detector == "dectris":  # all pixels of a frame are its number
        assert (pixels == pixels[:, :1]).all()
        return [int(number) for number in pixels[:, 0]]
    return [int(number) for number in (pixels[:, :4] * 64 ** np.arange(4)).sum(axis=1)]


def seen(detector: str, client: Client, frames: int) -> tuple[list[int], int, End]:
    """Numbers of all frames of a run, in order, what was counted as dropped, and its End; numbers fit the pixels."""
    client.submit(run(detector, next(names), frames))
    numbers: list[int] = []
    dropped = 0
    for part in client.watch(SILENCE_S):
        if isinstance(part, Chunk):
            headed = list(range(part.header.frame, part.header.frame + part.header.frames))
            assert own_numbers(detector, part) == headed
            numbers += headed
            dropped = part.header.dropped_total
        last = part
    assert isinstance(last, End)
    return numbers, dropped, last


class Scripted:
    """A reading that gives these bursts: (number of the first frame, frames)."""

    def __init__(self, *bursts: tuple[int, int]) -> None:
        self._bursts = [(first, np.zeros((count, 4, 4), np.uint8)) for first, count in bursts]

    def take(self) -> Burst | None:
        return self._bursts.pop(0) if self._bursts else None


def counted(frames: Frames, *bursts: tuple[int, int]) -> Iterator[tuple[int, int, int]]:
    for chunk in frames.of(Scripted(*bursts), threading.Event(), 1.0):  # type: ignore[arg-type]
        yield chunk.header.frame, chunk.header.frames, chunk.header.dropped_total


def test_frames_are_counted_by_the_detectors_numbers() -> None:
    assert list(counted(Frames(9, "c", 1, 1e-3), (0, 3), (4, 1), (7, 5))) == [(0, 3, 0), (4, 1, 1), (7, 2, 3)]
    missing = Frames(9, "c", 1, 1e-3)
    assert list(counted(missing, (0, 8), (12, 3))) == [(0, 8, 0)]
    assert (missing.next, missing.dropped) == (9, 1)
    with pytest.raises(BridgeError, match="frame 2 of command c came twice"):
        list(counted(Frames(9, "c", 1, 1e-3), (0, 3), (2, 1)))
    early = Frames(9, "c", 1, 1e-3)
    with pytest.raises(Unreachable, match="run has ended"):
        list(counted(early, (0, 3)))
    assert early.next == 3


@pytest.fixture(scope="module", params=DETECTORS)
def paced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Client]]:
    with bridged(request.param, tmp_path_factory.mktemp("paced"), 64, PACE_US) as client:
        yield request.param, client


def test_what_a_detector_cannot_do_is_refused(paced: tuple[str, Client]) -> None:
    detector, client = paced
    assert client.describe().modes == ("HRTEM",)
    assert "no_range" in refusal(client, Command(id="move", go=Go(stage_x_nm=1.0)))[1]
    assert "max_frames = 65 refused (range)" in refusal(client, run(detector, "too-long", 65, PACE_US))[1]
    assert "dwell_s = 0.0001 refused (range)" in refusal(client, run(detector, "too-quick", 1))[1]


@pytest.mark.parametrize("check", [c for c in CHECKS if c.__name__ != "check_move"], ids=lambda check: check.__name__)
def test_contract(paced: tuple[str, Client], check: Callable[[Microscope, Acquisition], None]) -> None:
    detector, client = paced
    check(client, lambda name, frames: run(detector, name, frames, PACE_US))


@pytest.mark.slow
@pytest.mark.parametrize("detector", DETECTORS)
def test_every_frame_of_every_run_comes_once(detector: str, tmp_path: Path) -> None:
    with bridged(detector, tmp_path, 600) as client:
        for _ in range(3):
            numbers, dropped, end = seen(detector, client, 600)
            assert (dropped, end.aborted, end.reason) == (0, False, "")
            assert numbers == list(range(600))
        assert seen(detector, client, 50)[0] == list(range(50))  # the rest of that run is not taken for the next one
        assert seen(detector, client, 600)[0] == list(range(600))


def test_a_frame_that_a_merlin_loses_is_counted_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    with bridged("merlin", tmp_path, 300, None, "--leave-out=117") as client:
        numbers, dropped, end = seen("merlin", client, 300)
        assert numbers == [number for number in range(300) if number != 117]
        assert (dropped, end.aborted) == (1, False)
        assert execute(client, run("merlin", "again", 300), SILENCE_S).dropped == 1


@pytest.mark.slow
def test_a_frame_that_a_dectris_loses_ends_the_run_with_the_receivers_words(tmp_path: Path) -> None:
    with bridged("dectris", tmp_path, 300, None, "--leave-out=117") as client:
        numbers, _, end = seen("dectris", client, 300)
        assert numbers == list(range(len(numbers)))
        assert 100 < len(numbers) <= 117
        assert end.aborted
        assert f"{300 - len(numbers)} frames are missing at the end" in end.reason
        assert "frame id mismatch; got 118, expected 117" in end.reason
        assert len(seen("dectris", client, 300)[0]) == len(numbers)


@pytest.mark.slow
@pytest.mark.parametrize("detector", DETECTORS)
def test_a_detector_that_is_set_otherwise_than_the_bridge_was_told_is_noticed(detector: str, tmp_path: Path) -> None:
    with bridged(detector, tmp_path, 40, told=50) as client:
        _, _, end = seen(detector, client, 50)
        assert end.aborted
        assert "set to 40 frames a run, not to 50" in end.reason


@pytest.mark.slow
@pytest.mark.parametrize("detector", DETECTORS)
def test_a_detector_that_dies_ends_the_run_and_what_comes_next_is_told(detector: str, tmp_path: Path) -> None:
    python = python_of("detectors")
    simulator = subprocess.Popen(
        [python, "-m", f"{PACKAGE}.simulators", detector, "--frames=64", "--dwell-us=20000"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        where = [*wait_line(simulator, "ready ", 60.0).split(":"), str(tmp_path / "journal")]
        server = served("detectors", f"{PACKAGE}.serve", detector, *where, "--frames=64", "--dwell-s=0.02")
        # A DECTRIS is heard over ZeroMQ, which does not tell that it has gone: its receiver waits for ever.
        never_returns = detector == "dectris"
        ends = pytest.raises(RuntimeError, match="ended with 1") if never_returns else contextlib.nullcontext()
        with ends, server as endpoint, Client(endpoint) as client:
            client.submit(run(detector, "cut", 64, 20000))
            parts = client.watch(SILENCE_S)
            assert isinstance(next(parts), Start)
            next(parts)
            os.killpg(simulator.pid, signal.SIGKILL)
            *_, last = parts
            assert isinstance(last, End)
            assert last.aborted
            assert "frames are missing at the end" in last.reason
            assert last.state.beam_blanked
            said = "has not ended its run" if never_returns else "refused"
            assert said in execute(client, run(detector, "after", 64, 20000), SILENCE_S).reason
    finally:
        end(simulator)
