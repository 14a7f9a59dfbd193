"""From an event in a frame at the camera to the command that it leads to: how long, with perception in the loop.

A camera driver is served by the bridge in a process of its own: 256 x 256 uint8, 1,000 frames a second, one by one.
From a known frame on a bright spot is there. The agent is the whole loop in another process: the client, the watcher
on every frame, an urgent change that blanks the beam, the analyst on what came, the record on disk, a policy, the
envelope. The time is taken at the driver, from handing over the first frame with the spot to the next command reaching
it, both on the monotonic clock of one machine.

    python -m experiments.benchmarks.event                      # 200 events of each kind; writes EVENT.md beside it
    python -m experiments.benchmarks.event --events 20 --out -
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from msgspec.structs import replace

from agent.assemble import CHOICES, DEFAULT_CONFIG, watching
from agent.config import Budget, Config, WatchChoice, load
from agent.eventlog import Header
from agent.loop import Loop
from agent.perception.analyst import Analyst
from agent.perception.watcher import WatchSettings
from agent.record import Record
from agent.recorder import FileRecorder, now, versions
from agent.review import Autonomous, Walls
from agent.steering import setup_of
from digital_twin.standard import standard_card
from experiments.benchmarks.camera import LIMITS, Camera, filming
from hardware_bridge.client import Client
from hardware_bridge.server import Timing, serve
from policies.interface import Proposal, Setup, Situation, Turn

BAR_MS = 50.0
RATE_HZ = 1000.0
LEARN_FRAMES = 256
EARLIEST = 20
MOST_FRAMES = 5000
RESULT = Path(__file__).with_name("EVENT.md")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}

Mode = Literal["HRTEM", "HAADF"]


class Filming:
    """A policy that goes on filming the same field."""

    def __init__(self, mode: Mode, pixels: int) -> None:
        self._mode, self._pixels = mode, pixels

    def begin(self, setup: Setup, seed: int) -> None:
        """Nothing to prepare."""

    def suggest(self, situation: Situation, n: int) -> Sequence[Proposal]:
        """One film, the same as the last."""
        command = filming(f"film-{situation.turn:06d}", MOST_FRAMES, self._pixels, self._mode)
        film = Proposal(
            command=command,
            information=0.0,
            information_sd=0.0,
            electrons=0.0,
            time_s=MOST_FRAMES / RATE_HZ,
            reason="Go on filming",
            proposer="filming",
        )
        return [film]

    def ingest(self, turn: Turn) -> None:
        """Nothing to learn."""


@dataclass(frozen=True)
class Reaction:
    """What came of one event: ms from frame to command, where the watcher spoke, and what the turn's steps took.

    ``late_frames`` are counted from the first frame with the spot; where they are negative, it spoke of something else.
    """

    ms: float
    late_frames: int
    wall_s: dict[str, float]


def spots(seed: int = 7) -> Iterator[int]:
    """In which frame the spot appears, acquisition by acquisition: not before the watcher knows what is usual."""
    random = np.random.default_rng(seed)
    yield 2 * LEARN_FRAMES
    while True:
        yield int(random.integers(EARLIEST, 120))


@contextmanager
def served(folder: Path, pixels: int) -> Iterator[str]:
    """The camera behind a bridge, as a process of its own; gives its endpoint."""
    command = [sys.executable, "-m", "experiments.benchmarks.event", "--serve", str(folder), "--pixels", str(pixels)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().removeprefix("ready ").strip()
        finally:
            process.terminate()


def react(folder: Path, events: int, mode: Mode = "HRTEM", pixels: int = 256) -> list[Reaction]:
    """Let the agent meet so many events; the record of its run is left in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    config = replace(load(DEFAULT_CONFIG, more=CHOICES), limits=LIMITS, watch=WATCH, budget=UNLIMITED)
    records: list[Record] = []
    with served(folder, pixels) as endpoint, Client(endpoint) as client:
        header = _header(config, client)
        with FileRecorder(folder / "run", header) as recorder:
            setup = setup_of(header)
            loop = Loop(
                microscope=client,
                policy=Filming(mode, pixels),
                perceive=Analyst(header.capabilities),
                review=Autonomous(Walls(LIMITS, header.capabilities, {})),
                recorder=recorder,
                setup=setup,
                expose=watching(config, recorder.spool),
            )
            # On a machine that is too busy films end without an event: that has an end too.
            for record in loop.run(3 * events + 10):
                records.append(record)
                if sum(any(event.frame >= EARLIEST for event in record.events) for record in records) == events:
                    break
            # What the last event leads to.
            client.submit(filming("the-last", 1, pixels, mode))
            client.gather(2.0)
    return reactions((folder / "driver.log").read_text().splitlines(), records)


UNLIMITED = Budget(electrons=1e15, duration_s=1e6)
WATCH = WatchChoice(
    urgent=("change",),
    before_s=0.1,
    after_s=0.1,
    most_bytes=20e9,
    alarms=WatchSettings(learn_frames=LEARN_FRAMES),
)


def _header(config: Config, client: Client) -> Header:
    state = client.state()
    return Header(
        created=now(),
        versions=versions(),
        config=config,
        seed=0,
        capabilities=client.describe(),
        card=standard_card(UNLIMITED.duration_s, UNLIMITED.electrons),
        start_s=state.clock_s,
        end_s=state.clock_s + UNLIMITED.duration_s,
        max_electrons=UNLIMITED.electrons,
    )


def reactions(log: Sequence[str], records: Sequence[Record]) -> list[Reaction]:
    """Read the driver's log: after each spot that was shown, when did the next command come?

    Raises:
        ValueError: a spot was shown and not seen.
    """
    events = {
        record.decision.command.id: (record, [event.frame for event in record.events if event.kind == "change"])
        for record in records
        if record.decision.command is not None
    }
    shown: tuple[str, int, int] | None = None
    found = []
    for what, name, *values in map(json.loads, log):
        if what == "shown":
            shown = name, values[0], values[1]
        elif shown is not None:
            film, frame, shown_ns = shown
            shown = None
            record, told = events[film]
            if told:
                found.append(Reaction((values[0] - shown_ns) * 1e-6, told[0] - frame, record.wall_s))
            elif not record.aborted:  # the bridge blanks where a busy machine owes it a beat: nothing was missed then
                raise ValueError(f"{film}: the spot came in frame {frame} and was not seen")
    return found


def table(results: dict[str, list[Reaction]], pixels: int) -> str:
    """The result page."""
    lines = [
        "# From an event to the command it leads to",
        "",
        f"{pixels} x {pixels} uint8 at 1,000 frames/s from a camera driver through server and client in two processes "
        f"on {os.cpu_count()} cores; every frame watched, the newest one analysed, the turn on disk before the next "
        "decision. Time at the driver, from handing over the first frame with a bright spot to the next command. "
        f"Bar: p99 under {BAR_MS:g} ms. Made by `python -m experiments.benchmarks.event`.",
        "",
        "| taken for | events | seen at once | false alarms | p50 (ms) | p99 (ms) | longest (ms) | bar |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, found in results.items():
        ms = np.array([reaction.ms for reaction in found if reaction.late_frames >= 0])
        same = sum(reaction.late_frames == 0 for reaction in found)
        p50, p99 = np.percentile(ms, (50, 99))
        verdict = "met" if p99 < BAR_MS else "missed"
        numbers = f"{len(ms)} | {same} | {len(found) - len(ms)} | {p50:.1f} | {p99:.1f} | {ms.max():.1f}"
        lines.append(f"| {name} | {numbers} | {verdict} |")
    lines += ["", "Median time of the loop's steps in these turns (ms):", ""]
    steps = ("look", "suggest", "review", "perceive", "write", "ingest")
    lines += ["| taken for | " + " | ".join(steps) + " |", "|---" * (len(steps) + 1) + "|"]
    for name, found in results.items():
        medians = [1e3 * float(np.median([reaction.wall_s.get(step, 0.0) for reaction in found])) for step in steps]
        lines.append(f"| {name} | " + " | ".join(f"{value:.1f}" for value in medians) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks.event", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--events", type=int, default=200, help="how many of each kind (default 200)")
    parser.add_argument("--out", default=str(RESULT), help="page to write, - for the standard output alone")
    parser.add_argument("--pixels", type=int, default=256, help="along an edge of the frames (default 256)")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.serve is not None:
        camera = Camera(spacing_s=1.0 / RATE_HZ, spots=spots(), log=given.serve / "driver.log")
        camera.prepare(given.pixels)
        # It ends by itself where the agent does not come back.
        timing = Timing(linger_s=10.0)
        serve(camera, LIMITS, f"ipc://{given.serve}/camera", journal_folder=given.serve / "journal", timing=timing)
        return
    results = {}
    kinds: dict[str, Mode] = {"a camera's (the watcher alone looks)": "HRTEM", "HAADF (the analyst too)": "HAADF"}
    with tempfile.TemporaryDirectory(prefix="adaptem-") as folder:
        for name, mode in kinds.items():
            results[name] = react(Path(folder) / mode, given.events, mode, given.pixels)
    page = table(results, given.pixels)
    print(page, end="")
    if given.out != "-":
        Path(given.out).write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
