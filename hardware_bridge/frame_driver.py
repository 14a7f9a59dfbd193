"""The part that drivers of instruments with exposed frames share; six methods make it a driver."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hardware_bridge.cost import ELECTRONS_PER_PA_S, frame_s
from hardware_bridge.errors import BridgeError, Rejected
from hardware_bridge.messages import (
    Acquire,
    Axis,
    Capabilities,
    ChunkHeader,
    Command,
    End,
    InstrumentState,
    Start,
)
from hardware_bridge.microscope import gather_from_watch
from hardware_bridge.observation import Chunk, Observation, Part


class FrameDriver(ABC):
    """A ``Microscope`` that exposes one frame after the other, with the beam blanked in between.

    Whatever a method raises leaves the command unknown, blanked and charged in full; ``Rejected`` from ``prepare``
    refuses it. ``dtype`` is that of the frames.
    """

    dtype: Literal["uint8", "uint16", "uint32", "float32"] = "uint16"

    def __init__(self) -> None:
        self._pending: tuple[Command, InstrumentState] | None = None
        self._abort = threading.Event()
        self._lock = threading.Lock()
        self._epoch = 0

    @abstractmethod
    def describe(self) -> Capabilities:
        """Say what the instrument can do; constant while it runs."""

    @abstractmethod
    def state(self) -> InstrumentState:
        """Read back where everything is, stamped with ``clock_s``."""

    @abstractmethod
    def prepare(self, command: Command) -> None:
        """Refuse what the instrument cannot do, by raising Rejected; nothing moves and no beam is on yet."""

    @abstractmethod
    def move(self, command: Command) -> None:
        """Go and set what is asked for, and come back when it is done; the beam is blanked."""

    @abstractmethod
    def expose(self, acquire: Acquire) -> NDArray[np.generic]:
        """Take one frame, (pixels_y, pixels_x) of ``dtype``; the beam is on."""

    @abstractmethod
    def beam(self, on: bool) -> None:
        """Let the beam through or blank it, and come back when it is so; blanking is asked from any thread."""

    def clock_s(self) -> float:
        """The instrument's clock, in s; the computer's, where it has none of its own."""
        return time.monotonic()

    def submit(self, command: Command) -> None:
        """Accept a command; ``watch`` runs it."""
        if self._pending is not None:
            raise Rejected("busy", "id", command.id, f"command {self._pending[0].id} is still running")
        self._abort.clear()
        before = self.state()
        self.prepare(command)
        self._pending = command, before

    def watch(self, timeout_s: float) -> Iterator[Part]:
        """Run the submitted command and yield what it gives: move, then frame by frame."""
        if self._pending is None:
            raise Rejected("idle", "watch", "no command", "a command must be submitted first")
        command, acquire = self._pending[0], self._pending[0].acquire
        self._epoch += 1
        frames, on_s = 0, 0.0
        try:
            self.move(command)
            if acquire is not None:
                yield self._start(command.id, acquire)
                while frames < acquire.max_frames and (chunk := self._chunk(command.id, acquire, frames)) is not None:
                    frames += 1
                    on_s += chunk.header.end_s - chunk.header.start_s
                    yield chunk
        finally:
            self._pending = None
            self.beam(False)
        yield self._end(command, frames, on_s)

    def gather(self, timeout_s: float) -> Observation:
        """Run the submitted command and return its window."""
        if self._pending is None:
            raise Rejected("idle", "gather", "no command", "a command must be submitted first")
        return gather_from_watch(self, *self._pending, timeout_s)

    def blank(self) -> None:
        """Blank the beam now; the exposure under way ends by itself and no other follows."""
        self._abort.set()
        with self._lock:
            self.beam(False)

    def stop(self) -> None:
        """Blank the beam now."""
        self.blank()

    def _chunk(self, name: str, acquire: Acquire, frame: int) -> Chunk | None:
        begun_s = self.clock_s()
        with self._lock:  # a blank comes before this or after it, never in between
            if self._abort.is_set():
                return None
            self.beam(True)
        image = self.expose(acquire)
        self.beam(False)
        wanted = f"({acquire.pixels_y}, {acquire.pixels_x}) {self.dtype}"
        if f"{image.shape} {image.dtype}" != wanted:
            raise BridgeError(f"the instrument gave a frame {image.shape} {image.dtype} in place of {wanted}")
        header = ChunkHeader(
            command_id=name,
            epoch=self._epoch,
            sequence=frame,
            frame=frame,
            row_start=0,
            rows=acquire.pixels_y,
            start_s=begun_s,
            end_s=self.clock_s(),
        )
        return Chunk(header, image)

    def _start(self, name: str, acquire: Acquire) -> Start:
        y, x = (
            Axis(name=axis, size=size, offset=0.0, scale=acquire.fov_nm / acquire.pixels_x, unit="nm")
            for axis, size in (("y", acquire.pixels_y), ("x", acquire.pixels_x))
        )
        return Start(
            command_id=name,
            epoch=self._epoch,
            kind="frame",
            mode=acquire.mode,
            axes=(y, x),
            dtype=self.dtype,
            frames=acquire.max_frames,
            start_s=self.clock_s(),
        )

    def _end(self, command: Command, frames: int, on_s: float) -> End:
        acquire, share = command.acquire, 0.0
        if acquire is not None:
            share = min(1.0, on_s / (acquire.max_frames * frame_s(acquire, self.describe())))
        state = self.state()
        return End(
            command_id=command.id,
            epoch=self._epoch,
            end_s=state.clock_s,
            electrons=(state.optics.beam_current_pA or 0.0) * on_s * ELECTRONS_PER_PA_S,
            beam_on_share=share,
            aborted=self._abort.is_set(),
            reason="blanked" if self._abort.is_set() else "",
            chunks=frames,
            state=state,
        )
