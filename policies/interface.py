"""What a policy is: three Protocols and the words they exchange. Read this before any policy.

The usual policy is proposers plus a chooser: candidates in, an order out. Any other policy behind the same Protocol is
as good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar, runtime_checkable

from hardware_bridge.messages import Capabilities, Command, InstrumentState, Limits
from hardware_bridge.report import Card, Percept
from hardware_bridge.words import Name, NotNegative, Number, Text, Word

Verdict = Literal["approved", "edited", "refused", "timed_out", "rejected", "failed"]
ENVELOPE = "envelope"
"""Who decided where no person was asked."""

Foreseen = tuple[float, float]
"""Predicted information of a command and its standard deviation."""

Belief = TypeVar("Belief", contravariant=True)


class Proposal(Word, frozen=True, kw_only=True):
    """A command that somebody proposes, and what they expect of it.

    ``information`` is the predicted gain of the score (weighted drop of the report's sd, in units of the score) and
    ``information_sd`` its uncertainty; ``electrons`` and ``time_s`` are what it costs.
    """

    command: Command
    information: Number
    information_sd: NotNegative
    electrons: NotNegative
    time_s: NotNegative
    reason: Text
    proposer: Name


@dataclass(frozen=True)
class Setup:
    """What a policy is told before a run: the instrument, its limits, the world's card and the budgets.

    ``end_s`` is when the run ends on the instrument's clock, ``start_s`` when it began.
    """

    capabilities: Capabilities
    limits: Limits
    card: Card
    start_s: float
    end_s: float
    max_electrons: float


@dataclass(frozen=True)
class Situation:
    """Where things stand at a decision."""

    turn: int
    state: InstrumentState
    electrons_left: float
    time_left_s: float


@dataclass(frozen=True)
class Turn:
    """What became of a decision: the command that ran (edited, perhaps), what was perceived, the verdict and why.

    ``percept`` is None where nothing ran. ``verdict`` is ``rejected`` where safety refused and ``failed`` where
    execution did. ``offered`` is what was shown, best first, to ``by``, the envelope or a person, at ``start_s``.
    """

    index: int
    command: Command | None
    percept: Percept | None
    verdict: Verdict
    reason: str
    offered: tuple[Proposal, ...] = ()
    by: str = ENVELOPE
    start_s: float = 0.0


class Policy(Protocol):
    """Suggests commands and learns from what became of them. Resuming a run replays its turns through ``ingest``."""

    def begin(self, setup: Setup, seed: int) -> None:
        """Start a run; everything random after it follows from the seed."""
        ...

    def suggest(self, situation: Situation, n: int) -> Sequence[Proposal]:
        """Return up to n proposals, best first and distinct after it. May be asked twice without an ingest between."""
        ...

    def ingest(self, turn: Turn) -> None:
        """Learn from one turn, in order."""
        ...


@runtime_checkable
class Foreseeing(Protocol):
    """A policy that can say what a command would tell that it did not propose, such as one that a person edited."""

    def foresee(self, command: Command, situation: Situation) -> Foreseen | None:
        """What a command is predicted to tell, in units of the score, with its sd; None where it cannot say."""
        ...


def foreseen(policy: Policy, command: Command, situation: Situation) -> Foreseen | None:
    """What a policy expects a command to tell, where it is one that says so."""
    return policy.foresee(command, situation) if isinstance(policy, Foreseeing) else None


class Proposer(Protocol[Belief]):
    """Offers candidate commands of one kind, from a belief at a decision that it may read but not change."""

    def propose(self, belief: Belief) -> Sequence[Proposal]:
        """Return candidates with their predicted information, cost and reason."""
        ...


class Chooser(Protocol):
    """Puts candidates in order."""

    def rank(self, proposals: Sequence[Proposal], situation: Situation) -> Sequence[Proposal]:
        """Return the proposals best first, distinct after it."""
        ...
