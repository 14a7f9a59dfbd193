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
from policies.bayes.exposure import NM2_IN_A2
from policies.bayes.gp import Block
from policies.bayes.kernel import Array
from policies.bayes.kinetics import COUPLING, RATE, Looks
from policies.bayes.kinetics import weight as kinetic_weight
from policies.bayes.worth import Constant, Outcome, Prospect, Worth, outcome
from policies.book import Price, with_current
from policies.commands import View, clipped, looking
from policies.interface import Situation

# What a proposer makes of the information of all squares of cells: (now, cells, a typical command, information).
Judge = Callable[["Now", NDArray[np.intp], Command, Array], Array]

# A measurement is expected about this long after the decision; the processes hardly change in it.
LEAD_S = 2.0
ALMOST = 0.99


@dataclass(frozen=True)
class Candidate:
    """An image of k x k whole cells that safety lets pass, with its price and what it would tell."""

    command: Command
    price: Price
    cells: NDArray[np.intp]
    information: float
    information_sd: float


@dataclass
class Now:
    """The belief at the moment of a decision: expectations and joint posteriors of all cells at the next image.

    With ``at_s`` they are those at another time from the start.
    ``focus_var_nm2`` (N,) is the variance of the C10 in focus and ``doubt`` the variance that unknown labels add.
    """

    belief: Belief
    situation: Situation
    worth: Worth
    at_s: float | None = None
    blocks: dict[str, Block] = field(default_factory=dict)
    expected: dict[str, Array] = field(default_factory=dict)
    doubt: dict[str, Array] = field(default_factory=dict)
    ages_s: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        belief = self.belief
        lead_s = belief.clock(self.situation.state.clock_s) + LEAD_S
        self.t_s = lead_s if self.at_s is None else self.at_s
        exposure = belief.exposure.seconds
        for name, process in belief.fields.items():
            self.blocks[name] = process.block(self.t_s, exposure)
            self.ages_s[name] = process.ages(self.t_s, exposure)
            self.expected[name] = np.maximum(process.expected(self.t_s, exposure) + self.blocks[name].mean, 0.0)
            self.doubt[name] = belief.labels.variances(name)
        none = np.zeros(len(belief.grid.centres))
        self.count, self.radius_nm = self.expected.get("count", none), self.expected.get("mean_radius_nm", none)
        _, self.focus_var_nm2 = belief.focus.over(belief.grid.places, self.situation.state.clock_s)

    def information(self, cells: NDArray[np.intp], image: analyst.Image, noise_factor: float = 1.0) -> Array:
        """What images of sets of cells (c, k) would tell, (c,); ``image`` describes every cell of the grid, (N,)."""
        return self.worth(Prospect(self._outcomes(cells, image, noise_factor), self._constants(cells, image)))

    def _outcomes(self, cells: NDArray[np.intp], image: analyst.Image, noise_factor: float) -> list[Outcome]:
        """What images of sets of cells would do to every field."""
        noise = analyst.noise(
            self.count,
            self.radius_nm,
            np.ones(len(self.count)),
            self.belief.grid.cell_nm,
            image,
            self.belief.settings.analyst,
        )
        return [
            outcome(process, self.blocks[name], cells, noise_factor * noise.of(name)[cells], self.ages_s[name])
            for name, process in self.belief.fields.items()
        ]

    def _constants(self, cells: NDArray[np.intp], image: analyst.Image) -> list[Constant]:
        """What images of sets of cells would do to growth rate and beam coupling, by the end of the run."""
        kinetics, exposure_s = self.belief.kinetics, self.belief.exposure.seconds
        if not kinetics.asked:
            return []
        weight = kinetic_weight(self.count, self.radius_nm, analyst.outline_nm(self.radius_nm, image))
        added_s = self.added_s(image)
        last = self.belief.last_looks()
        look = Looks(np.asarray(self.t_s), exposure_s[cells], weight[cells])
        then = Looks(last.t_s, (exposure_s + added_s)[cells], last.weight[cells])
        before, after = kinetics.sds(last), kinetics.sds_after(cells, look, last, then)
        return [
            Constant(kinetics.targets[name], float(before[i]), after[:, i]) for i, name in enumerate((RATE, COUPLING))
        ]

    def added_s(self, image: analyst.Image) -> Array:
        """How much longer an image would expose its own cells, (N,) s at unit radical level."""
        return self.belief.settings.beam.level_per_e_per_A2_s * image.dose_e_per_nm2 / NM2_IN_A2

    def image(self, command: Command) -> analyst.Image:
        """What an image command would give in every cell, with focus as it is known now."""
        return self.belief.image(command, self.focus_var_nm2)

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


def candidates(now: Now, k: int, judge: Judge) -> list[Candidate]:
    """The best images of k x k cells at every rate of spending, with what they would tell.

    All squares are weighed at the even rate; the best of them, apart from each other, at the others too. The current
    hardly depends on the place (only the time of the move does), so a typical one serves to weigh them.
    """
    grid, imaging = now.belief.grid, now.belief.settings.imaging
    view = View(fov_nm=k * grid.cell_nm, pixels=imaging.pixels, dwell_s=imaging.dwell_s)
    typical = typical_command(now, view, 1.0)
    if k > grid.cells or typical is None:
        return []
    cells, centres = grid.squares(k)
    information = judge(now, cells, typical, now.information(cells, now.image(typical)))
    best: list[int] = []
    for i in np.argsort(-information, kind="stable"):
        if len(best) == imaging.offered or information[i] <= 0.0:
            break
        if not any(overlap(centres[i], centres[j], view.fov_nm) for j in best):
            best.append(int(i))
    found = []
    for spend in imaging.spends if best else ():
        found += _at_spend(now, view, spend, (cells[best], [centres[i] for i in best]), judge)
    return found


def _at_spend(
    now: Now, view: View, spend: float, squares: tuple[NDArray[np.intp], list[Point]], judge: Judge
) -> list[Candidate]:
    cells, centres = squares
    typical = typical_command(now, view, spend)
    if typical is None:
        return []
    image = now.image(typical)
    step = float(np.max(now.added_s(image))) / now.belief.settings.beam.most_step_s
    if step > 1.0:
        return _at_spend(now, view, spend / step * ALMOST, squares, judge)
    information = judge(now, cells, typical, now.information(cells, image))
    # The noise of an image is taken to be known within a factor of two.
    sds = np.abs(now.information(cells, image) - now.information(cells, image, 2.0))
    found = []
    for i, centre in enumerate(centres):
        priced = now.priced(now.command(centre, view), spend)
        if priced is not None:
            found.append(Candidate(*priced, cells[i], float(information[i]), float(sds[i])))
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
