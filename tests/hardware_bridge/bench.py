"""A small instrument with a real stream: counts that tell their own place, paced by the wall clock where asked."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from experiments import small_column
from experiments.small_column import STATE
from hardware_bridge.blanker import Blanker
from hardware_bridge.cost import ELECTRONS_PER_PA_S, frame_s, move_s
from hardware_bridge.errors import Rejected
from hardware_bridge.geometry import merged
from hardware_bridge.messages import (
    Acquire,
    Axis,
    Capabilities,
    ChunkHeader,
    Command,
    End,
    InstrumentState,
    Optics,
    Start,
)
from hardware_bridge.microscope import gather_from_watch
from hardware_bridge.observation import Chunk, Observation, Part

CHUNK_ROWS = 8
CAPABILITIES = replace(small_column.CAPABILITIES, name="bench", time="stepped")
LIMITS = replace(small_column.LIMITS, dose_cell_nm=32.0, max_fluence_e_per_A2=1e5)


def scan(name: str, rows: int = 32, frames: int = 1, dwell_s: float = 1e-6) -> Command:
    """A HAADF command of 32 pixels a row."""
    acquire = Acquire(mode="HAADF", fov_nm=256.0, pixels_x=32, pixels_y=rows, dwell_s=dwell_s, max_frames=frames)
    return Command(id=name, acquire=acquire)


def expected(acquire: Acquire, frame: int = 0) -> np.ndarray:
    """What frame number ``frame`` must hold: every value tells its row, column and frame."""
    row, column = np.mgrid[: acquire.pixels_y, : acquire.pixels_x]
    return (row * 64 + column + frame).astype(np.uint16)


@dataclass
class Bench:
    """A Microscope; ``chunk_s`` is the wall time of a chunk, ``hangs`` the method that never returns, ``parks`` leaves
    the beam on after a scan. ``seen`` are the commands that reached it."""

    blanker_path: Path | None = None
    chunk_s: float = 0.0
    hangs: str = ""
    parks: bool = False
    seen: list[Command] = field(default_factory=list)
    blanks: int = 0

    def __post_init__(self) -> None:
        self._blanker = Blanker(self.blanker_path) if self.blanker_path else None
        self._state = STATE
        self._running: Command | None = None
        self._abort = threading.Event()
        self._epoch = 0

    def describe(self) -> Capabilities:
        return CAPABILITIES

    def state(self) -> InstrumentState:
        self._hang("state")
        return self._state

    def submit(self, command: Command) -> None:
        self._hang("submit")
        if self._running is not None:
            raise Rejected("busy", "id", command.id, f"command {self._running.id} is still running")
        self._abort.clear()
        self.seen.append(command)
        self._running = command

    def watch(self, timeout_s: float) -> Iterator[Part]:
        command = self._running
        if command is None:
            raise Rejected("idle", "watch", "no command", "a command must be submitted first")
        self._epoch += 1
        now = self._state.clock_s + move_s(command, self._state, CAPABILITIES)
        optics = {name: value for name in Optics.__struct_fields__ if (value := getattr(command.set.optics, name))}
        self._state = replace(
            self._state,
            clock_s=now,
            go=merged(self._state.go, command.go),
            optics=replace(self._state.optics, **optics),
        )
        chunks, wanted = 0, 0
        try:
            if command.acquire is not None:
                wanted = command.acquire.max_frames * -(-command.acquire.pixels_y // CHUNK_ROWS)
                for part in self._parts(command.id, command.acquire):
                    chunks += isinstance(part, Chunk)
                    yield part
        finally:
            self._beam(self.parks and not self._abort.is_set())
            self._running = None
        share = chunks / wanted if wanted else 0.0
        yield self._end(command, share, chunks)

    def gather(self, timeout_s: float) -> Observation:
        if self._running is None:
            raise Rejected("idle", "gather", "no command", "a command must be submitted first")
        return gather_from_watch(self, self._running, self._state, timeout_s)

    def blank(self) -> None:
        self.blanks += 1
        self._hang("blank")
        self._abort.set()
        self._beam(False)

    def stop(self) -> None:
        self.blank()

    def _parts(self, name: str, acquire: Acquire) -> Iterator[Part]:
        y, x = (
            Axis(name=axis, size=size, offset=0.0, scale=acquire.fov_nm / acquire.pixels_x, unit="nm")
            for axis, size in (("y", acquire.pixels_y), ("x", acquire.pixels_x))
        )
        yield Start(
            command_id=name,
            epoch=self._epoch,
            kind="frame",
            mode=acquire.mode,
            axes=(y, x),
            dtype="uint16",
            frames=acquire.max_frames,
            start_s=self._state.clock_s,
        )
        sequence = 0
        for frame in range(acquire.max_frames):
            data = expected(acquire, frame)
            for top in range(0, acquire.pixels_y, CHUNK_ROWS):
                if self._abort.is_set():
                    return
                self._beam(True)
                self._hang("watch")
                if self.chunk_s:
                    time.sleep(self.chunk_s)
                rows = min(CHUNK_ROWS, acquire.pixels_y - top)
                begun = self._state.clock_s
                ended = begun + frame_s(acquire, CAPABILITIES) * rows / acquire.pixels_y
                self._state = replace(self._state, clock_s=ended)
                header = ChunkHeader(
                    command_id=name,
                    epoch=self._epoch,
                    sequence=sequence,
                    frame=frame,
                    row_start=top,
                    rows=rows,
                    start_s=begun,
                    end_s=ended,
                )
                sequence += 1
                yield Chunk(header, data[top : top + rows])

    def _end(self, command: Command, share: float, chunks: int) -> End:
        on_s = command.acquire.max_frames * frame_s(command.acquire, CAPABILITIES) if command.acquire else 0.0
        return End(
            command_id=command.id,
            epoch=self._epoch,
            end_s=self._state.clock_s,
            electrons=(self._state.optics.beam_current_pA or 0.0) * on_s * share * ELECTRONS_PER_PA_S,
            beam_on_share=min(share, 1.0),
            aborted=self._abort.is_set(),
            reason="blanked" if self._abort.is_set() else "",
            chunks=chunks,
            state=self._state,
        )

    def _beam(self, on: bool) -> None:
        if on and self._abort.is_set():
            return
        self._state = replace(self._state, beam_blanked=not on)
        if self._blanker is not None:
            (self._blanker.open if on else self._blanker.blank)()

    def _hang(self, method: str) -> None:
        # A driver that never blanked once would not even be served.
        if self.hangs == method and (method != "blank" or self.seen):
            threading.Event().wait()
