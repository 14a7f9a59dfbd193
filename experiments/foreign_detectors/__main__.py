"""Frames a second that come through the bridge, beside what the detector's own client takes alone: a table.

    python -m experiments.foreign_detectors              # a minute
    python -m experiments.foreign_detectors --rounds 1

In each round one after the other, at the same simulator; it needs `make foreign`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.foreign import ROOT, python_of, served
from experiments.options import parser
from hardware_bridge.client import Client
from hardware_bridge.errors import BridgeError
from hardware_bridge.messages import Acquire, Command, End
from hardware_bridge.observation import Chunk, Gap

FRAMES = {"merlin": 4000, "dectris": 4000}
SIDE = {"merlin": 256, "dectris": 512}
TYPE = {"merlin": "uint8", "dectris": "uint16, bslz4"}
RUNS = 3
DWELL_S = 1e-4
SILENCE_S = 20.0
PACKAGE = "experiments.foreign_detectors"


def alone(detector: str, ports: list[str]) -> float:
    """Frames a second of the detector's own client, the best of some runs."""
    asked = [str(python_of("detectors")), "-m", f"{PACKAGE}.alone", detector, *ports, str(FRAMES[detector]), str(RUNS)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    said = subprocess.run(asked, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout
    return max(float(line) for line in said.split())


def bridged(detector: str, ports: list[str]) -> float:
    """Frames a second in the hands of a client of the bridge, the best of some runs; every frame is counted."""
    side, frames = SIDE[detector], FRAMES[detector]
    with tempfile.TemporaryDirectory() as folder:
        where = [detector, *ports, str(Path(folder) / "journal")]
        set_to = [f"--frames={frames}", f"--dwell-s={DWELL_S}"]
        with served("detectors", f"{PACKAGE}.serve", *where, *set_to) as endpoint, Client(endpoint) as client:
            acquire = Acquire(
                mode="HRTEM", fov_nm=100.0, pixels_x=side, pixels_y=side, dwell_s=DWELL_S, max_frames=frames
            )
            return max(taken(client, Command(id=f"run-{number}", acquire=acquire)) for number in range(RUNS))


def taken(client: Client, command: Command) -> float:
    """Take one run and return its rate; 0, and a line that says why, where the bridge itself ended it.

    Raises:
        BridgeError: a frame is missing, came twice, or is not the one that its header says.
    """
    assert command.acquire is not None
    client.submit(command)
    counted, times, told = 0, [], ""
    for part in client.watch(SILENCE_S):
        if isinstance(part, Gap):
            told = told or f"{part.dropped + part.lost} parts were given up"
        elif isinstance(part, End):
            told = told or part.reason
        elif isinstance(part, Chunk) and not told:
            headed = part.header.frame + np.arange(part.header.frames)
            if part.header.frame != counted or (own_numbers(part) != headed).any():
                raise BridgeError(f"after {counted} frames came {own_numbers(part)}, headed {headed}")
            counted += part.header.frames
            times.append((time.perf_counter(), counted))
    if told:
        print(f"not counted, since the bridge ended it after {counted} frames: {told}", file=sys.stderr)
        return 0.0
    if counted != command.acquire.max_frames:
        raise BridgeError(f"{counted} of {command.acquire.max_frames} frames came")
    (begin_s, already), (end_s, _) = times[0], times[-1]
    return (counted - already) / (end_s - begin_s)


def own_numbers(chunk: Chunk) -> NDArray[np.int64]:
    """The numbers that the simulators write into the first pixels of each frame, (frames,)."""
    pixels = chunk.stack.reshape(chunk.header.frames, -1)
    if pixels.dtype == np.uint8:
        return np.asarray(pixels[:, :4].astype(np.int64) @ 64 ** np.arange(4))
    return pixels[:, 0].astype(np.int64)


def main() -> None:
    """Print the table."""
    asked = parser(PACKAGE, __doc__)
    asked.add_argument("--rounds", type=int, default=3, metavar="N", help="how many (default 3); the best counts")
    rounds = asked.parse_args().rounds
    print("| detector | frames | own client alone, frames/s | through the bridge, frames/s | share |")
    print("|---|---|---|---|---|")
    for detector, frames in FRAMES.items():
        with served("detectors", f"{PACKAGE}.simulators", detector, f"--frames={frames}") as said:
            ports = said.split(":")
            pairs = [(alone(detector, ports), bridged(detector, ports)) for _ in range(rounds)]
        best_alone, best_bridged = (max(values) for values in zip(*pairs, strict=True))
        size = f"{SIDE[detector]} x {SIDE[detector]} {TYPE[detector]}"
        print(
            f"| {detector} | {size} | {best_alone:,.0f} | {best_bridged:,.0f} | {best_bridged / best_alone:.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
