"""Within: looks only where somebody wants it to; what a policy proposes elsewhere is done there instead.

How to look stays the policy's: mode, field, dose, and the order of what it proposes. What lies outside all regions goes
to the place inside them that was looked at longest ago.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from hardware_bridge.geometry import Point, field_centre_nm, merged
from hardware_bridge.messages import Box, Command, Go, Range
from policies.book import Book
from policies.interface import Foreseen, Policy, Proposal, Setup, Situation, Turn, foreseen
from policies.pointing import Pointing

OVER = 0.05
"""Share of its width by which a field may stick out of a region."""


class Within:
    """A policy that is kept to regions of the specimen frame, boxes in nm (their z is not asked)."""

    def __init__(self, policy: Policy, regions: Sequence[Box]) -> None:
        self._policy, self._regions = policy, tuple(regions)
        self._looks: list[Point] = []

    def begin(self, setup: Setup, seed: int) -> None:
        """Start a run."""
        self._setup, self._book, self._pointing = setup, Book(setup), Pointing(setup)
        self._looks = []
        self._policy.begin(setup, seed)

    def suggest(self, situation: Situation, n: int) -> Sequence[Proposal]:
        """Return what the policy proposes, each inside the regions; fewer where what is moved there cannot run."""
        found: list[Proposal] = []
        moved = 0
        for proposal in self._policy.suggest(situation, n):
            acquire = proposal.command.acquire
            if acquire is None or acquire.blanked or self._holds(proposal, situation):
                found.append(proposal)
            elif (there := self._moved(proposal, situation, moved)) is not None:
                found.append(there)
                moved += 1
        return found

    def foresee(self, command: Command, situation: Situation) -> Foreseen | None:
        """What the policy expects a command to tell."""
        return foreseen(self._policy, command, situation)

    def ingest(self, turn: Turn) -> None:
        """Take note of where it was looked, and let the policy learn."""
        self._book.ingest(turn)
        self._pointing.ingest(turn)
        if turn.percept is not None and turn.percept.width_nm > 0.0:
            self._looks.append((turn.percept.x_nm, turn.percept.y_nm))
        self._policy.ingest(turn)

    def _place(self, go: Go) -> Point:
        """Where a position looks at the specimen, as far as its drift is known."""
        x, y = field_centre_nm(go, self._setup.capabilities)
        return x + self._pointing.offset_nm[0], y + self._pointing.offset_nm[1]

    def _holds(self, proposal: Proposal, situation: Situation) -> bool:
        """Whether the field lies inside a region, as far as it fits there."""
        acquire = proposal.command.acquire
        assert acquire is not None
        x, y = self._place(merged(situation.state.go, proposal.command.go))
        height_nm = acquire.fov_nm * acquire.pixels_y / acquire.pixels_x
        return any(_inside(x, acquire.fov_nm, box.x) and _inside(y, height_nm, box.y) for box in self._regions)

    def _moved(self, proposal: Proposal, situation: Situation, rank: int) -> Proposal | None:
        """The proposal at a place inside that was not seen for long; None where it is not safe or affordable."""
        command = proposal.command
        assert command.acquire is not None
        fov_nm = command.acquire.fov_nm
        height_nm = fov_nm * command.acquire.pixels_y / command.acquire.pixels_x
        places = sorted(self._places(fov_nm, height_nm), key=lambda place: self._last_seen(place, fov_nm))
        if rank >= len(places):
            return None
        x, y = places[rank]
        there = replace(command, go=self._pointing.go((x, y), max(fov_nm, height_nm), situation.state))
        price = self._book.price(there, situation)
        if price is None:
            return None
        told = f"{proposal.reason}; moved to ({x:.0f}, {y:.0f}) nm, in what is to be looked at"
        return replace(proposal, command=there, electrons=price.electrons, time_s=price.time_s, reason=told[:2000])

    def _last_seen(self, place: Point, fov_nm: float) -> int:
        """The number of the last look at a place, -1 where there was none."""
        near = (n for n in range(len(self._looks) - 1, -1, -1) if math.dist(self._looks[n], place) < fov_nm / 2)
        return next(near, -1)

    def _places(self, width_nm: float, height_nm: float) -> Iterator[Point]:
        """Middles of fields that tile the regions, row by row."""
        for box in self._regions:
            for y in _along(box.y, height_nm):
                for x in _along(box.x, width_nm):
                    yield x, y


def _inside(middle: float, size_nm: float, span: Range) -> bool:
    """Whether a stretch lies in a span, or where it is longer its middle does; over its ends by a share at most."""
    margin_nm = size_nm * (0.5 - OVER) if size_nm <= span.high - span.low else 0.0
    return span.low + margin_nm <= middle <= span.high - margin_nm


def _along(span: Range, size_nm: float) -> list[float]:
    """Middles of fields that cover a span evenly and do not pass it; its middle where one covers it all."""
    free_nm = span.high - span.low - size_nm
    if free_nm <= 0.0:
        return [(span.low + span.high) / 2]
    n = math.ceil(free_nm / size_nm) + 1
    return [span.low + size_nm / 2 + free_nm * i / (n - 1) for i in range(n)]
