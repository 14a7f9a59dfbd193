"""Writes a run so that it survives whatever comes next: arrays first, then one line of the event log, both on disk.

RUN/events.jsonl         the truth of what happened: the header, then one line a turn (agent/eventlog.py)
RUN/config.json          the configuration that was used
RUN/arrays/*.hspy        the arrays, one file a stream, as HyperSpy reads them (agent/streams.py)
RUN/spool/*.npy          frames around events, and a line on every frame, where streams are watched (agent/spool.py)
"""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from collections.abc import Sequence
from dataclasses import astuple
from datetime import datetime
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from agent.config import Config, dump
from agent.eventlog import (
    LOG_NAME,
    Event,
    EventLog,
    Header,
    RecordError,
    StatisticsRow,
    Window,
    encode_value,
    line,
    read_log,
)
from agent.record import Clip, Record
from agent.spool import Spool
from agent.streams import FOLDER, Streams
from hardware_bridge.observation import Observation
from hardware_bridge.words import Word

PACKAGES = ("adaptem", "numpy", "scipy", "torch", "gpytorch", "botorch", "h5py", "msgspec", "pyzmq", "scikit-image")
CONFIG_NAME = "config.json"
MAX_TEXT = 2000

WordT = TypeVar("WordT", bound=Word)


class FolderExists(RecordError):
    """The folder of a new run exists already; nothing was written."""


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change what a run does."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def now() -> str:
    """The wall clock's date and time, for a header."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def prepare(folder: Path, config: Config) -> None:
    """Make the folder of a new run, with the configuration in it, before the instrument is reached.

    Raises:
        FolderExists: there is something at ``folder`` already; it is left as it is.
        RecordError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True)
        (folder / CONFIG_NAME).write_bytes(dump(config))
    except FileExistsError:
        raise FolderExists(f"{folder} exists already: choose another folder, or resume it") from None
    except OSError as error:
        raise RecordError(f"{folder}: cannot be written: {error.strerror}") from None


def abandon(folder: Path) -> None:
    """Take away a folder that ``prepare`` made where nothing was recorded, so that one can try again."""
    if not (folder / LOG_NAME).exists():
        shutil.rmtree(folder, ignore_errors=True)


class FileRecorder:
    """A Recorder into a folder of its own. Use as a context manager, or ``close`` it."""

    def __init__(self, folder: Path, header: Header) -> None:
        """Begin a new run, in a new folder or in one that ``prepare`` has made.

        Raises:
            FolderExists: there is something else at ``folder`` already.
            RecordError: it cannot be written.
        """
        if (folder / LOG_NAME).exists() or not (folder / CONFIG_NAME).exists():
            prepare(folder, header.config)
        self._start(folder, header, (), EventLog(folder / LOG_NAME))
        self._log.append(line("header", encode_value(header)))

    @classmethod
    def resume(cls, folder: Path) -> FileRecorder:
        """Go on with an interrupted run, after its last whole turn; ``header`` and ``records`` tell what there is.

        Raises:
            RecordError: there is no such run, it is still being written, or more is wrong with it than a torn end.
        """
        contents = read_log(folder / LOG_NAME)
        if contents.header is None or not contents.torn_only:
            raise RecordError(f"{folder} cannot be resumed: {'; '.join(contents.problems)}")
        log = EventLog(folder / LOG_NAME, contents.whole_bytes)
        recorder = cls.__new__(cls)
        recorder._start(folder, contents.header, tuple(event.record for event in contents.events), log)
        recorder._streams.reopen(record.arrays for record in recorder.records if record.arrays is not None)
        return recorder

    def _start(self, folder: Path, header: Header, records: tuple[Record, ...], log: EventLog) -> None:
        self.folder = folder
        self.header = header
        self.records = records
        self._log = log
        self._streams = Streams(folder, header.capabilities)
        watch = header.config.watch
        self.spool = Spool(folder, watch.most_bytes) if watch is not None else None

    def write(self, record: Record, observation: Observation | None) -> Record:
        """Put a turn on disk; returns the record as a reader will find it, with the place of its arrays.

        A part of the record that no reader would accept (a number that is not finite) is left out; ``failure`` says so.

        Raises:
            RecordError: the disk failed. Where the log can still be written, the turn is in it, without its arrays, and
                what the spool wrote so far.
        """
        window, trouble = None, ""
        if observation is not None:
            window = Window(
                start_s=observation.start_s,
                kind=observation.kind,
                axes=observation.axes,
                statistics=tuple(_statistics_row(astuple(row)) for row in observation.statistics),
                reason=observation.reason[:MAX_TEXT],
                readings=observation.readings,
            )
            if observation.data is not None:
                try:
                    ref, digest = self._streams.append(observation, record.turn)
                    record, window = replace(record, arrays=ref), replace(window, xxh3=digest)
                except OSError as error:
                    trouble = (
                        f"the arrays of turn {record.turn} could not be written to {self.folder / FOLDER}: {error}"
                    )
                    record = replace(record, failure=f"{record.failure} {trouble}".strip()[:MAX_TEXT])
        event, payload = _writable(record, window)
        self._log.append(line("event", payload))
        trouble = self._log_clips(self.spool.done() if self.spool is not None else []) or trouble
        if trouble:
            raise RecordError(trouble)
        return event.record

    def close(self) -> None:
        """Close all files, once the spool has written what waits; what was written stays as it is.

        Raises:
            RecordError: the disk failed under the spool.
        """
        try:
            trouble = self._log_clips(self.spool.close()) if self.spool is not None else ""
        finally:
            self.spool = None
            self._streams.close()
            self._log.close()
        if trouble:
            raise RecordError(trouble)

    def _log_clips(self, clips: Sequence[Clip]) -> str:
        """Tell in the log what the spool has written; returns what went wrong with it."""
        for clip in clips:
            self._log.append(line("clip", encode_value(clip)))
        return "; ".join(f"{self.folder}/{clip.failure}" for clip in clips if clip.failure)

    def __enter__(self) -> FileRecorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _statistics_row(row: tuple[float, ...]) -> StatisticsRow:
    return tuple(value if isfinite(value) else None for value in row)


def _writable(record: Record, window: Window | None) -> tuple[Event, bytes]:
    """The event that a reader will accept, and its bytes; parts of the record that are no valid words are left out."""
    event = Event(record=record, window=window)
    read, payload, trouble = _round_trip(event)
    if read is not None:
        return read, payload
    decision = record.decision
    failure = f"{record.failure} left out of the record: {trouble}".strip()
    clean = replace(
        record,
        decision=replace(
            decision,
            proposals=tuple(shown for shown in decision.proposals if _round_trip(shown)[0] is not None),
            command=_valid(decision.command),
            reason=decision.reason[:MAX_TEXT],
            by=decision.by[:MAX_TEXT],
        ),
        percept=_valid(record.percept),
        failure=failure[:MAX_TEXT],
    )
    read, payload, trouble = _round_trip(Event(record=clean, window=_valid(window)))
    if read is None:
        raise RecordError(f"turn {record.turn} cannot be written: {trouble}")
    return read, payload


def _valid(word: WordT | None) -> WordT | None:
    return None if word is None else _round_trip(word)[0]


def _round_trip(word: WordT) -> tuple[WordT | None, bytes, str]:
    """The word as a reader will find it (or None), its bytes, and what is wrong with it."""
    try:
        payload = encode_value(word)
        return msgspec.json.decode(payload, type=type(word)), payload, ""
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, NotImplementedError, RecursionError) as error:
        return None, b"", str(error)
