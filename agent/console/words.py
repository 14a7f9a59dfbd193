"""The words of the console: what is asked, what may be answered, who is there, and what went wrong.

A question is what a policy proposed at one turn. Its ``choices`` are the proposals that can run, best first; what a
person edited comes last, with what it changes in ``edits``. Whoever answers names the question and the revision that
they saw. An edit makes a new revision, and so does an answer: what was decided cannot be decided again.

ConsoleError
|-- Conflict     the question is another one by now, is decided already, or nothing may be decided
|-- Forbidden    the person may not do this: an observer, or somebody else holds the lease
|-- Impossible   an edit that the walls refuse, or that is no edit
`-- NotFound     there is no such question
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from hardware_bridge.messages import Command, Range
from hardware_bridge.words import Count, Name, NotNegative, Number, Text, Word

State = Literal["proposed", "approved", "edited", "refused", "expired", "executing", "done"]
Mode = Literal["every", "outside", "supervise", "none"]
Role = Literal["operator", "observer"]
Why = Literal["wrong place", "too much dose", "out of focus", "seen already", "other"]
Minutes = Annotated[float, Meta(gt=0, le=600)]
Few = Annotated[int, Meta(ge=1, le=1000)]


class ConsoleError(Exception):
    """Base of everything that a console refuses; nothing was done."""


class Conflict(ConsoleError):
    """What was to be decided is not what is asked now."""


class Forbidden(ConsoleError):
    """The person may not do this."""


class Impossible(ConsoleError):
    """An edit that cannot run; the message names field, value and limit."""


class NotFound(ConsoleError):
    """There is no such question."""


class Person(Word, frozen=True, kw_only=True):
    """Who is at a screen: the name, what they may do, and which of their screens it is."""

    name: Name
    role: Role
    screen: Name = "terminal"


class Choice(Word, frozen=True, kw_only=True):
    """One command that may be chosen: what it does, why, what it is expected to tell and what it costs.

    ``x_nm`` and ``y_nm`` are the middle of its field in the specimen frame, ``width_nm`` and ``height_nm`` its edges
    (0 without an exposure). ``information`` is None where nobody predicted it. ``finding`` are the electrons of the
    low-dose image that comes before it where the answer takes long. ``outside`` says why it is not inside the envelope,
    ``edits`` what a person changed, ``flags`` what to be careful about.
    """

    command: Command
    does: Text
    reason: Text
    proposer: Name
    information: Number | None
    information_sd: NotNegative
    electrons: NotNegative
    fluence_e_per_A2: NotNegative
    time_s: NotNegative
    x_nm: Number
    y_nm: Number
    width_nm: NotNegative
    height_nm: NotNegative
    finding: NotNegative = 0.0
    outside: Text = ""
    edits: tuple[Text, ...] = ()
    flags: tuple[Text, ...] = ()


class Question(Word, frozen=True, kw_only=True):
    """A question at one of its revisions. ``why`` it is asked; ``chosen``, ``by`` and ``reason`` once it is decided.

    ``time_left_s`` and ``electrons_left`` are what the run could still spend when it was asked.
    """

    id: Name
    revision: Count
    state: State
    turn: Count
    why: Text
    time_left_s: Number
    electrons_left: Number
    choices: tuple[Choice, ...]
    chosen: Count | None = None
    by: Text = ""
    reason: Text = ""


class Approve(Word, frozen=True, kw_only=True, tag="approve", tag_field="verdict"):
    """Run the choice of this number; 0 is the best."""

    revision: Count
    choice: Count = 0


class Refuse(Word, frozen=True, kw_only=True, tag="refuse", tag_field="verdict"):
    """Run nothing of it, for this reason."""

    revision: Count
    why: Why
    note: Annotated[str, Meta(max_length=500)] = ""


class Undo(Word, frozen=True, kw_only=True):
    """Take back the last edit, or an answer that nothing was done about yet."""

    revision: Count


class Edit(Word, frozen=True, kw_only=True):
    """Change a choice by ``key=value ...``; it is checked and predicted again, and then waits to be approved.

    With ``x_nm`` and ``y_nm`` the middle of its field goes there, in the specimen frame, by the stage.
    """

    revision: Count
    changes: Text = ""
    choice: Count = 0
    x_nm: Number | None = None
    y_nm: Number | None = None


class Grant(Word, frozen=True, kw_only=True):
    """What needs no asking for a while: the next ``left`` commands, or all of one kind until ``until_s``.

    A kind is the mode of what is acquired (``HAADF``, ``EELS``, ...), or ``move`` without an exposure. ``until_s`` is
    on the console's clock.
    """

    by: Name
    kind: Name | None = None
    left: Count | None = None
    until_s: Number | None = None


Answer = Approve | Refuse


class Asked(Word, frozen=True, kw_only=True):
    """How often a kind of action is asked (1: always), and why: proposals that were approved as they were, and others.

    Older ones count less, so these are no whole numbers.
    """

    kind: Name
    share: NotNegative
    agreed: NotNegative
    differed: NotNegative


class Rival(Word, frozen=True, kw_only=True):
    """What another policy would have chosen at a turn of a replayed run, had it learned from all turns before.

    ``choice`` is None where it had nothing to propose, or was not asked yet; ``why`` says so. Up to here it agreed in
    ``agreed`` of ``asked`` turns with what ran: the same mode at the same place.
    """

    name: Name
    choice: Choice | None = None
    why: Text = ""
    agreed: Count = 0
    asked: Count = 0


class Replayed(Word, frozen=True, kw_only=True):
    """Where the replay of a record stands: before or in ``turn`` of ``turns``, and how fast it goes (0: it stands).

    ``speed`` is in seconds of the instrument's clock a second.
    """

    turn: Count
    turns: Count
    speed: NotNegative
    rival: Rival | None = None


class Status(Word, frozen=True, kw_only=True):
    """Where things stand: the question that waits, if one does, for how long still, and who may decide.

    ``left_s`` is None where nobody is waited for, or without end. ``watches`` tells whether the last field is looked at
    meanwhile, at low dose. ``steering`` is what people want instead of what the run was started with. ``asks``
    is how often is asked where the lab lets it be less than always. ``stop_failure``
    says why a stop did not arrive at the instrument.
    """

    mode: Mode
    paused_by: Text
    taken_by: Text
    stopped_by: Text
    stop_failure: Text
    holder: Text
    question: Question | None
    left_s: NotNegative | None
    grants: tuple[Grant, ...]
    envelope: dict[Name, Range]
    asked: Count
    turns: Count
    watches: bool = False
    steering: tuple[Text, ...] = ()
    steered_by: Text = ""
    replayed: Replayed | None = None
    asks: tuple[Asked, ...] = ()
    asks_at_least: NotNegative = 1.0


class Lease(Word, frozen=True, kw_only=True):
    """Take the lease; with ``force`` even from whoever holds it."""

    force: bool = False


class Ask(Word, frozen=True, kw_only=True):
    """What is asked from now on."""

    mode: Mode


class Beforehand(Word, frozen=True, kw_only=True):
    """Approve the next ``left`` commands, and only those of one kind where one is named, for some minutes."""

    kind: Name | None = None
    left: Few | None = None
    minutes: Minutes | None = None


class Envelope(Word, frozen=True, kw_only=True):
    """What may run unasked from now on: ranges that narrow those of the limits, by the same names; {} is none."""

    ranges: dict[Name, Range]


class Steer(Word, frozen=True, kw_only=True):
    """What is wanted instead of what the run was started with, all of it: PATH=VALUE each, as ``--set`` takes it.

    ``goal.question``, ``goal.weights.TARGET``, ``goal.regions``, ``budget.electrons``, ``budget.duration_s``,
    ``policy.name`` and ``policy.settings.NAME`` can be changed.
    """

    changes: Annotated[tuple[Text, ...], Meta(max_length=100)]


class Replay(Word, frozen=True, kw_only=True):
    """Go to a turn of a replayed run, play it so fast, or compare it with a policy; what is left out stays."""

    turn: Count | None = None
    speed: Annotated[float, Meta(ge=0, le=1e6)] | None = None
    rival: Name | None = None


class Switch(Word, frozen=True, kw_only=True):
    """Begin something, or end it."""

    on: bool


class Hello(Word, frozen=True, kw_only=True):
    """The first message of a screen on the socket: its token, who sits there, and which screen it is."""

    token: Annotated[str, Meta(max_length=200)]
    name: Name = "somebody"
    screen: Name = "page"


class Refused(Word, frozen=True, kw_only=True):
    """Why something was not done."""

    error: Text
