"""A small instrument that records what reaches it, and lets others act between two of its chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from msgspec.structs import replace

from experiments.small_column import CAPABILITIES, STATE
from hardware_bridge.cost import ELECTRONS_PER_PA_S, frame_s, move_s
from hardware_bridge.errors import Rejected
from hardware_bridge.geometry import merged
from hardware_bridge.messages import (
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
from hardware_bridge.words import WordT

ROWS = 8


class Instrument:
    """A Microscope; ``between`` is called before every chunk, ``seen`` are the commands that reached it."""

    def __init__(self) -> None:
        self.seen: list[Command] = []
        self.between: Callable[[int], None] = lambda chunk: None
        self._state = STATE
        self._running: Command | None = None
        self._is_aborted = False

    def describe(self) -> Capabilities:
        """Say what the instrument can do."""
        return CAPABILITIES

    def state(self) -> InstrumentState:
        """Read back the instrument."""
        return self._state

    def submit(self, command: Command) -> None:
        """Accept a command; Rejected while another one runs."""
        if self._running is not None:
            raise Rejected("busy", "id", command.id, f"command {self._running.id} is still running")
        self._is_aborted = False
        self.seen.append(command)
        self._running = command

    def watch(self, timeout_s: float) -> Iterator[Part]:
        """Yield the parts of the command."""
        command = self._running
        assert command is not None
        before, asked = self._state, command.set
        self._state = replace(
            before,
            clock_s=before.clock_s + move_s(command, before, CAPABILITIES),
            go=merged(before.go, command.go),
            optics=_changed(before.optics, asked.optics),
            holder=_changed(before.holder, asked.holder),
        )
        done, wanted = 0, 0
        try:
            if command.acquire is not None:
                wanted = command.acquire.max_frames * -(-command.acquire.pixels_y // ROWS)
                for part in self._parts(command):
                    done += isinstance(part, Chunk)
                    yield part
        finally:
            self._state = replace(self._state, beam_blanked=True)
            self._running = None
        yield self._end(command, done / wanted if wanted else 0.0, done)

    def gather(self, timeout_s: float) -> Observation:
        """Wait for the command to end and return its window."""
        assert self._running is not None
        return gather_from_watch(self, self._running, self._state, timeout_s)

    def blank(self) -> None:
        """Blank and end what runs."""
        self._is_aborted = True
        self._state = replace(self._state, beam_blanked=True)

    def stop(self) -> None:
        """Blank and end what runs."""
        self.blank()

    def die(self) -> None:
        """The process that drove it is gone: what ran has ended."""
        self.blank()
        self._running = None

    def _parts(self, command: Command) -> Iterator[Part]:
        acquire = command.acquire
        assert acquire is not None
        scale = acquire.fov_nm / acquire.pixels_x
        sizes = (("y", acquire.pixels_y), ("x", acquire.pixels_x))
        yield Start(
            command_id=command.id, epoch=len(self.seen), kind="frame", mode=acquire.mode, dtype="uint8",
            axes=tuple(Axis(name=name, size=size, offset=0.0, scale=scale, unit="nm") for name, size in sizes),
            frames=acquire.max_frames, start_s=self._state.clock_s,
        )  # fmt: skip
        tops = range(0, acquire.pixels_y, ROWS)
        for number in range(acquire.max_frames * len(tops)):
            self.between(number)
            if self._is_aborted:
                return
            frame, row = divmod(number, len(tops))
            rows = min(ROWS, acquire.pixels_y - tops[row])
            begun_s = self._state.clock_s
            ended_s = begun_s + frame_s(acquire, CAPABILITIES) * rows / acquire.pixels_y
            self._state = replace(self._state, clock_s=ended_s, beam_blanked=False)
            header = ChunkHeader(
                command_id=command.id, epoch=len(self.seen), sequence=number, frame=frame, row_start=tops[row],
                rows=rows, start_s=begun_s, end_s=ended_s,
            )  # fmt: skip
            yield Chunk(header, np.full((rows, acquire.pixels_x), number % 256, dtype=np.uint8))

    def _end(self, command: Command, share: float, chunks: int) -> End:
        on_s = command.acquire.max_frames * frame_s(command.acquire, CAPABILITIES) if command.acquire else 0.0
        return End(
            command_id=command.id,
            epoch=len(self.seen),
            end_s=self._state.clock_s,
            electrons=(self._state.optics.beam_current_pA or 0.0) * on_s * share * ELECTRONS_PER_PA_S,
            beam_on_share=min(share, 1.0),
            aborted=self._is_aborted,
            reason="blanked" if self._is_aborted else "",
            chunks=chunks,
            state=self._state,
        )


def _changed(before: WordT, asked: WordT) -> WordT:
    values = {n: v for n in asked.__struct_fields__ if (v := getattr(asked, n)) is not None}
    return replace(before, **values)
