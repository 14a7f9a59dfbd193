"""The event log of a run: a line of JSON for the header, every turn and every clip, each with a hash of what it holds.

    {"xxh3":"<16 hex digits>","header":{...}}
    {"xxh3":"<16 hex digits>","event":{"record":{...},"window":{...}}}
    {"xxh3":"<16 hex digits>","clip":{...}}          what the spool has written, once it has

The hash (XXH3, 64 bits) is over the bytes of the value after it: a torn or altered line is told from a whole one.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import xxhash

from agent.config import Config
from agent.record import Clip, Record
from hardware_bridge.messages import Axis, Capabilities, Kind, Reading
from hardware_bridge.report import Card
from hardware_bridge.words import Count, NotNegative, Number, Positive, Text, Word

LOG_NAME = "events.jsonl"
SCHEMA: Literal[1] = 1

# The numbers of FrameStatistics in their order; null where one is not finite, which JSON cannot hold.
StatisticsRow = tuple[float | None, ...]


class RecordError(RuntimeError):
    """A record cannot be written or read; the message names the file and says why."""


class Header(Word, frozen=True, kw_only=True):
    """What a run was started with: all that is needed to go on with it or to do it again.

    ``created`` is the wall clock's date; ``start_s`` and ``end_s`` are on the instrument's clock.
    """

    schema: Literal[1] = SCHEMA
    created: Text
    versions: dict[str, Text]
    config: Config
    seed: Count
    capabilities: Capabilities
    card: Card
    start_s: Number
    end_s: Number
    max_electrons: Positive
    electrons_at_start: NotNegative = 0.0


class Window(Word, frozen=True, kw_only=True):
    """What an Observation holds beyond its Record and its arrays; ``xxh3`` is the hash of the arrays."""

    start_s: Number
    kind: Kind | None = None
    axes: tuple[Axis, ...] = ()
    statistics: tuple[StatisticsRow, ...] = ()
    reason: Text = ""
    readings: tuple[Reading, ...] = ()
    xxh3: Text = ""


class Event(Word, frozen=True, kw_only=True):
    """One line of the log: the record of a turn, and the window it was perceived from, if anything ran."""

    record: Record
    window: Window | None = None


@dataclass(frozen=True)
class Contents:
    """What a log holds: its header, its whole events and clips, how far it is whole, and what is wrong, in words.

    ``whole_bytes`` ends the last whole line; ``torn_only`` is True where nothing but a cut-off end is wrong.
    """

    header: Header | None
    events: list[Event]
    clips: list[Clip]
    whole_bytes: int
    problems: list[str]
    torn_only: bool


def encode_value(value: Word) -> bytes:
    """Write a word as JSON; numbers of NumPy become plain ones."""
    return _ENCODER.encode(value)


def line(name: Literal["header", "event", "clip"], payload: bytes) -> bytes:
    """Frame an encoded value as one line of the log."""
    digest = xxhash.xxh3_64_hexdigest(payload)
    return b'{"xxh3":"%b","%b":%b}\n' % (digest.encode(), name.encode(), payload)


def read_log(path: Path) -> Contents:
    """Read all that is whole in a log and say what is not.

    Raises:
        RecordError: there is no such log, or it was written by another version of the format.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}; is this the folder of a run?") from None
    header: Header | None = None
    events: list[Event] = []
    clips: list[Clip] = []
    problems: list[str] = []
    whole_bytes = position = 0
    damaged = 0
    for number, text in enumerate(data.splitlines(keepends=True), start=1):
        position += len(text)
        try:
            value = _parse(text)
        except (ValueError, msgspec.MsgspecError) as error:
            if position == len(data) and not text.endswith(b"\n"):
                problems.append(f"{path.name}: line {number}, the last, is cut off after {len(text)} bytes")
            else:
                problems.append(f"{path.name}: line {number} is damaged: {error}")
                damaged += 1
            continue
        whole_bytes = position
        if isinstance(value, Header):
            header = value
        elif isinstance(value, Clip):
            clips.append(value)
        else:
            events.append(value)
    if header is None:
        problems.insert(0, f"{path.name}: the header is missing")
    gaps = _missing_turns([event.record.turn for event in events])
    return Contents(
        header, events, clips, whole_bytes, problems + gaps, torn_only=not (damaged or gaps or header is None)
    )


class EventLog:
    """An append-only log that one process at a time may write; each line is on disk when ``append`` returns."""

    def __init__(self, path: Path, whole_bytes: int | None = None) -> None:
        """Create a log, or open one to go on after its first ``whole_bytes``.

        Raises:
            RecordError: it cannot be opened, or another process is writing it.
        """
        self._path = path
        flags = os.O_WRONLY | os.O_CREAT | (os.O_EXCL if whole_bytes is None else 0)
        try:
            self._file = os.open(path, flags, 0o644)
        except OSError as error:
            raise RecordError(f"{path}: cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise RecordError(f"{path}: another process is writing this run") from None
        self._end = whole_bytes or 0
        os.ftruncate(self._file, self._end)
        os.lseek(self._file, self._end, os.SEEK_SET)

    def append(self, data: bytes) -> None:
        """Put one line on disk.

        Raises:
            RecordError: it could not be written whole; the log then ends with the line before.
        """
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._file, left) :]
            os.fdatasync(self._file)
        except OSError as error:
            os.ftruncate(self._file, self._end)
            os.lseek(self._file, self._end, os.SEEK_SET)
            raise RecordError(f"{self._path}: cannot be written: {error.strerror}") from None
        self._end += len(data)

    def close(self) -> None:
        """Close the log; it may then be resumed by others."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"no JSON for {type(value).__name__}")


_ENCODER = msgspec.json.Encoder(enc_hook=_plain)
_HEADER = msgspec.json.Decoder(Header)
_EVENT = msgspec.json.Decoder(Event)
_CLIP = msgspec.json.Decoder(Clip)
_PREFIX = len(b'{"xxh3":"0123456789abcdef","')


def _parse(text: bytes) -> Header | Event | Clip:
    """The value of one line.

    Raises:
        ValueError: it is not a whole line.
        MsgspecError: it is one, but not of these words.
        RecordError: it is the header of another schema.
    """
    name, colon, payload = text[_PREFIX:].partition(b'":')
    if not colon or not payload.endswith(b"}\n"):
        raise ValueError("it is not framed as a line of a log")
    payload = payload[:-2]
    if text[:_PREFIX] != b'{"xxh3":"%b","' % xxhash.xxh3_64_hexdigest(payload).encode():
        raise ValueError("its hash does not fit")
    if name == b"header":
        schema = msgspec.json.decode(payload).get("schema")
        if schema != SCHEMA:
            raise RecordError(f"the record is of schema {schema}; this version reads schema {SCHEMA}")
        return _HEADER.decode(payload)
    return _CLIP.decode(payload) if name == b"clip" else _EVENT.decode(payload)


def _missing_turns(turns: list[int]) -> list[str]:
    missing = sorted(set(range(turns[-1])) - set(turns)) if turns else []
    return [f"{LOG_NAME}: turn {turn} is missing" for turn in missing]
