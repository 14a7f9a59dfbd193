"""Refocus: a pair of images off focus, worth what the images after it gain by being sharp."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hardware_bridge.geometry import Point
from hardware_bridge.messages import Command
from policies.bayes.looks import Now, typical_command
from policies.book import Price
from policies.commands import View
from policies.interface import Proposal


class Refocus:
    """Offers the first image of a pair, or the second where a pair was begun."""

    name = "refocus"

    def propose(self, belief: Now) -> Sequence[Proposal]:
        """Return images off focus with what they gain for the images that follow."""
        settings = belief.belief.settings.refocus
        view = _view(belief)
        typical = typical_command(belief, view, 1.0)
        if typical is None:
            return []
        begun = belief.belief.half_pair
        if begun is not None:
            offset_nm = -math.copysign(settings.offset_nm, begun.offset_nm)
            places = [begun.point_nm]
        else:
            offset_nm = settings.offset_nm
            places = _doubtful(belief, settings.places)
        proposals = []
        for place in places:
            priced = belief.priced(belief.command(place, view, offset_nm), 1.0)
            gain = self._gain(belief, place, typical)
            if priced is not None and gain > 0.0:
                # The first image is worth half of what both together cost.
                worth = gain if begun is not None else gain / 2
                proposals.append(self._proposal(belief, priced, worth, place, offset_nm))
        return proposals

    def _gain(self, now: Now, place: Point, typical: Command) -> float:
        """What the next images together gain if focus were measured at a place, in units of the score."""
        belief = now.belief
        cells, _ = belief.grid.squares(min(2, belief.grid.cells))
        clock_s = now.situation.state.clock_s
        after = belief.focus.after(place, belief.grid.places, clock_s, belief.settings.refocus.pair_sd_nm)
        blurred = now.information(cells, belief.image(typical, now.focus_var_nm2))
        sharp = now.information(cells, belief.image(typical, after))
        price = now.belief.book.price(typical, now.situation)
        images = 1.0 / now.share_of_rest(price) * 2.0 if price is not None else 0.0
        horizon = min(belief.settings.refocus.horizon_images, images)
        # The images that follow go where most is to be learned.
        best = np.argsort(-sharp, kind="stable")[: max(1, round(horizon))]
        return float(np.sum((sharp - blurred)[best]))

    def _proposal(
        self, now: Now, priced: tuple[Command, Price], worth: float, place: Point, offset_nm: float
    ) -> Proposal:
        command, price = priced
        _, sd_nm = now.belief.focus.best(place, now.situation.state.clock_s)
        return Proposal(
            command=command,
            information=worth,
            information_sd=worth / 2,
            electrons=price.electrons,
            time_s=price.time_s,
            reason=f"Refocus, {offset_nm:+.0f} nm off: the C10 in focus is known to {sd_nm:.0f} nm only",
            proposer=self.name,
        )


def _view(now: Now) -> View:
    imaging = now.belief.settings.imaging
    k = min(2, now.belief.grid.cells)
    return View(fov_nm=k * now.belief.grid.cell_nm, pixels=imaging.pixels, dwell_s=imaging.dwell_s)


def _doubtful(now: Now, n: int) -> list[Point]:
    """The n cells where focus is known least, apart from each other."""
    order = np.argsort(-now.focus_var_nm2, kind="stable")
    places: list[Point] = []
    for i in order:
        place = now.belief.grid.places[int(i)]
        if all(math.dist(place, other) > 2 * now.belief.grid.cell_nm for other in places):
            places.append(place)
        if len(places) == n:
            break
    return places
