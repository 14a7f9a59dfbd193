"""How often to ask: less as people approve what is proposed, and at least as often as the lab wants.

For each kind of action there are questions in which the best proposal was approved as it was, and others. The share of
decisions to ask is where, with 95 % probability, the share of those lies in which people would want something else: at
first all, after 10 agreements one in four, after 60 one in sixteen; a disagreement brings it up again. Older questions
count less.
"""

from __future__ import annotations

from collections.abc import Iterable

from scipy.special import betaincinv

from agent.console.standing import kind_of
from agent.console.words import Asked
from agent.record import Record
from policies.interface import ENVELOPE

SURE = 0.95
KEEPS = 0.99
"""By how much less a question counts with each one after it: an assumption of this console."""
BEFOREHAND = "approved beforehand"


class Trust:
    """What people thought of proposals, by kind of action, and whether the next is to be asked."""

    def __init__(self, at_least: float = 1.0) -> None:
        """``at_least`` is the share of decisions that are asked in any case; 1 is all of them."""
        self.at_least = at_least
        self._agreed: dict[str, float] = {}
        self._differed: dict[str, float] = {}
        self._owed: dict[str, float] = {}

    def learn(self, kind: str, agreed: bool) -> None:
        """Take in one question that a person answered."""
        for counts in (self._agreed, self._differed):
            counts[kind] = KEEPS * counts.get(kind, 0.0)
        counts = self._agreed if agreed else self._differed
        counts[kind] += 1.0

    def resume(self, records: Iterable[Record]) -> None:
        """Take in what people answered in the turns of a record."""
        for record in records:
            decision = record.decision
            answered = decision.verdict in ("approved", "edited", "refused") and decision.by != ENVELOPE
            if answered and decision.proposals and not decision.reason.startswith(BEFOREHAND):
                best = decision.proposals[0].command
                agreed = decision.verdict == "approved" and decision.command is not None
                self.learn(kind_of(best), agreed and decision.command is not None and decision.command.id == best.id)

    def share(self, kind: str) -> float:
        """The share of decisions of a kind to ask."""
        differed, agreed = self._differed.get(kind, 0.0), self._agreed.get(kind, 0.0)
        if agreed + differed == 0.0:
            return 1.0
        return max(self.at_least, float(betaincinv(1.0 + differed, 1.0 + agreed, SURE)))

    def asks(self, kind: str) -> bool:
        """Whether the next decision of a kind is to be asked: evenly, so that the share is kept."""
        owed = self._owed.get(kind, 0.0) + self.share(kind)
        self._owed[kind] = owed - 1.0 if owed >= 1.0 else owed
        return owed >= 1.0

    def why(self, kind: str) -> str:
        """Say why a decision is not asked."""
        return f"not asked: of {kind} one in {1.0 / self.share(kind):.0f} is, as people agree with what is proposed"

    def told(self) -> tuple[Asked, ...]:
        """How often is asked, by kind, and why."""
        return tuple(
            Asked(kind=kind, share=self.share(kind), agreed=self._agreed[kind], differed=self._differed[kind])
            for kind in sorted(self._agreed)
        )
