"""What the learned chooser remembers of a run: which cells were looked at, when, how often and with how much."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from hardware_bridge.dose import predict_charge
from hardware_bridge.geometry import Point, field_centre_nm, merged
from policies.book import blank_state
from policies.chooser.spec import FADING, MODES, Offers, Standing
from policies.interface import Proposal, Setup, Situation, Turn
from policies.outlook import Outlook

Indices = NDArray[np.intp]


class Memory:
    """Follows a run turn by turn, and says of candidates and of the situation what the specification asks for."""

    def __init__(self, setup: Setup, outlook: Outlook) -> None:
        self._setup, self._outlook = setup, outlook
        self._blank = blank_state(setup)
        cells = setup.card.cells**2
        self._seen_s = np.full(cells, -math.inf)
        self._looks, self._exposed = np.zeros(cells), np.zeros(cells)
        self._surprise = self._recent = 1.0
        self._missed, self._turns = 0.0, 0

    def ingest(self, turn: Turn) -> None:
        """Take note of a look, after the outlook has taken it in."""
        seen, command = turn.percept, turn.command
        if seen is None or command is None or command.acquire is None or command.acquire.blanked:
            return
        cells = self.shown((seen.x_nm, seen.y_nm), seen.width_nm, seen.height_nm)
        charge = predict_charge(command, self._setup.limits, self._blank, self._setup.capabilities)
        self._seen_s[cells] = seen.end_s - self._setup.start_s
        self._looks[cells] += 1
        self._exposed[cells] += charge.fluence_e_per_A2 / self._setup.limits.max_fluence_e_per_A2
        told = seen.quality.get("usable", 1.0) > 0.0
        if told:
            self._surprise = self._outlook.surprise
        self._recent = FADING * self._recent + (1 - FADING) * self._surprise
        self._missed = FADING * self._missed + (1 - FADING) * (not told)
        self._turns += 1

    def shown(self, middle_nm: Point, width_nm: float, height_nm: float) -> Indices:
        """The cells whose middles a field shows, or else that in which its own middle lies."""
        return cells_shown(middle_nm, (width_nm, height_nm), self._setup.card.extent_nm, self._setup.card.cells)

    def offers(self, proposals: Sequence[Proposal], situation: Situation) -> Offers:
        """What is told of proposals (N,)."""
        rows = [self._of(proposal, situation) for proposal in proposals]
        columns = torch.tensor(np.array(rows, dtype=np.float32).reshape(len(rows), 9).T)
        information, left, electrons, time_s, exposed, age, looks, cells, mode = columns
        there = torch.ones(len(rows), dtype=torch.bool)
        return Offers(information, left, electrons, time_s, exposed, age, looks, cells, mode, there)

    def standing(self, situation: Situation) -> Standing:
        """What is told of the situation."""
        setup = self._setup
        numbers = (
            situation.time_left_s,
            setup.end_s - setup.start_s,
            situation.electrons_left,
            setup.max_electrons,
            setup.card.budget_electrons,
            self._turns,
            self._outlook.loss_left,
            self._surprise,
            self._recent,
            self._missed,
        )
        return Standing(*(torch.tensor(float(each)) for each in numbers))

    def _of(self, proposal: Proposal, situation: Situation) -> tuple[float, ...]:
        acquire, setup = proposal.command.acquire, self._setup
        if acquire is None or acquire.mode not in MODES:
            return (0.0,) * 9
        middle = field_centre_nm(merged(situation.state.go, proposal.command.go), setup.capabilities)
        cells = self.shown(middle, acquire.fov_nm, acquire.fov_nm * acquire.pixels_y / acquire.pixels_x)
        now_s, duration_s = situation.state.clock_s - setup.start_s, setup.end_s - setup.start_s
        return (
            proposal.information,
            self._outlook.left(cells, now_s + proposal.time_s),
            proposal.electrons,
            proposal.time_s,
            float(self._exposed[cells].max(initial=0.0)),
            float(np.minimum((now_s - self._seen_s[cells]) / duration_s, 1.0).mean()) if len(cells) else 1.0,
            float(self._looks[cells].mean()) if len(cells) else 0.0,
            float(len(cells)),
            float(MODES.index(acquire.mode)),
        )


def cells_shown(middle_nm: Point, size_nm: Point, extent_nm: float, cells: int) -> Indices:
    """The cells (n,), row by row, whose middles a field shows, or else that in which its own middle lies."""
    cell_nm = extent_nm / cells
    spans = []
    for middle, width in ((middle_nm[1], size_nm[1]), (middle_nm[0], size_nm[0])):
        low, high = ((middle + side * width / 2 + extent_nm / 2) / cell_nm - 0.5 for side in (-1, 1))
        inside = range(max(math.ceil(low), 0), min(math.floor(high), cells - 1) + 1)
        own = math.floor((middle + extent_nm / 2) / cell_nm)
        spans.append(list(inside) or ([own] if 0 <= own < cells else []))
    return np.array([row * cells + column for row in spans[0] for column in spans[1]], dtype=np.intp)
