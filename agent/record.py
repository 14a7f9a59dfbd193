"""The words of a record: one decision and one line of the event log for every turn, whatever happens."""

from __future__ import annotations

from typing import Literal

from hardware_bridge.messages import Command, InstrumentState
from hardware_bridge.report import FrameEvent, Percept
from hardware_bridge.words import Count, Name, NotNegative, Number, Text, Word
from policies.interface import Proposal, Turn, Verdict


class Decision(Word, frozen=True, kw_only=True):
    """What was decided over the proposals shown, by whom, after how long a wait, and why.

    ``command`` is what goes to the instrument: a proposal's command, an edited one, or None where nothing may run.
    """

    proposals: tuple[Proposal, ...]
    verdict: Verdict
    by: Text
    reason: Text
    waited_s: NotNegative
    command: Command | None


class ArrayRef(Word, frozen=True, kw_only=True):
    """Where the array of a turn lies: item ``index`` of the stack in ``file`` beside the event log."""

    file: Text
    index: Count


class Clip(Word, frozen=True, kw_only=True):
    """Frames around an event, or lines of the per-frame table, as the spool wrote them beside the event log.

    Items ``offset`` and up of ``file`` are the frames of ``epoch`` that ``ranges`` tell (first and last of each, in
    order), ``xxh3`` is the hash of their bytes. ``missed`` were to be saved and are not; ``failure`` says where the
    disk was why.
    """

    what: Literal["frames", "table"]
    command_id: Name
    epoch: Count
    file: Text
    offset: Count
    ranges: tuple[tuple[Count, Count], ...]
    missed: Count
    start_s: Number
    end_s: Number
    xxh3: Text
    failure: Text = ""

    @property
    def frames(self) -> int:
        """How many frames were saved."""
        return sum(last + 1 - first for first, last in self.ranges)


class Record(Word, frozen=True, kw_only=True):
    """One turn: when, what was decided, what ran, what was seen, what it cost, and what went wrong, if anything.

    ``events`` are what a watcher saw begin in the stream.
    ``wall_s`` holds wall-clock times by step; they are the only part that differs between two runs of one seed.
    ``failure`` is empty for a turn that went well.
    """

    turn: Count
    start_s: Number
    end_s: Number
    decision: Decision
    state: InstrumentState
    percept: Percept | None = None
    electrons: NotNegative = 0.0
    electrons_charged: Number = 0.0
    gaps: Count = 0
    dropped: Count = 0
    aborted: bool = False
    failure: Text = ""
    arrays: ArrayRef | None = None
    events: tuple[FrameEvent, ...] = ()
    wall_s: dict[Name, NotNegative] = {}


def as_turn(record: Record) -> Turn:
    """The part of a record that a policy learns from."""
    verdict: Verdict = record.decision.verdict
    if record.failure:
        verdict = "rejected" if record.percept is None and record.electrons == 0.0 else "failed"
    return Turn(
        index=record.turn,
        command=record.decision.command,
        percept=record.percept,
        verdict=verdict,
        reason=record.failure or record.decision.reason,
        offered=record.decision.proposals,
        by=record.decision.by,
        start_s=record.start_s,
    )


def taken(record: Record) -> Proposal | None:
    """The proposal that was taken, as it was or edited; None where none was."""
    command = record.decision.command
    if command is None:
        return None
    return next((p for p in record.decision.proposals if p.command.id == command.id), None)
