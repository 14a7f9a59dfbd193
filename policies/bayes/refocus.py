"""Refocus: a pair of images off focus, worth what the images after it gain by being sharp."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from hardware_bridge.cost import predict
from hardware_bridge.geometry import Point
from hardware_bridge.messages import Command
from policies.bayes.kernel import Array
from policies.bayes.looks import Now, typical_command
from policies.book import Price
from policies.commands import View
from policies.interface import Proposal

# Where perfect focus would add less than this share to what images tell, none is offered.
LEAST_SHARE = 0.02


class Refocus:
    """Offers the second image of a pair where the last image was, and the first of a pair where focus is least known.

    Of the first image half of what the pair gains is its own.
    """

    name = "refocus"

    def propose(self, belief: Now) -> Sequence[Proposal]:
        """Return images off focus with what they gain for the images that follow."""
        # Before the first asked time there is little to see yet; focus is found for what will be there then.
        first_s = belief.belief.setup.card.times_s[0]
        later = belief if belief.t_s >= first_s else Now(belief.belief, belief.situation, belief.worth, first_s)
        typical = typical_command(belief, _view(belief), 1.0)
        if typical is None:
            return []
        blurred = self._information(later, typical, belief.focus_var_nm2)
        ideal = self._information(later, typical, np.zeros_like(belief.focus_var_nm2))
        if float(np.max(ideal - blurred)) < LEAST_SHARE * float(np.max(ideal)):
            return []
        settings = belief.belief.settings.refocus
        recent = belief.belief.recent
        tries = [(place, _view(belief), settings.offset_nm, 0.5) for place in _doubtful(belief, settings.places)]
        if recent is not None and belief.situation.state.clock_s - recent.end_s < settings.recent_s:
            view = replace(_view(belief), fov_nm=recent.fov_nm)
            # On the other side of focus than the image there is; the pair is complete with it.
            offset_nm = -math.copysign(settings.offset_nm, recent.off_nm)
            tries.append((recent.point_nm, view, offset_nm, 1.0))
        proposals = []
        for place, view, offset_nm, share in tries:
            priced = belief.priced(belief.command(place, view, offset_nm), settings.spend)
            gain = share * belief.belief.pairs.power * self._gain(later, place, typical, blurred)
            if priced is not None and gain > 0.0:
                proposals.append(self._proposal(belief, priced, gain, place, offset_nm))
        return proposals

    def _information(self, now: Now, typical: Command, focus_var_nm2: Array) -> Array:
        """What images all over the specimen tell, (c,), where focus is known so well."""
        cells, _ = now.belief.grid.squares(min(2, now.belief.grid.cells))
        return now.information(cells, now.belief.image(typical, focus_var_nm2))

    def _gain(self, now: Now, place: Point, typical: Command, blurred: Array) -> float:
        """What the next images together gain if focus were measured at a place, in units of the score."""
        belief, settings = now.belief, now.belief.settings.refocus
        clock_s = now.situation.state.clock_s
        after = belief.focus.after(place, belief.grid.places, clock_s, settings.pair_sd_nm)
        sharp = self._information(now, typical, after)
        time_s = predict(typical, now.situation.state, belief.setup.capabilities).time_s
        horizon = min(settings.horizon_images, now.situation.time_left_s / time_s)
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
