"""What people did, in a file that shows where anybody changed it later: `adaptem audit RUN` checks it.

    {"sha256":"<64 hex digits>","entry":{...}}

Each hash is over the one before it and the bytes of its own entry, the first over the header of the run: a line that
was changed, taken out, put in or moved breaks the chain there. Lines cut off at the end leave a chain that is whole, so
the decisions of the record are looked for among the entries too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from agent.eventlog import LOG_NAME, EventLog, RecordError
from agent.record import Record
from hardware_bridge.words import Count, Name, NotNegative, Text, Word
from policies.interface import ENVELOPE

AUDIT_NAME = "audit.jsonl"
What = Literal[
    "asked", "edited", "approved", "refused", "expired", "granted", "covered", "revoked", "mode", "envelope", "paused",
    "went on", "took over", "handed back", "stopped", "lease", "left", "finding", "executing",
    "done", "steered", "undone",
]  # fmt: skip
_PREFIX = len(b'{"sha256":"') + 64 + len(b'","entry":')


class Entry(Word, frozen=True, kw_only=True):
    """One thing that was done: the wall clock's time, by whom at which screen, about which question, and why.

    ``shown`` are the choices as they were on the screen, ``took_s`` is how long the decision took. ``changes`` are all
    that was wanted of the run from then on instead of what it was started with.
    """

    number: Count
    at: Text
    what: What
    by: Text = ""
    screen: Text = ""
    turn: Count | None = None
    question: Name | None = None
    revision: Count | None = None
    shown: tuple[Text, ...] = ()
    reason: Text = ""
    took_s: NotNegative | None = None
    changes: tuple[Text, ...] = ()


class Audit:
    """The open log of one run; it may be closed and gone on with."""

    def __init__(self, folder: Path) -> None:
        """Begin the log of a run, or go on with it; a cut-off last line is taken off.

        Raises:
            RecordError: the chain is broken, the file cannot be written, or another process writes it.
        """
        path = folder / AUDIT_NAME
        self._hash, self.entries, whole_bytes = _genesis(folder), 0, None
        self.steered: Entry | None = None  # the last time that somebody steered
        if path.exists():
            entries, problems, whole_bytes = _read(folder)
            if problems and not problems[-1].endswith(CUT):
                raise RecordError(problems[0])
            self.entries = len(entries)
            self.steered = next((entry for entry in reversed(entries) if entry.what == "steered"), None)
            self._hash = _last_hash(path, whole_bytes) or self._hash
        self._log = EventLog(path, whole_bytes)

    def append(self, what: What, **told: object) -> None:
        """Put one entry on disk.

        Raises:
            RecordError: it could not be written.
        """
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        payload = msgspec.json.encode(Entry(number=self.entries, at=at, what=what, **told))  # type: ignore[arg-type]
        digest = _chained(self._hash, payload)
        self._log.append(b'{"sha256":"%b","entry":%b}\n' % (digest, payload))
        self._hash, self.entries = digest, self.entries + 1

    def close(self) -> None:
        """Close the file."""
        self._log.close()


CUT = "is cut off"


def verified(folder: Path, records: Sequence[Record]) -> tuple[list[Entry], list[str]]:
    """The entries of a run up to the first broken line, and what is wrong with them, in words.

    Raises:
        RecordError: there is no such run.
    """
    path = folder / AUDIT_NAME
    asked = [record for record in records if record.decision.by != ENVELOPE]
    if not path.exists():
        return [], [f"{AUDIT_NAME}: is missing, and people decided {len(asked)} turns"] if asked else []
    entries, problems, _ = _read(folder)
    return entries, problems or list(_missing(asked, entries))


def _missing(asked: Sequence[Record], entries: Sequence[Entry]) -> Iterator[str]:
    """Decisions of the record that no entry tells of, in order."""
    verdicts = {"approved": "approved", "covered": "approved", "edited": "edited", "refused": "refused"}
    verdicts |= {"expired": "timed_out", "finding": "approved"}
    told = iter([entry for entry in entries if entry.what in verdicts and entry.turn is not None])
    for record in asked:
        decision = record.decision
        # What was asked in one turn may have been answered, and run, some turns later.
        if not any(
            entry.turn is not None
            and entry.turn <= record.turn
            and (verdicts[entry.what], entry.by) == (decision.verdict, decision.by)
            for entry in told
        ):
            yield f"{AUDIT_NAME}: turn {record.turn} was {decision.verdict} by {decision.by}, and no line tells of it"
            return


def _read(folder: Path) -> tuple[list[Entry], list[str], int]:
    """Whole entries, the first thing that is wrong if anything is, and where the last whole line ends."""
    data, link = (folder / AUDIT_NAME).read_bytes(), _genesis(folder)
    entries: list[Entry] = []
    position = 0
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        name = f"{AUDIT_NAME}: line {number}"
        if not line.endswith(b"\n"):
            return entries, [f"{name}, the last, {CUT}"], position
        payload = line[_PREFIX:-2]
        link = _chained(link, payload)
        if line != b'{"sha256":"%b","entry":%b}\n' % (link, payload):
            return entries, [f"{name} is not what was written there: its hash does not follow"], position
        try:
            entries.append(msgspec.json.decode(payload, type=Entry))
        except msgspec.MsgspecError as error:
            return entries, [f"{name} holds no entry: {error}"], position
        position += len(line)
    return entries, [], position


def _last_hash(path: Path, whole_bytes: int) -> bytes:
    lines = path.read_bytes()[:whole_bytes].splitlines()
    return lines[-1][len(b'{"sha256":"') :][:64] if lines else b""


def _genesis(folder: Path) -> bytes:
    try:
        with (folder / LOG_NAME).open("rb") as log:
            return _chained(b"adaptem audit 1", log.readline())
    except OSError as error:
        raise RecordError(f"{folder / LOG_NAME}: {error.strerror}; is this the folder of a run?") from None


def _chained(link: bytes, payload: bytes) -> bytes:
    return hashlib.sha256(link + payload).hexdigest().encode()
