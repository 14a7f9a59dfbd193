"""Images that could be taken next, with what each would tell: the shared ground of all proposers of images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardware_bridge.geometry import Point, field_centre_nm, merged
from hardware_bridge.messages import Command
from policies.bayes import analyst
from policies.bayes.chooser import share_of_rest
from policies.bayes.harm import harm
from policies.bayes.now import Cells, Now
from policies.book import Price
from policies.commands import View
from policies.interface import Foreseen, Proposal

ALMOST = 0.99
# The noise of an image is taken to be known within this factor.
NOISE_FACTOR = 2.0


@dataclass(frozen=True)
class Candidate:
    """An image of k x k whole cells that safety lets pass, with its price and what it would tell."""

    command: Command
    price: Price
    cells: Cells
    information: float
    information_sd: float

    def proposal(self, proposer: str, reason: str) -> Proposal:
        """The candidate in the words of a proposal."""
        return Proposal(
            command=self.command,
            information=self.information,
            information_sd=self.information_sd,
            electrons=self.price.electrons,
            time_s=self.price.time_s,
            reason=reason,
            proposer=proposer,
        )


@dataclass(frozen=True)
class _Shot:
    """An image at one rate of spending after a move of middling length, which stands for those of all places."""

    spend: float
    command: Command
    price: Price


def candidates(now: Now, k: int, allowed: NDArray[np.bool_]) -> list[Candidate]:
    """The best images of k x k cells, each at the rate of spending that pays best there.

    ``allowed`` (N,) says which cells may be looked at. All squares are weighed at the even rate; the best of them,
    apart from each other, at every rate. What counts is information less harm.
    """
    grid, imaging = now.belief.grid, now.belief.settings.imaging
    if k > grid.cells:
        return []
    view = View(fov_nm=k * grid.cell_nm, pixels=imaging.pixels, dwell_s=imaging.dwell_s)
    even = _shot(now, view, 1.0)
    if even is None:
        return []
    cells, centres = grid.squares(k)
    image = now.image(even.command, cells)
    net = now.information(cells, image) - harm(now, cells, now.added_s(image))
    net = np.where(allowed[cells].all(axis=1), net, 0.0)
    best: list[int] = []
    for i in np.argsort(-net, kind="stable"):
        if len(best) == imaging.offered or net[i] <= 0.0:
            break
        if not any(overlap(centres[i], centres[j], view.fov_nm) for j in best):
            best.append(int(i))
    if not best:
        return []
    shots = [shot for spend in imaging.spends if (shot := _shot(now, view, spend)) is not None]
    return _at_best_rate(now, cells[best], [centres[i] for i in best], shots)


def foreseen_of(now: Now, command: Command) -> Foreseen | None:
    """What an image command tells of the square of cells that it covers best, less harm; None for anything else."""
    grid, acquire = now.belief.grid, command.acquire
    if acquire is None or acquire.blanked or acquire.mode != "HAADF" or acquire.pixels_x != acquire.pixels_y:
        return None
    k = min(max(1, round(acquire.fov_nm / grid.cell_nm)), grid.cells)
    squares, centres = grid.squares(k)
    setup, offset_nm = now.belief.setup, now.belief.pointing.offset_nm
    x, y = field_centre_nm(merged(now.situation.state.go, command.go), setup.capabilities)
    at = (x + offset_nm[0], y + offset_nm[1])
    place = min(range(len(centres)), key=lambda place: math.dist(centres[place], at))
    cells = squares[place : place + 1]
    image = now.image(command, cells)
    told, worse = now.information(cells, image), now.information(cells, image, NOISE_FACTOR)
    net = told - harm(now, cells, now.added_s(image))
    # A field smaller than its cell shows as much of it.
    share = min(1.0, acquire.fov_nm / (k * grid.cell_nm)) ** 2
    return share * float(net[0]), share * abs(float(told[0] - worse[0]))


def _at_best_rate(now: Now, cells: Cells, centres: list[Point], shots: list[_Shot]) -> list[Candidate]:
    """For each square the rate of spending with most information per share of what is left."""
    images = [now.image(shot.command, cells) for shot in shots]
    every = np.concatenate([cells] * len(shots))
    image = analyst.together(images)
    information = now.information(every, image)
    sds = np.abs(information - now.information(every, image, NOISE_FACTOR)).reshape(len(shots), -1)
    net = (information - harm(now, every, now.added_s(image))).reshape(len(shots), -1)
    situation, weight = now.situation, now.belief.settings.electron_weight
    shares = [share_of_rest(shot.price.time_s, shot.price.electrons, situation, weight) for shot in shots]
    choice = np.argmax(net / np.array(shares)[:, None], axis=0)
    found = []
    for i, centre in enumerate(centres):
        shot = shots[choice[i]]
        assert shot.command.acquire is not None
        view = View(
            fov_nm=shot.command.acquire.fov_nm,
            pixels=shot.command.acquire.pixels_x,
            dwell_s=shot.command.acquire.dwell_s,
        )
        priced = now.priced(now.command(centre, view), shot.spend)
        if priced is not None and net[choice[i], i] > 0.0:
            found.append(Candidate(*priced, cells[i], float(net[choice[i], i]), float(sds[choice[i], i])))
    return found


def _shot(now: Now, view: View, spend: float) -> _Shot | None:
    """A typical image at a rate of spending, or at the lower one at which no particle jumps between two looks.

    The lowest current that is allowed may still make them jump; that is better than not looking.
    """
    for point in ((0.0, 0.0), (view.fov_nm, view.fov_nm), (-view.fov_nm, -view.fov_nm)):
        command = now.command(point, view)
        priced = now.priced(command, spend)
        if priced is None:
            continue
        added_s = float(np.max(now.added_s(now.image(priced[0], np.zeros((1, 1), dtype=np.intp)))))
        most_s = now.belief.settings.beam.most_step_s
        if added_s > most_s:
            spend *= ALMOST * most_s / added_s
            priced = now.priced(command, spend)
        return None if priced is None else _Shot(spend, *priced)
    return None


def typical_command(now: Now, view: View) -> Command | None:
    """An image with this view at the even current; None where none can be had."""
    shot = _shot(now, view, 1.0)
    return None if shot is None else shot.command


def overlap(a: Point, b: Point, fov_nm: float) -> bool:
    """Whether two fields of one width share more than half of their width in both directions."""
    return abs(a[0] - b[0]) < fov_nm / 2 and abs(a[1] - b[1]) < fov_nm / 2
