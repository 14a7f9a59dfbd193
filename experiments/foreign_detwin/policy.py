"""Two policies for a camera: focus here by a series of images, and look at every field of a grid."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.foreign_detwin.eyes import ESTIMATE
from hardware_bridge.cost import predict
from hardware_bridge.geometry import Point, stage_for
from hardware_bridge.messages import Acquire, Command, Go, InstrumentState, Optics, Settings
from policies.interface import Proposal, Setup, Situation, Turn

OFFSETS_NM = (0.0, -900.0, 900.0, -450.0, 450.0, 1800.0, -1800.0, 1350.0, -1350.0)
"""Where to look from the C10 that was there at first: the first three, and the rest where they told too little."""

SERIES = 3
CLEAR_SD_NM, ENOUGH_SD_NM = 150.0, 40.0
ASIDE = ((0, 0), (1, 0), (0, 1), (-1, 0), (0, -1), (2, 0), (0, 2), (-2, 0), (0, -2))
STEP_ASIDE_NM = 1000.0
"""Holes are a micrometre or two wide."""


class Focusing:
    """Takes a through-focus series about the present C10 and goes where focus is; one more image there, and it ends.

    A place without rings (a hole, a bar) is left for one beside it. ``found`` is the C10 of Gaussian focus and its
    standard deviation, once there is one. Where nothing is found C10 is put back.
    """

    def __init__(self, view: Acquire, name: str) -> None:
        self._view, self._name = view, name
        self._start: InstrumentState | None = None
        self._place = 0
        self._images = 0
        self._done = False
        self.found: tuple[float, float] | None = None

    def begin(self, setup: Setup, seed: int) -> None:
        """Start; nothing is random."""
        self._setup = setup

    def suggest(self, situation: Situation, n: int) -> Sequence[Proposal]:
        """The next image of the series, the last one in focus, or nothing."""
        if self._start is None:
            self._start = situation.state
        if self._done:
            return []
        command, reason = self._next(self._start, f"{self._name}-{situation.turn}")
        return [_proposal(command, situation, self._setup, reason, "focusing")]

    def ingest(self, turn: Turn) -> None:
        """Take note of where focus is; an image that did not come is taken again."""
        if turn.command is None or turn.percept is None:
            return
        if turn.command.acquire is None:
            self._done = True
        if not turn.percept.quality.get("usable"):
            return
        C10_nm = turn.command.set.optics.C10_nm or 0.0
        error = turn.percept.estimates.get(ESTIMATE)
        self._images += 1
        self.found = None if error is None else (C10_nm + error.value, error.sd)
        if self.found is not None and self.found[1] < ENOUGH_SD_NM and self._images > SERIES:
            self._done = abs(C10_nm - self.found[0]) < ENOUGH_SD_NM
        if self._is_spent():
            self._place, self._images = self._place + 1, 0

    def _next(self, start: InstrumentState, name: str) -> tuple[Command, str]:
        start_nm = start.optics.C10_nm or 0.0
        if self._place == len(ASIDE):
            return Command(id=name, set=_focus(start_nm)), "No film anywhere: C10 as it was"
        dx, dy = ASIDE[self._place]
        go = Go(
            stage_x_nm=(start.go.stage_x_nm or 0.0) + STEP_ASIDE_NM * dx,
            stage_y_nm=(start.go.stage_y_nm or 0.0) + STEP_ASIDE_NM * dy,
        )
        if self._is_clear() and self.found is not None:
            C10_nm, reason = self.found[0], f"In focus within {self.found[1]:.0f} nm: go there"
        else:
            C10_nm = start_nm + OFFSETS_NM[self._images]
            reason = f"Through focus at place {self._place + 1}, image {self._images + 1}: {C10_nm - start_nm:+.0f} nm"
        return Command(id=name, go=go, set=_focus(C10_nm), acquire=self._view), reason

    def _is_clear(self) -> bool:
        return self._images >= SERIES and self.found is not None and self.found[1] < CLEAR_SD_NM

    def _is_spent(self) -> bool:
        """Whether there is nothing more to be seen here: no rings, or too few after all images."""
        if self._done:
            return False
        blind = self.found is None and self._images >= SERIES
        return (
            blind
            or self._images >= len(OFFSETS_NM) + SERIES
            or (self._images >= len(OFFSETS_NM) and not self._is_clear())
        )


class Survey:
    """Looks once at each point of a list, coming from the negative side so that backlash is the same everywhere."""

    def __init__(self, view: Acquire, name: str, points_nm: Sequence[Point]) -> None:
        self._view, self._name, self._left = view, name, list(points_nm)

    def begin(self, setup: Setup, seed: int) -> None:
        """Start; nothing is random."""
        self._setup = setup

    def suggest(self, situation: Situation, n: int) -> Sequence[Proposal]:
        """The next point, or nothing once all were seen."""
        if not self._left:
            return []
        x_nm, y_nm = stage_for(self._left[0], self._setup.capabilities)
        command = Command(
            id=f"{self._name}-{situation.turn}",
            go=Go(stage_x_nm=x_nm, stage_y_nm=y_nm, approach="from_negative"),
            acquire=self._view,
        )
        return [_proposal(command, situation, self._setup, f"{len(self._left)} fields to see", "survey")]

    def ingest(self, turn: Turn) -> None:
        """Strike a point off; one that gave no image stays."""
        if turn.percept is not None and turn.percept.quality.get("usable"):
            self._left.pop(0)


def grid(centre_nm: Point, count: int, step_nm: float) -> list[Point]:
    """A serpentine of ``count`` x ``count`` points about a centre."""
    half = (count - 1) / 2
    rows = [
        [(centre_nm[0] + (i - half) * step_nm, centre_nm[1] + (j - half) * step_nm) for i in range(count)]
        for j in range(count)
    ]
    return [point for j, row in enumerate(rows) for point in (row if j % 2 == 0 else reversed(row))]


def _focus(C10_nm: float) -> Settings:
    return Settings(optics=Optics(C10_nm=C10_nm))


def _proposal(command: Command, situation: Situation, setup: Setup, reason: str, proposer: str) -> Proposal:
    cost = predict(command, situation.state, setup.capabilities)
    # What an image is worth to a report that has no targets cannot be said.
    return Proposal(
        command=command,
        information=0.0,
        information_sd=0.0,
        electrons=cost.electrons,
        time_s=cost.time_s,
        reason=reason,
        proposer=proposer,
    )
