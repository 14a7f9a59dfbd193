"""Reads a recorded run: what is whole is read, what is missing is said."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from msgspec.structs import asdict, replace
from numpy.typing import NDArray

from agent.clips import missing_clips, read_clip
from agent.eventlog import LOG_NAME, Event, Header, RecordError, Window, read_log
from agent.record import ArrayRef, Clip, Record
from agent.streams import arrays_hash
from agent.torn import TornFile
from hardware_bridge.messages import Reading
from hardware_bridge.observation import FrameStatistics, Observation


@dataclass
class Run:
    """A recorded run. ``header`` is None where even that is lost; ``problems`` says in words what is missing.

    Use as a context manager, or ``close`` it, once observations were asked for.
    """

    folder: Path
    header: Header | None
    records: list[Record]
    problems: list[str]
    clips: list[Clip] = field(default_factory=list)
    _windows: dict[int, Window | None] = field(default_factory=dict)
    _files: dict[str, h5py.File] = field(default_factory=dict)
    _torn: set[str] = field(default_factory=set)

    def observation(self, record: Record) -> Observation | None:
        """Rebuild what was perceived in a turn, bit by bit; None where nothing ran.

        Raises:
            RecordError: its arrays are missing or altered.
        """
        window, command = self._windows.get(record.turn), record.decision.command
        if window is None or command is None:
            return None
        arrays = self._arrays(record.arrays, window) if record.arrays is not None else {}
        return Observation(
            command=command,
            start_s=window.start_s,
            end_s=record.end_s,
            state=record.state,
            kind=window.kind,
            axes=window.axes,
            statistics=tuple(
                FrameStatistics(int(frame or 0), *(nan if value is None else value for value in rest))
                for frame, *rest in window.statistics
            ),
            gaps=record.gaps,
            dropped=record.dropped,
            electrons=record.electrons,
            electrons_charged=record.electrons_charged,
            aborted=record.aborted,
            reason=window.reason,
            readings=window.readings,
            events=record.events,
            **arrays,
        )

    def event(self, record: Record) -> Event:
        """A turn in full, as its line of the log has it."""
        return Event(record=record, window=self._windows.get(record.turn))

    def readings(self) -> list[Reading]:
        """What the holder measured, all through the run."""
        windows = (self._windows.get(record.turn) for record in self.records)
        return [reading for window in windows if window is not None for reading in window.readings]

    def frames(self, clip: Clip) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """The frames of a clip (n, ...), or its lines of the table (n,), and their numbers (n,); raises RecordError."""
        return read_clip(self.folder, clip)

    def stack_size(self, file: str) -> int:
        """How many turns a file of arrays holds.

        Raises:
            RecordError: it cannot be read.
        """
        group = self._group(file)
        try:
            return int(group["data"].shape[0])
        except (OSError, KeyError, RuntimeError) as error:
            raise RecordError(f"{file}: cannot be read: {error}") from None

    def is_whole(self, record: Record) -> bool:
        """Whether the arrays of a turn are as they were written."""
        window = self._windows.get(record.turn)
        try:
            return record.arrays is None or window is None or bool(self._arrays(record.arrays, window))
        except RecordError:
            return False

    def is_torn(self, file: str) -> bool:
        """Whether the end of a file of arrays that was opened is cut off."""
        return file in self._torn

    def close(self) -> None:
        """Close the files of arrays."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _arrays(self, ref: ArrayRef, window: Window) -> dict[str, Any]:
        group = self._group(ref.file)
        try:
            own = group["original_metadata/adaptem"]
            arrays = {
                "data": group["data"][ref.index],
                "row_seen": own["row_seen"][ref.index],
                "row_start_s": own["row_start_s"][ref.index],
            }
        except (OSError, ValueError, IndexError, KeyError, RuntimeError) as error:
            raise RecordError(f"{ref.file}: item {ref.index} cannot be read: {error}") from None
        if arrays_hash(**arrays) != window.xxh3:
            raise RecordError(f"{ref.file}: item {ref.index} is not what was written: its hash does not fit")
        return arrays

    def _group(self, file: str) -> h5py.Group:
        try:
            if file not in self._files:
                self._files[file] = self._opened(file)
            experiments = self._files[file]["Experiments"]
            return experiments[next(iter(experiments))]
        except (OSError, KeyError, RuntimeError, StopIteration) as error:
            raise RecordError(f"{file}: cannot be read: {error}") from None

    def _opened(self, file: str) -> h5py.File:
        path = self.folder / file
        try:
            # No HDF5 lock, so that a run can be read while it is written.
            return h5py.File(path, "r", locking=False)
        except OSError as error:
            if "truncated file" not in str(error):
                raise
            self._torn.add(file)
            return h5py.File(TornFile(path), "r")


def open_run(folder: Path | str) -> Run:
    """Open the record of a run, also of one that was cut off or is still going on.

    Raises:
        RecordError: the folder holds no record, or one of another version of the format.
    """
    folder = Path(folder)
    contents = read_log(folder / LOG_NAME)
    events: list[Event] = contents.events
    run = Run(
        folder=folder,
        header=contents.header,
        records=[event.record for event in events],
        problems=list(contents.problems),
        clips=contents.clips,
        _windows={event.record.turn: event.window for event in events},
    )
    run.problems += [*_missing_arrays(run), *missing_clips(folder, contents.clips)]
    return run


def _missing_arrays(run: Run) -> list[str]:
    """Say which files of arrays are lost, and which turns others do not hold."""
    turns: dict[str, list[tuple[int, int]]] = {}
    for record in run.records:
        if record.arrays is not None:
            turns.setdefault(record.arrays.file, []).append((record.arrays.index, record.turn))
    problems = []
    for file, items in turns.items():
        try:
            size = run.stack_size(file)
        except RecordError as error:
            problems.append(f"{error}; the arrays of {_spoken([turn for _, turn in items])} are lost")
            continue
        lost = [turn for index, turn in items if index >= size]
        if lost:
            problems.append(f"{file}: holds {size} items; the arrays of {_spoken(lost)} are lost")
        if run.is_torn(file):
            own = [record for record in run.records if record.arrays is not None and record.arrays.file == file]
            torn = [record.turn for record in own if not run.is_whole(record)]
            problems.append(
                f"{file}: its end is cut off; the arrays of {_spoken(torn) if torn else 'no turn'} are lost"
            )
    run.close()
    return problems


def _spoken(turns: list[int]) -> str:
    if len(turns) == 1:
        return f"turn {turns[0]}"
    return f"{len(turns)} turns ({turns[0]} to {turns[-1]})"


def compare(first: Run, second: Run) -> list[str]:
    """Say where two runs differ, wall-clock times aside; empty where they are the same, arrays bit by bit.

    Of the headers, instrument, card, seed and budget are compared; the way to the instrument may differ.
    """
    differences = _header_differences(first.header, second.header)
    if len(first.records) != len(second.records):
        differences.append(f"{len(first.records)} turns and {len(second.records)} turns")
    for one, other in zip(first.records, second.records, strict=False):
        fields = (asdict(_timeless(one)), asdict(_timeless(other)))
        differences += [f"turn {one.turn}: {name} differs" for name in fields[0] if fields[0][name] != fields[1][name]]
        differences += [
            f"turn {one.turn}: observed {name} differs"
            for name, same in _observed(first.observation(one), second.observation(other))
            if not same
        ]
    return differences


def _timeless(record: Record) -> Record:
    return replace(record, wall_s={}, decision=replace(record.decision, waited_s=0.0))


def _header_differences(one: Header | None, other: Header | None) -> list[str]:
    if one is None or other is None:
        return [] if one is other else ["only one of the two has a header"]
    names = ("seed", "capabilities", "card", "start_s", "end_s", "max_electrons", "electrons_at_start")
    return [f"header: {name} differs" for name in names if getattr(one, name) != getattr(other, name)]


def _observed(one: Observation | None, other: Observation | None) -> list[tuple[str, bool]]:
    if one is None or other is None:
        return [("window", one is other)]
    names = ("start_s", "kind", "axes", "statistics", "reason", "readings", "data", "row_seen", "row_start_s")
    return [(name, _identical(getattr(one, name), getattr(other, name))) for name in names]


def _identical(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    # repr: a mean that is not finite is equal to itself here.
    return repr(one) == repr(other)
