"""How fast and how late frames come through the bridge, beside bare pyzmq and a bare ring in the same run.

The bridge runs as `adaptem run` runs it: guard, shutter, journal, supervisor, hashes checked at receipt. Camera and
server are one process, the reader is another. Throughputs are medians, the two sides of a pair taken by turns.

    python -m experiments.benchmarks.stream                 # 8 minutes; writes STREAM.md beside this file
    python -m experiments.benchmarks.stream --quick         # whether all of it runs and nothing is lost; prints only
    python -m experiments.benchmarks.stream --burst-bytes 1048576 --out PAGE.md    # with smaller messages
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks import stream_bare
from experiments.benchmarks.stream_camera import BURST_BYTES, UNPACED_S
from hardware_bridge.client import Client
from hardware_bridge.errors import GapFound
from hardware_bridge.messages import Acquire, Command, End
from hardware_bridge.observation import Chunk, Gap, whole
from hardware_bridge.reader import Intake

PAGE = """# The stream, measured

`make bench`, or `python -m experiments.benchmarks.stream`, writes this page. {cores} cores; load when it began
{load:.1f} (anything above 0.5 means that others were computing, and that the numbers are too low).

The bridge runs as `adaptem run` runs it: guard, shutter, journal, supervisor process, hashes of all values checked at
receipt, all frames distinct. Camera and bridge are one process, the reader is another. Bare is one frame a message and
no hash; for the ring the reader copies each frame out, on either side. The bridge carries as many frames a message as
are ready, up to {burst:.0f} MB. Medians of 3, by turns.

## Frames a second

| frames | path | bare | bridge | bridge / bare |
|---|---|---|---|---|
{throughputs}

Bar: 0.80 on every line.

## 4,000 frames a second

From when a frame is ready at the driver until it is in the reader's hands, checked. None was missing.

| frames | path | came | a second | p50 ms | p99 ms | worst ms |
|---|---|---|---|---|---|---|
{latencies}

Bar: the first line for 60 s with p99 under 2 ms; 512x512 uint16 at 4,000 a second over ring or ipc.

## While a stream saturates

| | p50 ms | p99 ms |
|---|---|---|
{others}

Bars: p99 under 5 ms; memory bounded by the window of the reader, whatever goes by.

## What limits

Frames of 0.5 MB over tcp: every byte goes through the kernel twice and is hashed at both ends, while camera, server,
reader and two I/O threads share two cores; bare pyzmq hashes nothing. Round trips wait there for the same cores. The
bar that is missed on such a machine is met over ipc and the ring, which is what a reader beside the instrument uses.

## What was tried

Side by side, by turns, on a machine busy with other work (load 10-15), 512x512 uint16:

- *An I/O thread of zmq for the stream alone, at either end*: kept. Round trips over tcp fell from 4.6 to 0.4 ms
  (`fate`, p50) and from 6.9 to 2.1 ms (`state`); p99 of `fate` from 57 to 28 ms. Over ipc nothing changed beyond noise.
- *A lower priority for the thread that runs the instrument*: dropped. What it answers itself (`state`) waited several
  times longer as soon as anybody else computed.
- *Messages of 1 MB instead of 4*: over tcp 1.5 to 1.8 times the frames in two runs of two, over the ring fewer; a
  driver decides that, `--burst-bytes` measures it.
- *Fixed kernel buffers of 1 or 4 MB*: fewer frames than with the system's own.
- *A shorter switch interval of Python*: nothing beyond noise.
"""

Shape = tuple[int, int]
Kind = tuple[Shape, str]

KINDS: tuple[Kind, ...] = (((256, 256), "uint8"), ((512, 512), "uint16"), ((64, 64), "uint16"))
PATHS = ("tcp", "ipc", "ring")
MOST_FRAMES = 2**20
SILENCE_S = 5.0
TRIES = 10
RATE = 4000.0
IDS = itertools.count()


@dataclass(frozen=True)
class Effort:
    """What is measured, for how long each time, in s, and how often."""

    kinds: tuple[Kind, ...] = KINDS
    paths: tuple[str, ...] = PATHS
    throughput_s: float = 3.0
    repeats: int = 3
    latency_s: float = 60.0
    other_s: float = 10.0
    burst_bytes: int = BURST_BYTES


QUICK = Effort(kinds=KINDS[2:], paths=("ring",), throughput_s=0.1, repeats=1, latency_s=0.2, other_s=0.2)


@contextlib.contextmanager
def process(module: str, *arguments: str) -> Iterator[tuple[int, str]]:
    """A module of the benchmark in a process of its own: its number, and what it said after ``ready``."""
    made = subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True)
    assert made.stdout is not None
    try:
        word, _, said = made.stdout.readline().strip().partition(" ")
        if word != "ready":
            raise RuntimeError(f"{module} did not start")
        yield made.pid, said
    finally:
        made.terminate()
        made.wait(10)
        made.stdout.close()


@contextlib.contextmanager
def bridge(kind: Kind, path: str, folder: Path, burst_bytes: int = BURST_BYTES) -> Iterator[tuple[int, str]]:
    """A camera behind a bridge: the number of its process and its endpoint."""
    (height, width), dtype = kind
    name = next(IDS)
    endpoint = "tcp://127.0.0.1:0" if path == "tcp" else f"ipc://{folder}/b{name}"
    arguments = (endpoint, str(folder / f"journal{name}"), str(height), str(width), dtype, str(burst_bytes))
    with process("experiments.benchmarks.stream_camera", *arguments) as made:
        yield made


def client(endpoint: str, path: str) -> Client:
    """Whoever holds the lease, reading in one of the three ways."""
    return Client(endpoint, intake=Intake(ring=path == "ring"))


def acquire(shape: Shape, frames: int, exposure_s: float) -> Command:
    """So many frames."""
    pixels_y, pixels_x = shape
    name = f"stream-{os.getpid()}-{next(IDS)}"
    acquire = Acquire(
        mode="HRTEM", fov_nm=10.0, pixels_x=pixels_x, pixels_y=pixels_y, dwell_s=exposure_s, max_frames=frames
    )
    return Command(id=name, acquire=acquire)


def throughput(reader: Client, shape: Shape, seconds: float) -> float:
    """Frames a second of a camera that always has frames ready, none lost.

    Where the bridge blanked because this process, or its own, was not let run for long enough, it is begun anew; after
    some tries that raises GapFound.
    """
    for _ in range(TRIES):
        reader.submit(acquire(shape, MOST_FRAMES, UNPACED_S))
        count, begun_s, now = 0, 0.0, 0.0
        rate: float | None = None
        for part in reader.watch(SILENCE_S):
            if isinstance(part, Gap) and part.lost:
                raise GapFound(f"{part.lost} parts were lost")
            if isinstance(part, End) and not part.aborted and count:
                return count / (now - begun_s)  # all that one command may bring came before the time was over
            if not isinstance(part, Chunk) or rate is not None:
                continue
            now = time.perf_counter()
            if begun_s:
                count += part.header.frames
                if now - begun_s > seconds:
                    rate = count / (now - begun_s)
                    reader.blank()
            else:
                begun_s = now
        if rate is not None:
            return rate
    raise GapFound("the bridge blanked each time, because something was not let run: is the machine idle?")


def bare(kind: Kind, path: str, folder: Path, seconds: float) -> float:
    """Frames a second without the bridge."""
    (height, width), dtype = kind
    name = next(IDS)
    address = f"tcp://127.0.0.1:{_free_port()}" if path == "tcp" else f"ipc://{folder}/z{name}"
    arguments = ["experiments.benchmarks.stream_bare", address, str(height), str(width), dtype]
    ring = None
    if path == "ring":
        ring = Path(f"/dev/shm/adaptem-bench-{os.getpid()}-{name}")
        stream_bare.make_ring(ring, height * width * np.dtype(dtype).itemsize)
        arguments.append(str(ring))
    try:
        with process(*arguments):
            return stream_bare.receive(address, (height, width), dtype, seconds, ring)
    finally:
        if ring is not None:
            ring.unlink()


@dataclass(frozen=True)
class Paced:
    """A camera that gives so many frames a second: how many came, at what rate, and how late in ms."""

    frames: int
    rate: float
    p50_ms: float
    p99_ms: float
    worst_ms: float


def paced(kind: Kind, path: str, folder: Path, rate: float, seconds: float) -> Paced:
    """Read all frames of a paced camera; raises GapFound where one is missing."""
    shape, _ = kind
    late: list[NDArray[np.float64]] = []
    with bridge(kind, path, folder) as (_, endpoint), client(endpoint, path) as reader:
        reader.submit(acquire(shape, int(rate * seconds), 1.0 / rate))
        begun_s = time.monotonic()
        for part in whole(reader.watch(SILENCE_S)):
            if isinstance(part, Chunk):
                now = time.monotonic()
                late.append(now - np.array([part.frame_start_s(index + 1) for index in range(part.header.frames)]))
        took_s = time.monotonic() - begun_s
    ages = np.concatenate(late) * 1e3
    p50, p99 = np.percentile(ages, [50.0, 99.0])
    return Paced(len(ages), len(ages) / took_s, float(p50), float(p99), float(ages.max()))


def control(kind: Kind, path: str, folder: Path, seconds: float) -> dict[str, tuple[float, float]]:
    """Round trips in ms, p50 and p99, of somebody else's questions while a stream saturates."""
    shape, _ = kind
    module = "experiments.benchmarks.stream_control"
    with bridge(kind, path, folder) as (_, endpoint), client(endpoint, path) as reader:
        command = [sys.executable, "-m", module, endpoint, str(seconds)]
        asking = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        while asking.poll() is None:
            throughput(reader, shape, 1.0)
        said, _ = asking.communicate()
    answers: dict[str, tuple[float, float]] = {}
    for line in said.splitlines():
        name, p50, p99 = line.split()
        answers[name] = (float(p50), float(p99))
    return answers


def frozen(path: str, folder: Path, seconds: float) -> tuple[float, float]:
    """MB by which the bridge's memory grows beside a reader who has stopped reading, and MB that went by."""
    kind = KINDS[0]
    shape, _ = kind
    with bridge(kind, path, folder) as (server, endpoint), client(endpoint, path) as reader:
        throughput(reader, shape, seconds)
        before = _memory_bytes(server)
        with Client(endpoint, holder=None, intake=Intake(ring=path == "ring")) as other:
            next(other.look_on(0.0), None)
            rate = throughput(reader, shape, seconds)
            grown = _memory_bytes(server) - before
    return grown / 1e6, rate * seconds * shape[0] * shape[1] / 1e6


def _memory_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as made:
        return int(made.getsockname()[1])


def throughputs(folder: Path, effort: Effort) -> list[str]:
    """A line for each kind of frame and path: without the bridge, with it, and the ratio, medians of all."""
    lines = []
    for kind, path in itertools.product(effort.kinds, effort.paths):
        without, behind = [], []
        with bridge(kind, path, folder, effort.burst_bytes) as (_, endpoint), client(endpoint, path) as reader:
            for _ in range(effort.repeats):
                without.append(bare(kind, path, folder, effort.throughput_s))
                behind.append(throughput(reader, kind[0], effort.throughput_s))
        middle, ours = statistics.median(without), statistics.median(behind)
        lines.append(f"| {_name(kind)} | {path} | {middle:,.0f} | {ours:,.0f} | {ours / middle:.2f} |")
        print(lines[-1], flush=True)
    return lines


def latencies(folder: Path, effort: Effort) -> list[str]:
    """A line for each paced camera: what came, and how late."""
    lines = []
    for kind, path in itertools.product(effort.kinds[:2], reversed(effort.paths)):
        seconds = effort.latency_s if (kind, path) == (KINDS[0], "ring") else effort.other_s
        seen = paced(kind, path, folder, RATE, seconds)
        lines.append(
            f"| {_name(kind)} | {path} | {seen.frames:,} | {seen.rate:,.0f} | {seen.p50_ms:.2f} | {seen.p99_ms:.2f} "
            f"| {seen.worst_ms:.1f} |"
        )
        print(lines[-1], flush=True)
    return lines


def others(folder: Path, effort: Effort) -> list[str]:
    """Lines on what a saturating stream does to questions, and a reader who has stopped to the bridge's memory."""
    lines = []
    kind = effort.kinds[:2][-1]
    for path in effort.paths:
        for question, (p50, p99) in control(kind, path, folder, effort.other_s).items():
            what = f"round trip of `{question}` while {_name(kind)} saturates"
            lines.append(f"| {what}, {path} | {p50:.2f} | {p99:.2f} |")
            print(lines[-1], flush=True)
    for path in effort.paths:
        grown, passed = frozen(path, folder, effort.throughput_s)
        what = "memory of the bridge beside a frozen reader with a window of 50 MB"
        lines.append(f"| {what}, {path}: MB grown, MB gone by | {grown:.0f} | {passed:,.0f} |")
        print(lines[-1], flush=True)
    return lines


def page(tables: Sequence[Sequence[str]], load: float, burst_bytes: int = BURST_BYTES) -> str:
    """The result as a page."""
    first, second, third = ("\n".join(table) for table in tables)
    return PAGE.format(
        throughputs=first, latencies=second, others=third, load=load, cores=os.cpu_count(), burst=burst_bytes / 2**20
    )


def _name(kind: Kind) -> str:
    (height, width), dtype = kind
    return f"{height}x{width} {dtype}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks.stream", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="measure for a moment only, and write nothing")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("STREAM.md"), help="where the page goes")
    parser.add_argument(
        "--burst-bytes", type=int, default=BURST_BYTES, metavar="N", help="of a message, in the first table"
    )
    given = parser.parse_args(arguments)
    effort = replace(QUICK if given.quick else Effort(), burst_bytes=given.burst_bytes)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="adaptem-bench-") as name:
        folder = Path(name)
        tables = [measure(folder, effort) for measure in (throughputs, latencies, others)]
    if not given.quick:
        given.out.write_text(page(tables, load, given.burst_bytes), encoding="utf-8")


if __name__ == "__main__":
    main()
