"""Looks at a place that goes on being looked at: how much is left of what stood out, after what fell on it since.

Of patterns, ring by ring. A place that is looked at once says nothing of what the beam does to it; what a second look
has lost of the first one's spots does, whatever the place holds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent.perception.features import RINGS, Patch, rings
from hardware_bridge.report import Card

Array = NDArray[np.float64]

LEAST_DOSE, MOST_DOSE = 0.02, 0.5
"""Looks are compared where so much lies between them, in parts of a card's most fluence: beyond it little is left."""

OVERLAP, ALIKE = 0.5, 0.05
"""Two looks are at one place where their boxes share so much of both, and pixels differ in size by less."""

FIRST = 3
"""Looks of a stay that are remembered."""

STANDS_OUT, LEAST_SD = 5.0, 2.0
"""So many sd must what stands out in a first look be above nothing; what is left of it counts as at least so many."""

BLIND = 30.0
"""The error of a logarithm that was not measured."""


class Change(NamedTuple):
    """What two looks at one place tell: of each of K numbers the logarithm of its loss (K,), and its sd by counting.

    ``dose`` fell between them, in parts of the most that the card allows; ``waited`` is a part of the duration, and
    ``pixel_nm`` how wide the square is over which the electrons of a pattern were spread.
    """

    lost: Array
    sd: Array
    dose: float
    waited: float
    pixel_nm: float


class _Past(NamedTuple):
    patch: Patch
    fluence: float
    time_s: float


class Again:
    """Remembers the first patterns of a stay, and compares later ones with them. One for each run.

    Nobody who has left a place comes back to it as exactly as a comparison asks for: stages do not.
    """

    def __init__(self, card: Card) -> None:
        self._card = card
        self._past: list[_Past] = []

    def leave(self) -> None:
        """Say that the field is elsewhere from now on."""
        self._past.clear()

    def __call__(self, patch: Patch, fluence_e_per_A2: float, time_s: float) -> list[Change]:
        """Compare a patch, on whose place so much fell before, with those that are remembered of it."""
        if patch.data.ndim != 4:
            return []
        past = [each for each in self._past if _same_place(each.patch, patch)]
        if len(past) < FIRST:
            self._past.append(_Past(patch, fluence_e_per_A2, time_s))
        found = []
        for each in past:
            dose = (fluence_e_per_A2 - each.fluence) / self._card.max_fluence_e_per_A2
            if LEAST_DOSE <= dose <= MOST_DOSE:
                lost, sd = losses(patch, each.patch)
                waited = (time_s - each.time_s) / self._card.duration_s
                found.append(Change(lost, sd, dose, waited, patch.pixel_nm))
        return found


def _same_place(one: Patch, other: Patch) -> bool:
    a, b = one.box, other.box
    high, wide = min(a[1], b[1]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[2], b[2])
    both = max(high, 0) * max(wide, 0)
    whole = (a[1] - a[0]) * (a[3] - a[2]) + (b[1] - b[0]) * (b[3] - b[2]) - both
    alike = one.data.shape == other.data.shape and abs(one.pixel_nm / other.pixel_nm - 1) < ALIKE
    return alike and both >= OVERLAP * whole


def losses(now: Patch, then: Patch) -> tuple[Array, Array]:
    """Of what stood out in the rings of patterns ``then``: minus the logarithm of the share left ``now``, and its sd.

    The share is the slope of least squares of one pattern's deviations from its ring's mean on the other's, whose
    square is freed of what counting alone makes of it; sd by counting in both. (RINGS,) each; where too little stands
    out the loss is 0 and its sd is BLIND. To leave out rings of which nothing is left would favour what is lost slowly.
    """
    after, before = (each.data.reshape(-1, each.data.shape[-2] * each.data.shape[-1]) for each in (now, then))
    ring, count, _ = rings(now.data.shape[-1])

    def summed(values: Array) -> Array:
        return np.asarray(np.bincount(ring, values.sum(axis=0), RINGS + 1)[:RINGS], dtype=np.float64)

    y, x = after.astype(np.float64), before.astype(np.float64)
    pixels = count * len(x)
    dy, dx = (each - np.append(summed(each) / pixels, 0.0)[ring] for each in (y, x))
    power, chance = summed(dx**2) - summed(x), np.sqrt(2 * summed(x**2))
    there = power > STANDS_OUT * chance
    power = np.where(there, power, 1.0)
    share, times = summed(dx * dy) / power, then.electrons / now.electrons
    var = (summed(dx**2 * y) + share**2 * (summed(dx**2 * x) + chance**2)) / power**2
    error = np.sqrt(var)
    share = np.where(there, np.maximum(share, LEAST_SD * error), 1.0)
    return np.where(there, -np.log(times * share), 0.0), np.where(there, error / share, BLIND)
