"""Refocus: a pair of images off focus, worth what the images after it gain by being sharp."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from hardware_bridge.cost import predict
from hardware_bridge.geometry import Point
from hardware_bridge.messages import Command
from policies.bayes import analyst
from policies.bayes.kernel import Array
from policies.bayes.looks import typical_command
from policies.bayes.now import Now
from policies.book import Price
from policies.commands import View
from policies.interface import Proposal
from policies.refocusing import answers_to_focus


class Refocus:
    """Offers the second image of a pair where the last image was, and the first of a pair where most can be focused on.

    Of the first image half of what the pair gains is its own.
    """

    name = "refocus"

    def propose(self, belief: Now) -> Sequence[Proposal]:
        """Return images off focus with what they gain for the images that follow."""
        settings, view = belief.belief.settings.refocus, _view(belief)
        if not answers_to_focus(belief.belief.setup.capabilities, view.mode):
            return []
        typical = typical_command(belief, view)
        recent = belief.belief.recent
        tries = [(place, view, settings.offset_nm, 0.5) for place in _telling(belief, settings.places)]
        fresh = recent is not None and belief.situation.state.clock_s - recent.end_s < settings.recent_s
        if recent is not None and fresh and recent.blur_share < settings.most_blur_share:
            # On the other side of focus than the image there is; the pair is complete with it.
            offset_nm = -math.copysign(settings.offset_nm, recent.off_nm)
            tries.append((recent.point_nm, replace(view, fov_nm=recent.fov_nm), offset_nm, 1.0))
        if typical is None:
            return []
        gains = self._gains(belief, [place for place, *_ in tries], typical)
        proposals = []
        for (place, look, offset_nm, share), gain in zip(tries, gains, strict=True):
            worth = share * belief.belief.pairs.power * float(gain)
            priced = belief.priced(belief.command(place, look, offset_nm), settings.spend) if worth > 0.0 else None
            if priced is not None:
                proposals.append(self._proposal(belief, priced, worth, place, offset_nm))
        return proposals

    def _gains(self, now: Now, places: list[Point], typical: Command) -> Array:
        """What the images to come gain, (n,), if focus were measured at each of n places, in units of the score.

        Focus lasts: of all that they tell together, a better focus adds the share that it adds to one of them now.
        """
        belief, settings = now.belief, now.belief.settings.refocus
        # Before the first asked time there is little to see yet; focus is found for what will be there then.
        first_s = belief.setup.card.times_s[0]
        then = now if now.t_s >= first_s else Now(belief, now.situation, now.worth, first_s)
        cells = belief.grid.tiles(min(2, belief.grid.cells))
        clock_s = now.situation.state.clock_s
        known = [
            now.focus_var_nm2,
            *(belief.focus.after(p, belief.grid.places, clock_s, settings.pair_sd_nm) for p in places),
        ]
        image = analyst.together([then.image(typical, cells, var) for var in known])
        told = then.information(np.concatenate([cells] * len(known)), image).reshape(len(known), -1).mean(axis=1)
        time_s = predict(typical, now.situation.state, belief.setup.capabilities).time_s
        images = min(settings.horizon_images, now.situation.time_left_s / time_s)
        # However many images come, they cannot tell more than there is not known.
        share = min(images, belief.left / max(float(told[0]), 1e-12))
        return np.asarray(share * (told[1:] - told[0]))

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


def _telling(now: Now, n: int) -> list[Point]:
    """The centres of n fields, apart from each other, that hold most to focus on: features seen lately, by area."""
    grid = now.belief.grid
    squares, centres = grid.squares(min(2, grid.cells))
    area = np.zeros(len(grid.centres))
    for feature in now.belief.labels.features.values():
        cell = grid.cell_of((feature.x_nm, feature.y_nm))
        if cell is not None:
            area[cell] += feature.radius_nm**2
    places: list[Point] = []
    for i in np.argsort(-area[squares].sum(axis=1), kind="stable"):
        if area[squares[i]].sum() > 0.0 and all(math.dist(centres[i], p) > 2 * grid.cell_nm for p in places):
            places.append(centres[i])
        if len(places) == n:
            break
    return places
