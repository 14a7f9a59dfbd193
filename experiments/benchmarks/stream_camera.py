"""A fast camera as a driver, with frames made before, served in a process of its own for the benchmark of the stream.

python -m experiments.benchmarks.stream_camera ENDPOINT JOURNAL_FOLDER HEIGHT WIDTH DTYPE BURST_BYTES
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from experiments.benchmarks.camera import CAPABILITIES, LIMITS, STATE
from hardware_bridge.errors import Rejected
from hardware_bridge.messages import Axis, Capabilities, ChunkHeader, Command, End, InstrumentState, Start
from hardware_bridge.microscope import gather_from_watch
from hardware_bridge.observation import Chunk, Observation, Part
from hardware_bridge.server import serve

POOL_BYTES = 128 << 20
BURST_BYTES = 1 << 22
UNPACED_S = 1e-9
"""An exposure so short stands for a camera that always has frames ready."""


def pool(shape: tuple[int, int], dtype: str) -> NDArray[np.generic]:
    """Distinct frames, (n, H, W), too many for the processor's cache; never written to again."""
    count = max(2, POOL_BYTES // (shape[0] * shape[1] * np.dtype(dtype).itemsize))
    random = np.random.default_rng(1)
    return random.integers(0, np.iinfo(dtype).max, (count, *shape), dtype=dtype)


class Camera:
    """A Microscope that hands over as many frames as are ready; its clock is the machine's monotonic one.

    Frame n is ready n + 1 exposures after the start: the end of a chunk is when its last frame was ready, so that a
    reader on the same machine sees how old a frame is.
    """

    def __init__(self, frames: NDArray[np.generic], burst_bytes: int = BURST_BYTES) -> None:
        self._frames = frames
        self._most = max(1, burst_bytes // frames[0].nbytes)
        self._abort = threading.Event()
        self._running: Command | None = None
        self._is_on = False
        self._epoch = 0

    def describe(self) -> Capabilities:
        """A camera and nothing else."""
        return CAPABILITIES

    def state(self) -> InstrumentState:
        """Nothing moves but the clock."""
        return replace(STATE, clock_s=time.monotonic(), beam_blanked=not self._is_on)

    def submit(self, command: Command) -> None:
        """Accept a command."""
        if self._running is not None:
            raise Rejected("busy", "id", command.id, f"command {self._running.id} is still running")
        self._abort.clear()
        self._running = command

    def watch(self, timeout_s: float) -> Iterator[Part]:
        """Yield the frames of the command in bursts."""
        command = self._running
        if command is None or command.acquire is None:
            raise Rejected("idle", "watch", "no acquisition", "one must be submitted first")
        self._epoch += 1
        chunks = done = 0
        yield self._start(command)
        self._is_on = True
        for chunk in self._chunks(command):
            chunks, done = chunks + 1, done + chunk.header.frames
            yield chunk
        self._is_on = False
        self._running = None
        yield End(
            command_id=command.id,
            epoch=self._epoch,
            end_s=time.monotonic(),
            electrons=0.0,
            beam_on_share=done / command.acquire.max_frames,
            aborted=self._abort.is_set(),
            reason="blanked" if self._abort.is_set() else "",
            chunks=chunks,
            state=self.state(),
        )

    def gather(self, timeout_s: float) -> Observation:
        """Wait for the command to end."""
        assert self._running is not None
        return gather_from_watch(self, self._running, STATE, timeout_s)

    def blank(self) -> None:
        """End what runs."""
        self._is_on = False
        self._abort.set()

    def stop(self) -> None:
        """End what runs."""
        self.blank()

    def _start(self, command: Command) -> Start:
        acquire = command.acquire
        assert acquire is not None
        return Start(
            command_id=command.id,
            epoch=self._epoch,
            kind="frame",
            mode="HRTEM",
            axes=tuple(
                Axis(name=name, size=size, offset=0.0, scale=1.0, unit="nm")
                for name, size in zip("yx", self._frames.shape[1:], strict=True)
            ),
            dtype=self._frames.dtype.name,  # type: ignore[arg-type]
            frames=acquire.max_frames,
            start_s=time.monotonic(),
        )

    def _chunks(self, command: Command) -> Iterator[Chunk]:
        assert command.acquire is not None
        exposure_s, wanted = command.acquire.dwell_s, command.acquire.max_frames
        frames, begun_s = self._frames, time.monotonic()
        done = sequence = 0
        while done < wanted and not self._abort.is_set():
            if exposure_s <= UNPACED_S:
                ready = self._most
            else:
                ready = int((time.monotonic() - begun_s) / exposure_s) - done
                if ready <= 0:
                    time.sleep(max(0.0, begun_s + (done + 1) * exposure_s - time.monotonic()))
                    continue
            first = done % len(frames)
            count = min(ready, self._most, wanted - done, len(frames) - first)
            header = ChunkHeader(
                command_id=command.id,
                epoch=self._epoch,
                sequence=sequence,
                frame=done,
                frames=count,
                row_start=0,
                rows=frames.shape[1],
                start_s=begun_s + done * exposure_s,
                end_s=begun_s + (done + count) * exposure_s,
            )
            yield Chunk(header, frames[first : first + count] if count > 1 else frames[first])
            done, sequence = done + count, sequence + 1


def main() -> None:
    """Serve until the end."""
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks.stream_camera", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    for name in ("endpoint", "folder", "height", "width", "dtype", "burst_bytes"):
        parser.add_argument(name)
    given = parser.parse_args()
    frames = pool((int(given.height), int(given.width)), given.dtype)
    serve(Camera(frames, int(given.burst_bytes)), LIMITS, given.endpoint, journal_folder=Path(given.folder))


if __name__ == "__main__":
    main()
