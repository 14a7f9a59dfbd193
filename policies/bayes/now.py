"""The belief at the moment of a decision, and what images taken then would tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardware_bridge.geometry import Point
from hardware_bridge.messages import Command
from policies.bayes import analyst
from policies.bayes.belief import Belief
from policies.bayes.exposure import NM2_IN_A2
from policies.bayes.gp import Block
from policies.bayes.kernel import Array
from policies.bayes.kinetics import COUPLING, RATE, Looks, weight
from policies.bayes.worth import Constant, Outcome, Prospect, Worth, outcome
from policies.book import Price, with_current
from policies.commands import View, clipped, looking
from policies.interface import Situation

# A measurement is expected about this long after the decision; the processes hardly change in it.
LEAD_S = 2.0

Cells = NDArray[np.intp]


@dataclass
class Now:
    """Expectations and joint posteriors of all cells at the next image, worked out once a decision.

    With ``at_s`` they are those at another time from the start. ``focus_var_nm2`` (N,) is the variance of the C10 in
    focus, ``doubt`` the variance that unknown labels add to each field, ``constant_sds`` (2,) what growth rate and beam
    coupling will be known to when the run ends.
    """

    belief: Belief
    situation: Situation
    worth: Worth
    at_s: float | None = None

    def __post_init__(self) -> None:
        belief = self.belief
        lead_s = belief.clock(self.situation.state.clock_s) + LEAD_S
        self.t_s = lead_s if self.at_s is None else self.at_s
        exposure = belief.exposure.seconds
        self.blocks: dict[str, Block] = {}
        self.expected: dict[str, Array] = {}
        self.ages_s: dict[str, Array] = {}
        self.doubt: dict[str, Array] = {}
        for name, field in belief.fields.items():
            self.blocks[name] = field.block(self.t_s, exposure)
            self.ages_s[name] = field.ages(self.t_s, exposure)
            self.expected[name] = np.maximum(field.expected(self.t_s, exposure) + self.blocks[name].mean, 0.0)
            self.doubt[name] = belief.labels.variances(name)
        none = np.zeros(len(belief.grid.centres))
        self.count, self.radius_nm = self.expected.get("count", none), self.expected.get("mean_radius_nm", none)
        _, self.focus_var_nm2 = belief.focus.over(belief.grid.places, self.situation.state.clock_s)
        self.last = belief.last_looks()
        self.constant_sds = belief.kinetics.sds(self.last) if belief.kinetics.asked else np.zeros(2)

    def image(self, command: Command, cells: Cells, focus_var_nm2: Array | None = None) -> analyst.Image:
        """What an image command would give in cells (c, k), with focus as it is known now or as given, (N,)."""
        var = self.focus_var_nm2 if focus_var_nm2 is None else focus_var_nm2
        return self.belief.image(command, var[cells])

    def added_s(self, image: analyst.Image) -> Array:
        """How much longer an image would expose its own cells, (c, k) s at unit radical level."""
        return self.belief.settings.beam.level_per_e_per_A2_s * image.dose_e_per_nm2 / NM2_IN_A2

    def information(self, cells: Cells, image: analyst.Image, noise_factor: float | Array = 1.0) -> Array:
        """What images of sets of cells (c, k) would tell, (c,), in units of the score."""
        return self.worth(Prospect(self._outcomes(cells, image, noise_factor), self._constants(cells, image)))

    def _outcomes(self, cells: Cells, image: analyst.Image, noise_factor: float | Array) -> list[Outcome]:
        """What images of sets of cells would do to every field."""
        belief = self.belief
        seen = np.ones(cells.shape)
        noise = analyst.noise(
            self.count[cells], self.radius_nm[cells], seen, belief.grid.cell_nm, image, belief.settings.analyst
        )
        return [
            outcome(field, self.blocks[name], cells, noise_factor * noise.of(name), self.ages_s[name])
            for name, field in belief.fields.items()
        ]

    def _constants(self, cells: Cells, image: analyst.Image) -> list[Constant]:
        """What images of sets of cells would do to growth rate and beam coupling, by the end of the run."""
        kinetics, exposure_s = self.belief.kinetics, self.belief.exposure.seconds[cells]
        if not kinetics.asked:
            return []
        radius_nm = self.radius_nm[cells]
        found = analyst.found_share(radius_nm, image, self.belief.settings.analyst)
        seen = weight(found * self.count[cells], radius_nm, analyst.outline_nm(radius_nm, image))
        look = Looks(np.asarray(self.t_s), exposure_s, seen)
        then = Looks(self.last.t_s, exposure_s + self.added_s(image), self.last.weight[cells])
        after = kinetics.sds_after(cells, look, self.last, then)
        return [
            Constant(kinetics.targets[name], float(self.constant_sds[i]), after[:, i])
            for i, name in enumerate((RATE, COUPLING))
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
