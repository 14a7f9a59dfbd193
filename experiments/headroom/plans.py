"""Who decides where to look: staring, raster, uniform random, and one who knows the truth. All look in the same way.

A plan is told at each look which one it is and says what to look at, best first where it would as well look elsewhere.
All spend their electrons evenly over their looks, and their looks evenly over time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from agent.perception.belief import Belief, Rows, gain
from agent.perception.columns import CRYSTALS
from agent.perception.ensemble import Prior
from agent.perception.reader import Eyesight, kind_of
from envs.score import losses
from hardware_bridge.report import Estimate

Array = NDArray[np.float64]

TRIED_CELLS, TRIED_RANDOM = 8, 4
"""Cells that the clairvoyant thinks about: those where most is wrong, and some at random."""

QUAD = "HAADF"
"""A wide field of this mode shows two cells by two, of others one."""


class Settings(Struct, frozen=True):
    """What is tuned: how many looks, in which modes by turns, and whether at wide fields.

    ``tiles`` is how many fields lie along the extent's edge, for those who tile it. Where ``stay`` is not 0,
    after every so many looks as many go to one small place, and to another one the next time.
    """

    looks: int = 32
    modes: tuple[str, ...] = ("HAADF",)
    wide: bool = False
    tiles: int = 8
    stay: int = 0


@dataclass(frozen=True)
class Look:
    """Where to look, in parts of half the extent, in which mode, and whether at a wide field."""

    x: float
    y: float
    mode: str
    wide: bool


class Plan(Protocol):
    """Decides for one world; ``electrons`` is what the look may take."""

    def looks(self, number: int, clock_s: float, electrons: float) -> Sequence[Look]:
        """What to look at next, best first: the next one is taken where one is refused."""
        ...


class Staring:
    """One field near the middle, again and again."""

    def __init__(self, settings: Settings, seed: int) -> None:
        self._settings = settings

    def looks(self, number: int, clock_s: float, electrons: float) -> Sequence[Look]:
        """The same place."""
        mode = _mode(self._settings, number)
        middle = 0.0 if self._settings.wide and mode == QUAD else 1 / 8
        return [Look(middle, middle, mode, self._settings.wide)]


class Raster:
    """Tile after tile in a serpentine, and again; each mode has its turn at a tile before the next one's."""

    def __init__(self, settings: Settings, seed: int) -> None:
        self._settings = settings

    def looks(self, number: int, clock_s: float, electrons: float) -> Sequence[Look]:
        """The tile that is due: rounds that do not fit are spread over the whole extent."""
        tiles, modes = self._settings.tiles, len(self._settings.modes)
        places = max(1, self._settings.looks // modes)
        index = number // modes
        step = max(1.0, tiles**2 / places)
        row, column = divmod(int(index * step) % tiles**2, tiles)
        column = tiles - 1 - column if row % 2 else column
        x, y = (2 * (each + 0.5) / tiles - 1 for each in (column, row))
        mode = _mode(self._settings, number)
        if mode != QUAD and tiles < 8:
            # What shows one cell looks at one, rather than at the corners of four.
            x, y = x + 1 / 8, y + 1 / 8
        return [Look(x, y, mode, self._settings.wide)]


class Random:
    """Places drawn uniformly."""

    def __init__(self, settings: Settings, seed: int) -> None:
        self._settings, self._random = settings, np.random.default_rng([seed, 80])

    def looks(self, number: int, clock_s: float, electrons: float) -> Sequence[Look]:
        """A place drawn at random."""
        mode = _mode(self._settings, number)
        reach = 1 - (2 if self._settings.wide and mode == QUAD else 1) / 8
        x, y = self._random.uniform(-reach, reach, 2).tolist()
        return [Look(x, y, mode, self._settings.wide)]


def _mode(settings: Settings, number: int) -> str:
    return settings.modes[number % len(settings.modes)]


class Mixed:
    """Stays at small places, looking again and again in a mode that compares; in between it looks as a plan wants.

    A stay whose looks may take less than ``least_electrons`` each is left out: it would tell nothing.
    """

    def __init__(self, plan: Plan, settings: Settings, seed: int, mode: str, least_electrons: float) -> None:
        self._plan, self._stay, self._mode, self._least = plan, settings.stay, mode, least_electrons
        self._random = np.random.default_rng([seed, 82])
        self._places: dict[int, tuple[float, float]] = {}
        self._others = 0

    def looks(self, number: int, clock_s: float, electrons: float) -> Sequence[Look]:
        """The place of this stay, while it may take electrons; else what the plan wants."""
        stay, left = divmod(number, 2 * self._stay)
        if left == self._stay and electrons >= self._least:
            corner, size = self._cell(clock_s)
            x, y = (corner + size * self._random.random(2)).tolist()
            self._places[stay] = (x, y)
        if left < self._stay or stay not in self._places:
            self._others += 1
            return self._plan.looks(self._others - 1, clock_s, electrons)
        return [Look(*self._places[stay], self._mode, False)]

    def _cell(self, clock_s: float) -> tuple[Array, float]:
        """Within which square to stare: the cell that who knows the truth thinks best, or anywhere."""
        if isinstance(self._plan, Clairvoyant):
            return self._plan.cell_that_shows(self._mode, clock_s)
        return np.array([-1.0, -1.0]), 2.0


class Clairvoyant:
    """Knows the truth and what the report claims now: takes the look that is worth most to the score.

    It thinks that a look would read the truth with the error that such looks usually have, and looks one look ahead. It
    considers whole cells where most is wrong and some others, in all modes that tell something, images also of four
    cells, and what the best raster would look at now: ``settings`` are that one's. ``belief`` is what is believed now,
    and ``truth`` (values,) what is true, in the order of the prior.
    """

    def __init__(self, settings: Settings, seed: int, prior: Prior, sight: Eyesight, truth: Array) -> None:
        self._settings, self._prior, self._sight, self._truth = settings, prior, sight, truth
        self._random, self._raster = np.random.default_rng([seed, 81]), Raster(settings, seed)
        self.belief = Belief.of(prior)
        self._weight = np.zeros(prior.size)
        self._stared: list[int] = []
        self._units = [(slice(0, 0), "")] * 0
        block, cells = len(prior.times_s) * prior.card.cells**2, prior.card.cells**2
        for n, target in enumerate(prior.fields):
            asked = slice(n * block + cells, (n + 1) * block)
            self._weight[asked] = target.weight / target.crps_scale
            self._units.append((asked, target.unit))
        for n, target in enumerate(prior.globals, start=len(prior.fields) * block):
            self._weight[n] = target.weight / target.crps_scale
            self._units.append((slice(n, n + 1), target.unit))

    def looks(self, number: int, clock_s: float, electrons: float) -> Sequence[Look]:
        """All candidates, best first."""
        candidates = [
            *self._candidates(),
            *((each, self._shown(each)) for each in self._raster.looks(number, 0.0, 0.0)),
        ]
        now = self._loss(self.belief.mean, self.belief.var)
        one = Belief(self.belief.mean[None], self.belief.var[None], self.belief.factors[None])
        worth = []
        for look, cells in candidates:
            rows = self._rows(look, cells, clock_s, electrons)
            if rows is None:
                worth.append(0.0)
                continue
            factors, said = gain(self._prior.correlation, one, rows)
            mean, var = self.belief.mean + said[0] @ factors[0], self.belief.var - (factors[0] ** 2).sum(axis=0)
            worth.append(float((now - self._loss(mean, np.maximum(var, 1e-6))) @ self._weight))
        return [candidates[n][0] for n in np.argsort(worth, kind="stable")[::-1]]

    def cell_that_shows(self, mode: str, clock_s: float) -> tuple[Array, float]:
        """The cell, as corner and edge, at which comparing looks tells most if fields are what they are; each once."""
        cells, shows = self._prior.card.cells, self._sight.card.shows[mode]
        worth = np.zeros(cells**2)
        for n, target in enumerate(self._prior.fields):
            true = np.array([self._true(n, cell, clock_s) for cell in range(cells**2)])
            worth += shows[target.name] * (true - true.mean()) / max(float(true.std()), 1e-12)
        worth[self._stared] = -np.inf
        self._stared.append(int(worth.argmax()))
        row, column = divmod(self._stared[-1], cells)
        return 2 / cells * np.array([column, row]) - 1.0, 2 / cells

    def _candidates(self) -> Sequence[tuple[Look, list[int]]]:
        cells, wrong = self._prior.card.cells, self._wrong()
        modes = [m for m in self._sight.networks if any(self._sight.sees(m, t.name) for t in self._prior.fields)]
        tried = {
            *np.argsort(wrong)[-TRIED_CELLS:].tolist(),
            *self._random.integers(cells**2, size=TRIED_RANDOM).tolist(),
        }
        found = []
        for cell in sorted(tried):
            row, column = divmod(cell, cells)
            x, y = (2 * (each + 0.5) / cells - 1 for each in (column, row))
            found += [Look(x, y, mode, mode != QUAD) for mode in modes]
            # Pixels of wide fields do not resolve columns of atoms.
            if QUAD in modes and self._prior.card.world not in CRYSTALS:
                x, y = (2 * (min(each, cells - 2) + 1) / cells - 1 for each in (column, row))
                found.append(Look(x, y, QUAD, True))
        return [(look, self._shown(look)) for look in found]

    def _shown(self, look: Look) -> list[int]:
        """The cells of which a look shows at least a half, along either edge."""
        cells, half = self._prior.card.cells, 2 if look.wide and look.mode == QUAD else 1
        place = [(each + 1) / 2 * cells - half / 2 for each in (look.y, look.x)]
        rows, columns = (range(max(round(p), 0), min(round(p) + half, cells)) for p in place)
        return [row * cells + column for row in rows for column in columns]

    def _wrong(self) -> Array:
        """What each cell loses now."""
        prior, cells = self._prior, self._prior.card.cells**2
        lost = self._loss(self.belief.mean, self.belief.var) * self._weight
        fields = lost[: len(prior.fields) * len(prior.times_s) * cells]
        return np.asarray(fields.reshape(-1, cells).sum(axis=0))

    def _loss(self, mean: NDArray[np.float32], var: NDArray[np.float32]) -> Array:
        prior, size = self._prior, self._prior.size
        claimed = prior.mean[:size] + prior.sd[:size] * mean[:size]
        sd = prior.sd[:size] * np.sqrt(var[:size])
        found = np.zeros(size)
        for where, unit in self._units:
            found[where] = losses(unit, claimed[where], sd[where], self._truth[where])
        return found

    def _rows(self, look: Look, cells: Sequence[int], clock_s: float, electrons: float) -> Rows | None:
        prior, card = self._prior, self._sight.card
        typical, rows = card.typical[kind_of(look.mode, look.wide)], []
        for field, target in enumerate(prior.fields):
            if not self._sight.sees(look.mode, target.name):
                continue
            sd = card.tempered * float(
                np.interp(np.log(electrons / len(cells)), np.log(card.electrons), typical[target.name])
            )
            for cell in cells:
                value = self._true(field, cell, clock_s)
                rows.append(prior.row(field, cell, clock_s, Estimate(value=value, sd=sd)))
        if not rows:
            return None
        many = Rows.of(rows)
        return Rows(many.places[None], many.weights[None], many.var[None], many.value[None])

    def _true(self, field: int, cell: int, clock_s: float) -> float:
        places = [self._prior.place(field, n, cell) for n in range(len(self._prior.times_s))]
        return float(np.interp(clock_s, self._prior.times_s, self._truth[places]))


BASELINES: Mapping[str, type[Staring] | type[Raster] | type[Random]] = {
    "staring": Staring,
    "raster": Raster,
    "random": Random,
}
CLAIRVOYANT = "clairvoyant"
TOLD = "told all fields"
"""Does not look at all: its report is what follows from the true fields, at all asked times and in all cells."""

POLICIES = (*BASELINES, CLAIRVOYANT)
