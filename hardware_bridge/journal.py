"""The journal beside the instrument: what was about to run, and how it ended, on disk before anybody is told.

One line an entry: the XXH3-64 of the rest in hexadecimal, a space, JSON. An INTENT without a RESULT is UNKNOWN for
ever: its dose stays charged in full, that of a dark reference as if the beam had been on. A torn last line is a command
that the backend never saw.
"""

from __future__ import annotations

import fcntl
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import xxhash

from hardware_bridge.dose import Charge, DoseLedger
from hardware_bridge.errors import BridgeError
from hardware_bridge.guard import Settled
from hardware_bridge.messages import Command, End, InstrumentState, Limits
from hardware_bridge.words import Count, Name, Word


class Intent(Word, frozen=True, kw_only=True, tag=True):
    """A command is about to run."""

    command: Command
    charge: Charge
    before: InstrumentState


class Result(Word, frozen=True, kw_only=True, tag=True):
    """A command ended; ``charge`` is what it was charged before the refund, where that is not its intent's."""

    end: End
    charge: Charge | None = None


class Withdrawn(Word, frozen=True, kw_only=True, tag=True):
    """The backend refused a command before doing anything."""

    command_id: Name


class Tokens(Word, frozen=True, kw_only=True, tag=True):
    """Fencing tokens up to this one have been given away."""

    token: Count


Entry = Intent | Result | Withdrawn | Tokens
_ENTRIES: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)


class JournalDamaged(BridgeError):
    """A line other than the last is not what was written: what ran cannot be known from it."""


@dataclass
class Past:
    """What a journal tells: commands in the order they were begun, their charges, the greatest fencing token.

    A command that is not in ``settled`` was NOT_STARTED; with an End it is DONE, without one UNKNOWN.
    """

    settled: dict[str, Settled] = field(default_factory=dict)
    charges: dict[str, Charge] = field(default_factory=dict)
    token: int = 0

    def ledger(self, limits: Limits) -> DoseLedger:
        """The dose ledger as it stood; unknown commands are charged in full.

        What lies off the map of these limits, where they have changed, counts towards the electrons alone.
        """
        ledger = DoseLedger(limits)
        for command_id, charge in self.charges.items():
            end = self.settled[command_id].end
            ledger.book(charge, ledger.share_used(charge, end) if end is not None else 1.0)
        return ledger

    def take(self, entry: Entry) -> None:
        """Go on by one entry."""
        if isinstance(entry, Intent):
            self.settled[entry.command.id] = Settled(entry.command, entry.before, None)
            self.charges[entry.command.id] = entry.charge
        elif isinstance(entry, Result):
            begun = self.settled[entry.end.command_id]
            self.settled[entry.end.command_id] = Settled(begun.command, begun.before, entry.end)
            if entry.charge is not None:
                self.charges[entry.end.command_id] = entry.charge
        elif isinstance(entry, Withdrawn):
            del self.settled[entry.command_id], self.charges[entry.command_id]
        else:
            self.token = max(self.token, entry.token)


def read(path: Path) -> tuple[Past, int]:
    """Read a journal: what it tells, and how many of its bytes are whole lines.

    Raises:
        JournalDamaged: a line before the last is damaged.
        OSError: it cannot be read.
    """
    past, whole = Past(), 0
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], start=1):
        try:
            if xxhash.xxh3_64_hexdigest(line[17:]).encode() != line[:16]:
                raise ValueError("its checksum does not fit")
            past.take(_ENTRIES.decode(line[17:]))
        except (ValueError, KeyError) as error:
            if number == len(lines) - 1 and not lines[-1]:
                break  # a torn write can end in any byte, also in that of a line's end
            raise JournalDamaged(f"{path}, line {number}: {error}") from None
        whole += len(line) + 1
    return past, whole


class FileJournal:
    """A journal in a file; implements ``guard.Journal``. One process at a time may hold it."""

    def __init__(self, path: Path) -> None:
        """Open or begin a journal, and read what is there into ``past``.

        Raises:
            JournalDamaged: it cannot be relied on.
            OSError: it cannot be written, or another process has it open.
        """
        self._path = path
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.past, self._whole = read(path)
            os.ftruncate(self._file, self._whole)
            _sync_folder(path.parent)
        except BaseException:
            os.close(self._file)
            raise

    def intent(self, command: Command, charge: Charge, before: InstrumentState) -> None:
        """Write, durably, that a command is about to run; OSError if that fails."""
        self._write(Intent(command=command, charge=charge, before=before))

    def withdrawn(self, command_id: str) -> None:
        """Write that the backend refused a command before doing anything; OSError if that fails."""
        self._write(Withdrawn(command_id=command_id))

    def result(self, end: End, charge: Charge | None) -> None:
        """Write, durably, how a command ended, and its charge if that was another; OSError if that fails."""
        self._write(Result(end=end, charge=charge))

    def tokens(self, token: int) -> None:
        """Write, durably, that fencing tokens up to this one are given away; OSError if that fails."""
        self._write(Tokens(token=token))

    def close(self) -> None:
        """Close the file and let others open it."""
        os.close(self._file)

    def _write(self, entry: Any) -> None:
        body = msgspec.json.encode(entry)
        line = xxhash.xxh3_64_hexdigest(body).encode() + b" " + body + b"\n"
        # Tokens are given by another thread than commands: one that fails must not cut off what the other has written.
        with self._lock:
            self._check_undisturbed()
            try:
                if os.write(self._file, line) != len(line):
                    raise OSError("the journal's disk is full")
                os.fdatasync(self._file)
            except OSError:
                # Half a line in the middle would make the whole journal worthless.
                os.ftruncate(self._file, self._whole)
                raise
            self._whole += len(line)

    def _check_undisturbed(self) -> None:
        """Raise OSError where somebody has removed, moved or changed the file: what is written would be lost."""
        there, here = os.stat(self._path), os.fstat(self._file)
        if (there.st_dev, there.st_ino, here.st_size) != (here.st_dev, here.st_ino, self._whole):
            raise OSError(f"{self._path} was replaced or changed by somebody else")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
