"""Looks at worlds with their truth beside them, for who learns to see: training worlds, looked at without a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digital_twin.worlds import world_type
from envs.coding import MODES, Coding, widened
from hardware_bridge.errors import Malformed, Rejected
from hardware_bridge.messages import Command, Mode
from hardware_bridge.microscope import Microscope
from hardware_bridge.observation import Observation
from hardware_bridge.report import Card

Array = NDArray[np.float64]

TOGETHER = 16
"""Worlds that are looked at at the same time."""

LOOK_SHARE = 0.3
"""Share of the beats at which a world is looked at; at the others the beam is off."""

WIDE_SHARES = (0.3, 0.6, 0.4)
"""Of the looks in each mode: how many have a wide field."""

AGAIN_SHARE, CENTRED_SHARE, FOCUSED_SHARE = 0.4, 0.5, 0.5
"""Of the looks: at an earlier place, at the middle of a cell, and near focus."""

DEFOCUS_SD = 0.3

STAY_SHARE = 0.85
"""Of the looks of who stares: how many are at the place of the one before."""

SILENCE_S = 10.0


@dataclass(frozen=True)
class Habits:
    """How somebody looks around: shares of looks in each of MODES, the sd of C10 near focus, its range being 1.

    ``decades`` are those of the beam current around that with which LOOKS images spend the budget.
    """

    mode_shares: tuple[float, ...] = (0.45, 0.3, 0.25)
    focus_sd: float = 0.03
    decades: tuple[float, float] = (-1.0, 1.0)


HABITS = Habits()
CLOSE = Habits(mode_shares=(1.0, 0.0, 0.0), focus_sd=0.005, decades=(0.0, 1.0))
"""Of who looks at single columns of atoms: images alone, well within the depth of focus, with many electrons."""


@dataclass(frozen=True)
class Example:
    """One look at the world of a seed, and what was there then, had the beam never been on.

    ``truth`` holds fields (cells^2,) and globals (1,).
    """

    seed: int
    observation: Observation
    truth: dict[str, Array]


MakeMicroscopes = Callable[[Sequence[int]], Sequence[Microscope]]


def examples(
    card: Card,
    make_microscopes: MakeMicroscopes,
    seeds: Sequence[int],
    stared: Mode | None = None,
    habits: Habits = HABITS,
) -> Iterator[Example]:
    """Look at the worlds of many seeds, at random places, times, foci and currents; looks of one seed rise in time.

    Where ``stared`` names a mode, looks in that mode go on at small fields until these may take no more electrons.
    """
    for first in range(0, len(seeds), TOGETHER):
        some = seeds[first : first + TOGETHER]
        gazes = [
            _Gaze(card, microscope, seed, habits) if stared is None else _Stare(card, microscope, seed, stared)
            for microscope, seed in zip(make_microscopes(some), some, strict=True)
        ]
        yield from _episodes(card, gazes, some)


def _episodes(card: Card, gazes: Sequence[_Gaze], seeds: Sequence[int]) -> Iterator[Example]:
    kind = world_type(card.world)
    unseen = kind(*seeds)
    unseen.set_holder(kind.facts.holder)
    constants = {name: values.cpu().numpy()[:, None] for name, values in unseen.globals().items()}
    while gazes[0].microscope.state().clock_s < card.duration_s:
        for gaze in gazes:
            gaze.begin()
        seen = [gaze.microscope.gather(SILENCE_S) for gaze in gazes]
        unseen.advance_to(max((each.start_s + each.end_s) / 2 for each in seen))
        there = {name: values.cpu().numpy() for name, values in unseen.fields().items()} | constants
        for n, (seed, each) in enumerate(zip(seeds, seen, strict=True)):
            if each.data is not None:
                yield Example(seed, each, {name: values[n] for name, values in there.items()})


class _Gaze:
    """Somebody who looks around at one instrument, at random but the same for the same seed."""

    def __init__(self, card: Card, microscope: Microscope, seed: int, habits: Habits = HABITS) -> None:
        self.microscope = microscope
        self._card, self._habits = card, habits
        self._coding = Coding.of(card, microscope.describe())
        self._random = np.random.default_rng([seed, 70])
        self._places: list[NDArray[np.floating]] = []
        self._turn = 0
        self._exhausted = False

    def begin(self) -> None:
        """Give a command: a look, or where it is refused or none is due, nothing."""
        self._turn += 1
        name = f"look-{self._turn}"
        if self._random.random() < LOOK_SHARE:
            try:
                self.microscope.submit(self._look(name))
                return
            except (Malformed, Rejected):
                self._exhausted = True
        self.microscope.submit(Command(id=f"wait-{self._turn}"))

    def _look(self, name: str) -> Command:
        random = self._random
        mode = int(random.choice(len(MODES), p=self._habits.mode_shares))
        focus = random.normal(0.0, self._habits.focus_sd if random.random() < FOCUSED_SHARE else DEFOCUS_SD)
        move = np.array([*self._place(), np.clip(focus, -1, 1), random.uniform(*self._habits.decades)])
        command = self._coding.command(name, move, mode)
        return widened(command) if random.random() < WIDE_SHARES[mode] else command

    def _place(self) -> NDArray[np.floating]:
        """A place in -1..1: one of before, a cell's middle, or anywhere."""
        random, cells = self._random, self._card.cells
        if self._places and random.random() < AGAIN_SHARE:
            return self._places[int(random.integers(len(self._places)))]
        place = random.uniform(-1.0, 1.0, 2)
        if random.random() < CENTRED_SHARE:
            place = (np.floor((place + 1) / 2 * cells) + 0.5) / cells * 2 - 1
        self._places.append(place)
        return np.asarray(place)


class _Stare(_Gaze):
    """Somebody who looks at small places, each again and again."""

    def __init__(self, card: Card, microscope: Microscope, seed: int, mode: Mode) -> None:
        super().__init__(card, microscope, seed)
        self._mode = MODES.index(mode)
        self._at = self._random.uniform(-1.0, 1.0, 2)

    def _look(self, name: str) -> Command:
        random = self._random
        if self._exhausted or random.random() > STAY_SHARE:
            self._at, self._exhausted = random.uniform(-1.0, 1.0, 2), False
        move = np.array([*self._at, np.clip(random.normal(0.0, HABITS.focus_sd), -1, 1), random.uniform(0, 1)])
        return self._coding.command(name, move, self._mode)
