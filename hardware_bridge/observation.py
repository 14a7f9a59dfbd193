"""What the agent sees of one turn, put together from the stream of parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hardware_bridge.errors import BridgeError, GapFound
from hardware_bridge.messages import Axis, ChunkHeader, Command, End, InstrumentState, Kind, Reading, Start
from hardware_bridge.report import FrameEvent


@dataclass(frozen=True)
class Chunk:
    """Some rows of one frame: (rows, W) for images, (rows, W, E) for spectra, (rows, W, ky, kx) for patterns.

    A burst of several frames has one axis more, in front: (frames, H, W), (frames, H, W, E), (frames, H, W, ky, kx).
    The data belong to the chunk: whoever gave it does not write to them again.
    """

    header: ChunkHeader
    data: NDArray[np.generic]

    @property
    def stack(self) -> NDArray[np.generic]:
        """The data with the axis of frames in front, even where there is one only: (frames, rows, ...); no copy."""
        return self.data if self.header.frames > 1 else self.data[np.newaxis]

    def frame_start_s(self, index: int) -> float:
        """When frame number ``index`` of this chunk was begun, on the instrument's clock."""
        header = self.header
        return header.start_s + (header.end_s - header.start_s) * index / header.frames


@dataclass(frozen=True)
class Gap:
    """In place of parts that are missing from a stream.

    ``dropped`` were given up because the reader had no room for them; ``lost`` never came, or came changed or too late.
    """

    dropped: int
    lost: int


Part = Start | Chunk | End | Gap


@dataclass(frozen=True)
class FrameStatistics:
    """One line of the per-frame table: times in s on the instrument's clock, values in detector units."""

    frame: int
    start_s: float
    end_s: float
    mean: float
    sd: float
    low: float
    high: float


@dataclass(frozen=True)
class Observation:
    """The window since the last turn: the newest array, a table of per-frame statistics, gaps, axes and dose.

    ``data`` is (H, W), (H, W, E) or (H, W, ky, kx), None where the command acquired nothing. ``row_seen`` (H,) bool
    tells which rows of it arrived, ``row_start_s`` (H,) when each was begun. ``gaps`` counts missing chunks.
    ``electrons`` is what hit the specimen by the instrument's measure, ``electrons_charged`` what the guard charged
    after reconciling. ``readings`` tell what the holder measured in that time, ``events`` what a watcher saw begin.
    """

    command: Command
    start_s: float
    end_s: float
    state: InstrumentState
    kind: Kind | None = None
    data: NDArray[np.generic] | None = None
    axes: tuple[Axis, ...] = ()
    row_seen: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    row_start_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    statistics: tuple[FrameStatistics, ...] = ()
    gaps: int = 0
    dropped: int = 0
    electrons: float = 0.0
    electrons_charged: float = 0.0
    aborted: bool = False
    reason: str = ""
    readings: tuple[Reading, ...] = ()
    events: tuple[FrameEvent, ...] = ()


def collect(
    command: Command, before: InstrumentState, parts: Iterable[Part], with_statistics: bool = True
) -> Observation:
    """Put the parts of one command together into an Observation, counting what is missing.

    ``before`` is the state when the command was submitted; the charge is the growth of ``electrons_charged`` since.
    Without statistics it keeps up with fast streams, whose watcher has a table of its own.

    Raises:
        BridgeError: if the stream ends without an End or holds parts of another command.
    """
    collector = _Collector(command, before, with_statistics)
    for part in parts:
        if collector.add(part):
            return collector.observation()
    raise BridgeError(f"the stream of command {command.id} ended without an End")


def whole(parts: Iterable[Part]) -> Iterator[Part]:
    """Pass on the parts of one command to somebody who needs all of them.

    Raises:
        GapFound: some are missing: the bridge or the network lost them, or the instrument did.
    """
    chunks = 0
    for part in parts:
        if isinstance(part, Gap):
            raise GapFound(f"after chunk {chunks}: {part.lost} parts of the stream were lost, {part.dropped} dropped")
        if isinstance(part, Chunk):
            if part.header.sequence != chunks or part.header.dropped_total:
                raise GapFound(f"chunk {chunks} of the acquisition is missing: {part.header.sequence} came")
            chunks += 1
        elif isinstance(part, End) and part.chunks != chunks:
            raise GapFound(f"{chunks} of {part.chunks} chunks of the acquisition came")
        yield part


class _Collector:
    """Accumulates parts in arrival order; frames are overwritten by newer ones."""

    def __init__(self, command: Command, before: InstrumentState, with_statistics: bool) -> None:
        self._command = command
        self._with_statistics = with_statistics
        self._before = before
        self._start: Start | None = None
        self._end: End | None = None
        self._data: NDArray[np.generic] | None = None
        self._rows: NDArray[np.bool_] = np.zeros(0, dtype=bool)
        self._times: NDArray[np.float64] = np.zeros(0)
        self._frame = -1
        self._statistics: list[FrameStatistics] = []
        self._frame_start_s = 0.0
        self._frame_end_s = 0.0
        self._received = 0
        self._dropped = 0

    def add(self, part: Part) -> bool:
        """Take one part; True once the stream is complete. What is missing shows at the End."""
        if isinstance(part, Gap):
            return False
        header = part.header if isinstance(part, Chunk) else part
        if header.command_id != self._command.id:
            raise BridgeError(f"a part of command {header.command_id} came in the stream of {self._command.id}")
        if isinstance(part, Start):
            self._start = part
            shape = tuple(axis.size for axis in part.axes)
            self._data = np.zeros(shape, dtype=part.dtype)
            self._rows = np.zeros(shape[0], dtype=bool)
            self._times = np.full(shape[0], np.nan)
        elif isinstance(part, Chunk):
            self._add_chunk(part)
        else:
            self._close_frame()
            self._end = part
            return True
        return False

    def _add_chunk(self, chunk: Chunk) -> None:
        header = chunk.header
        if self._data is None:
            raise BridgeError(f"a chunk of command {header.command_id} came before its Start")
        if not _fits(chunk, self._data.shape):
            raise BridgeError(f"chunk {header.sequence} of command {header.command_id} does not fit its frame")
        for index, data in enumerate(chunk.stack):
            start_s, end_s = chunk.frame_start_s(index), chunk.frame_start_s(index + 1)
            if header.frame + index != self._frame:
                self._close_frame()
                self._open_frame(header.frame + index, start_s)
            rows = slice(header.row_start, header.row_start + header.rows)
            self._data[rows] = data
            self._rows[rows] = True
            self._times[rows] = start_s + (end_s - start_s) / header.rows * np.arange(header.rows)
            self._frame_end_s = end_s
        self._received += 1
        self._dropped = max(self._dropped, header.dropped_total)

    def _open_frame(self, frame: int, start_s: float) -> None:
        assert self._data is not None
        self._frame, self._frame_start_s = frame, start_s
        self._data[...] = 0
        self._rows[:] = False
        self._times[:] = np.nan

    def _close_frame(self) -> None:
        if self._data is None or not self._with_statistics or not self._rows.any():
            return
        # Made float64 once: sums that convert as they go take several times as long.
        seen = self._data[self._rows].astype(np.float64)
        self._statistics.append(
            FrameStatistics(
                frame=self._frame,
                start_s=self._frame_start_s,
                end_s=self._frame_end_s,
                mean=float(seen.mean()),
                sd=float(seen.std()),
                low=float(seen.min()),
                high=float(seen.max()),
            )
        )

    def observation(self) -> Observation:
        """Return what was collected."""
        end = self._end
        assert end is not None  # add() returned True
        return Observation(
            command=self._command,
            start_s=self._before.clock_s,
            end_s=end.end_s,
            state=end.state,
            kind=self._start.kind if self._start else None,
            data=self._data,
            axes=self._start.axes if self._start else (),
            row_seen=self._rows,
            row_start_s=self._times,
            statistics=tuple(self._statistics),
            gaps=max(0, end.chunks - self._received),
            dropped=self._dropped,
            electrons=end.electrons,
            electrons_charged=end.state.electrons_charged - self._before.electrons_charged,
            aborted=end.aborted,
            reason=end.reason,
            readings=end.readings,
        )


def _fits(chunk: Chunk, frame: tuple[int, ...]) -> bool:
    """Whether a chunk has its place in frames of this shape; several frames at once are whole ones."""
    header = chunk.header
    if header.frames > 1:
        return (header.row_start, header.rows) == (0, frame[0]) and chunk.data.shape == (header.frames, *frame)
    return header.row_start + header.rows <= frame[0] and chunk.data.shape == (header.rows, *frame[1:])
