"""Greedy: of all looks that perception can read, the one that tells the report most for what it uses up."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from msgspec.structs import replace

from hardware_bridge.cost import predict
from hardware_bridge.geometry import Point, field_centre_nm, merged
from hardware_bridge.messages import Command
from hardware_bridge.words import Fraction, NotNegative, Positive, Size, Word
from policies.bayes.chooser import GreedyChooser
from policies.book import Book, Price, with_current
from policies.commands import View, clipped, command_id, looking
from policies.focus import Focus, FocusSettings
from policies.interface import Chooser, Foreseen, Proposal, Setup, Situation, Turn
from policies.outlook import Array, Outlook, Way
from policies.pointing import Pointing

EXPLORING = 77
"""Tells the random numbers of exploring from others of the same seed."""


class GreedySettings(Word, frozen=True, kw_only=True):
    """What is tried and how it is weighed.

    ``spends`` are multiples of the electrons with which electrons and time run out together, and ``electron_weight`` is
    what a share of the electrons left is worth against the same share of the time left. Of each way to look the
    ``priced`` best places are looked at closely. ``explore`` is the share of decisions at which any of the proposals
    comes first, by chance: for runs that are to be learned from.
    """

    spends: tuple[Positive, ...] = (0.25, 1.0, 4.0)
    electron_weight: NotNegative = 1.0
    priced: Size = 3
    explore: Fraction = 0.0
    focus: FocusSettings = FocusSettings()


class Greedy:
    """One proposer, over what the reporter believes, and the greedy chooser.

    The belief follows from the turns alone, so that replaying them gives the same next suggestion.
    """

    name = "greedy"
    sees_truth = False

    def __init__(
        self, settings: GreedySettings, outlook: Outlook, served: Callable[[Chooser], Chooser] = lambda own: own
    ) -> None:
        """``served`` may put another chooser in front of the greedy one."""
        self.settings, self._outlook, self._served = settings, outlook, served

    def begin(self, setup: Setup, seed: int) -> None:
        """Start a run."""
        self.setup, self._seed = setup, seed
        self._book, self._pointing = Book(setup), Pointing(setup)
        self._focus = Focus(self.settings.focus, setup)
        self._chooser = self._served(GreedyChooser(setup.capabilities, self.settings.electron_weight))
        self._outlook.begin()

    def suggest(self, situation: Situation, n: int) -> Sequence[Proposal]:
        """Return up to n proposals, best first and distinct after it; all are safe and affordable now."""
        offered = [proposal for way in self._outlook.ways for proposal in self._of(way, situation)]
        ranked = self._explored(self._chooser.rank(offered, situation)[:n], situation.turn)
        return [
            replace(each, command=replace(each.command, id=command_id(self.name, self._seed, situation.turn, rank)))
            for rank, each in enumerate(ranked)
        ]

    def foresee(self, command: Command, situation: Situation) -> Foreseen | None:
        """What a look would tell: as much as the way to look that is most like it, at the nearest of its places."""
        acquire = command.acquire
        ways = [way for way in self._outlook.ways if acquire is not None and way.view.mode == acquire.mode]
        if acquire is None or acquire.blanked or not ways:
            return None
        way = min(ways, key=lambda way: abs(math.log(way.view.fov_nm / acquire.fov_nm)))
        x, y = field_centre_nm(merged(situation.state.go, command.go), self.setup.capabilities)
        at = (x + self._pointing.offset_nm[0], y + self._pointing.offset_nm[1])
        middles = _middles(way, self.setup.card.extent_nm, self.setup.card.cells)
        place = min(range(len(middles)), key=lambda place: math.dist(middles[place], at))
        price = predict(command, situation.state, self.setup.capabilities)
        # Electrons that fall beside the field of the known way tell what those in it do, of other cells.
        electrons = price.electrons * min(1.0, (way.view.fov_nm / acquire.fov_nm) ** 2)
        at_s = situation.state.clock_s - self.setup.start_s + price.time_s
        told = float(self._outlook.information(way, np.array([place]), np.array([electrons]), at_s)[0])
        return told, 0.0

    def ingest(self, turn: Turn) -> None:
        """Keep the books, remember drift and focus, and learn what was read."""
        self._book.ingest(turn)
        self._pointing.ingest(turn)
        if turn.percept is not None:
            self._outlook.add(turn.percept)
            C10_nm = turn.command.set.optics.C10_nm if turn.command is not None else None
            if C10_nm is not None:
                self._focus.ingest(turn.percept, C10_nm)

    def _explored(self, ranked: Sequence[Proposal], turn: int) -> Sequence[Proposal]:
        """The proposals, now and then with any of them first; the same at the same turn."""
        random = np.random.default_rng([self._seed, turn, EXPLORING])
        if len(ranked) < 2 or random.random() >= self.settings.explore:
            return ranked
        first = int(random.integers(len(ranked)))
        return [ranked[first], *ranked[:first], *ranked[first + 1 :]]

    def _of(self, way: Way, situation: Situation) -> list[Proposal]:
        """Looks of one way at the places where it tells most, with more and with fewer electrons."""
        middles = _middles(way, self.setup.card.extent_nm, self.setup.card.cells)
        travel_s = self._travel_s(middles, situation)
        command = self._command(way.view, middles[0], situation)
        still_s = predict(command, situation.state, self.setup.capabilities).time_s - float(travel_s[0])
        even = situation.electrons_left * still_s / max(situation.time_left_s, still_s)
        at_s = situation.state.clock_s - self.setup.start_s + still_s
        all_places = np.arange(len(middles))
        told = self._outlook.information(way, all_places, np.full(len(middles), even), at_s)
        best = np.argsort(-told / (still_s + travel_s), kind="stable")[: self.settings.priced]
        return [
            proposal
            for place in best.tolist()
            for spend in self.settings.spends
            if (proposal := self._proposal(way, place, middles[place], spend, situation)) is not None
        ]

    def _proposal(self, way: Way, place: int, middle: Point, spend: float, situation: Situation) -> Proposal | None:
        """A look with its price and what it would tell; None where it is not safe or not affordable."""
        command = self._command(way.view, middle, situation)
        current_pA = self._book.even_current_pA(command, situation, spend)
        if current_pA <= 0.0:
            return None
        command = with_current(command, current_pA)
        price = self._book.price(command, situation)
        if price is None:
            return None
        at_s = situation.state.clock_s - self.setup.start_s + price.time_s
        told = float(self._outlook.information(way, np.array([place]), np.array([price.electrons]), at_s)[0])
        return Proposal(
            command=command,
            information=told,
            information_sd=0.0,
            electrons=price.electrons,
            time_s=price.time_s,
            reason=_reason(way, middle, told, price),
            proposer=way.view.mode,
        )

    def _command(self, view: View, middle: Point, situation: Situation) -> Command:
        C10_nm, _ = self._focus.best(middle, situation.state.clock_s)
        go = self._pointing.go(middle, view.fov_nm, situation.state)
        return looking("greedy", go, view, 1.0, clipped(C10_nm, self.setup.limits.ranges.get("C10_nm")))

    def _travel_s(self, middles: Sequence[Point], situation: Situation) -> Array:
        """How long the stage takes to each place."""
        able = self.setup.capabilities
        away_nm = np.hypot(*(np.array(middles) - field_centre_nm(situation.state.go, able)).T)
        return np.where(away_nm > 0.0, able.settle_s + away_nm / able.stage_speed_nm_per_s, 0.0)


def _middles(way: Way, extent_nm: float, cells: int) -> list[Point]:
    """Where the field lies over each square of cells, row by row."""
    along = [(n + way.cells / 2) / cells * extent_nm - extent_nm / 2 for n in range(cells - way.cells + 1)]
    return [(x, y) for y in along for x in along]


def _reason(way: Way, middle: Point, told: float, price: Price) -> str:
    x, y = middle
    return (
        f"{way.view.mode} of {way.view.fov_nm:.0f} nm at ({x:.0f}, {y:.0f}) nm: expected to raise the score by "
        f"{told:.4f} for {price.electrons:.2g} electrons and {price.time_s:.1f} s"
    )
