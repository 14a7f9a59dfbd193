"""What all baselines share: books, pointing, focus, even spending, and plans turned into safe proposals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hardware_bridge.geometry import Point
from hardware_bridge.messages import Command
from policies.book import Book, Price, with_current
from policies.commands import View, clipped, command_id, looking
from policies.focus import Focus, FocusSettings
from policies.interface import Proposal, Setup, Situation, Turn
from policies.pointing import Pointing
from policies.refocusing import answers_to_focus


@dataclass(frozen=True)
class Look:
    """One thing a baseline would do: where, with what view, how far out of focus on purpose, and why."""

    point_nm: Point
    view: View
    reason: str
    C10_offset_nm: float = 0.0


class Baseline(ABC):
    """A policy that follows a plan: what it does next follows from the turn number and from what it has seen.

    It predicts no information (0 with sd 0). The beam current of every command is such that electrons and time run out
    together.
    """

    name: str
    sees_truth = False

    def __init__(self, focus: FocusSettings) -> None:
        self._focus_settings = focus

    def begin(self, setup: Setup, seed: int) -> None:
        """Start a run."""
        self.setup = setup
        self.seed = seed
        self.book = Book(setup)
        self.focus = Focus(self._focus_settings, setup)
        self.pointing = Pointing(setup)

    def pairs_every(self, every: int, view: View) -> int:
        """Every how many turns to refocus: as asked for, or never (0) where such an image does not answer to focus."""
        return every if answers_to_focus(self.setup.capabilities, view.mode) else 0

    @abstractmethod
    def plan(self, situation: Situation) -> Iterator[Look]:
        """Yield what to do next, best first and distinct after it. Changes nothing."""

    def suggest(self, situation: Situation, n: int) -> Sequence[Proposal]:
        """Return up to n proposals that are safe and affordable, best first."""
        proposals: list[Proposal] = []
        for look in self.plan(situation):
            name = command_id(self.name, self.seed, situation.turn, len(proposals))
            priced = self.realise(look, situation, name)
            if priced is not None:
                command, price = priced
                proposals.append(
                    Proposal(
                        command=command,
                        information=0.0,
                        information_sd=0.0,
                        electrons=price.electrons,
                        time_s=price.time_s,
                        reason=look.reason,
                        proposer=self.name,
                    )
                )
            if len(proposals) == n:
                break
        return proposals

    def ingest(self, turn: Turn) -> None:
        """Keep the books and remember drift and focus."""
        self.book.ingest(turn)
        self.pointing.ingest(turn)
        if turn.percept is not None and turn.command is not None:
            C10_nm = turn.command.set.optics.C10_nm
            if C10_nm is not None:
                self.focus.ingest(turn.percept, C10_nm)

    def realise(self, look: Look, situation: Situation, name: str) -> tuple[Command, Price] | None:
        """The command of a look with its price, or None where it is not safe or not affordable."""
        in_focus_nm, _ = self.focus.best(look.point_nm, situation.state.clock_s)
        C10_nm = clipped(in_focus_nm + look.C10_offset_nm, self.setup.limits.ranges.get("C10_nm"))
        go = self.pointing.go(look.point_nm, look.view.fov_nm, situation.state)
        command = looking(name, go, look.view, 1.0, C10_nm)
        current = self.book.even_current_pA(command, situation)
        if current <= 0.0:
            return None
        command = with_current(command, current)
        price = self.book.price(command, situation)
        return None if price is None else (command, price)
