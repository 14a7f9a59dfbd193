"""Images that could be taken next, with what each would tell: the shared ground of all proposers of images.

All squares of whole cells are weighed at once. The blocks of the processes at the time of the measurement are worked
out once a decision and kept with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hardware_bridge.geometry import Point
from hardware_bridge.messages import Command
from policies.bayes import analyst
from policies.bayes.belief import Belief
from policies.bayes.gp import Block
from policies.bayes.grid import Box
from policies.bayes.kernel import Array
from policies.bayes.worth import Outcome, Worth, outcome
from policies.book import Price, with_current
from policies.commands import View, clipped, looking
from policies.interface import Situation

# What a proposer makes of the information of all squares of cells: (now, cells, a typical command, information).
Judge = Callable[["Now", NDArray[np.intp], Command, Array], Array]

# A measurement is expected about this long after the decision; the processes hardly change in it.
LEAD_S = 2.0


@dataclass(frozen=True)
class Candidate:
    """An image of k x k whole cells that safety lets pass, with its price and what it would tell."""

    command: Command
    price: Price
    centre_nm: Point
    cells: NDArray[np.intp]
    information: float
    spend: float


@dataclass
class Now:
    """The belief at the moment of a decision: expectations and joint posteriors of all cells at the next image.

    ``focus_var_nm2`` (N,) is the variance of the C10 in focus and ``doubt`` the variance that unknown labels add.
    """

    belief: Belief
    situation: Situation
    worth: Worth
    t_s: float = 0.0
    blocks: dict[str, Block] = field(default_factory=dict)
    expected: dict[str, Array] = field(default_factory=dict)
    doubt: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        belief = self.belief
        self.t_s = belief.clock(self.situation.state.clock_s) + LEAD_S
        exposure = belief.exposure.seconds
        for name, process in belief.fields.items():
            self.blocks[name] = process.block(self.t_s, exposure)
            self.expected[name] = process.expected(self.t_s, exposure, self.blocks[name])
            self.doubt[name] = belief.labels.variances(name)
        _, self.focus_var_nm2 = belief.focus.over(belief.grid.places, self.situation.state.clock_s)

    def information(self, cells: NDArray[np.intp], image: analyst.Image, noise_factor: float = 1.0) -> Array:
        """What images of sets of cells (c, k) would tell, (c,); ``image`` describes every cell of the grid, (N,)."""
        return self.worth(self.outcomes(cells, image, noise_factor))

    def outcomes(self, cells: NDArray[np.intp], image: analyst.Image, noise_factor: float = 1.0) -> list[Outcome]:
        """What images of sets of cells would do to every field."""
        none = np.zeros(len(self.belief.grid.centres))
        noise = analyst.noise(
            self.expected.get("count", none),
            self.expected.get("mean_radius_nm", none),
            none + 1.0,
            self.belief.grid.cell_nm,
            image,
            self.belief.settings.analyst,
        )
        return [
            outcome(process, self.blocks[name], cells, noise_factor * noise.of(name)[cells], self.t_s)
            for name, process in self.belief.fields.items()
        ]

    def command(self, point_nm: Point, view: View, C10_offset_nm: float = 0.0) -> Command:
        """The command that looks at a point in focus (or so far off), at a current of 1 pA."""
        belief = self.belief
        best_nm, _ = belief.focus.best(point_nm, self.situation.state.clock_s)
        C10_nm = clipped(best_nm + C10_offset_nm, belief.setup.limits.ranges.get("C10_nm"))
        go = belief.pointing.go(point_nm, view.fov_nm, self.situation.state)
        return looking("draft", go, view, 1.0, C10_nm)

    def priced(self, command: Command, spend: float) -> tuple[Command, Price] | None:
        """The command at a multiple of the even current, with its price; None where it cannot be had."""
        book = self.belief.book
        current_pA = book.even_current_pA(command, self.situation, spend)
        if current_pA <= 0.0:
            return None
        command = with_current(command, current_pA)
        price = book.price(command, self.situation)
        return None if price is None else (command, price)

    def share_of_rest(self, price: Price) -> float:
        """What a price takes of the time and electrons that are left, as one number: the sum of both shares."""
        situation = self.situation
        return price.time_s / situation.time_left_s + price.electrons / max(situation.electrons_left, 1.0)


def candidates(now: Now, k: int, spend: float, judge: Judge) -> list[Candidate]:
    """The best images of k x k cells at one rate of spending, with what they would tell.

    The current hardly depends on the place (only the time of the move does), so it is worked out at the present place
    for the information and exactly for those that are offered.
    """
    belief, imaging = now.belief, now.belief.settings.imaging
    if k > belief.grid.cells:
        return []
    cells, centres = belief.grid.squares(k)
    view = View(fov_nm=k * belief.grid.cell_nm, pixels=imaging.pixels, dwell_s=imaging.dwell_s)
    typical = typical_command(now, view, spend)
    if typical is None:
        return []
    information = judge(now, cells, typical, now.information(cells, belief.image(typical, now.focus_var_nm2)))
    found: list[Candidate] = []
    for i in np.argsort(-information, kind="stable"):
        if len(found) == imaging.offered or information[i] <= 0.0:
            break
        if any(overlap(centres[i], c.centre_nm, view.fov_nm) for c in found):
            continue
        priced = now.priced(now.command(centres[i], view), spend)
        if priced is not None:
            found.append(Candidate(*priced, centres[i], cells[i], float(information[i]), spend))
    return found


def typical_command(now: Now, view: View, spend: float) -> Command | None:
    """An image with this view after a move of middling length, at its current; None where none is safe anywhere."""
    for point in ((0.0, 0.0), (view.fov_nm, view.fov_nm), (-view.fov_nm, -view.fov_nm)):
        priced = now.priced(now.command(point, view), spend)
        if priced is not None:
            return priced[0]
    return None


def overlap(a: Point, b: Point, fov_nm: float) -> bool:
    """Whether two fields of one width share more than half of their width in both directions."""
    return abs(a[0] - b[0]) < fov_nm / 2 and abs(a[1] - b[1]) < fov_nm / 2


def box_of(command: Command, centre_nm: Point) -> Box:
    """The field of a command centred at a point."""
    acquire = command.acquire
    assert acquire is not None
    height_nm = acquire.fov_nm * acquire.pixels_y / acquire.pixels_x
    return Box(centre_nm[0], centre_nm[1], acquire.fov_nm, height_nm)


def spread(now: Now, candidate: Candidate) -> float:
    """Sd of the predicted information: the noise of an image is taken to be known within a factor of two."""
    image = now.belief.image(candidate.command, now.focus_var_nm2)
    cells = candidate.cells[None, :]
    return abs(float(now.information(cells, image, 0.5)[0] - now.information(cells, image, 2.0)[0])) / 2
