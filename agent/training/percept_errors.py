"""How perception errs, as a small model: fitted to what a reader made of looks whose truth is known.

``python -m agent.training.percept_errors WORLD ...`` looks at worlds that nothing else uses, in full fidelity, and
writes agent/training/percepts/WORLD.json with a table beside it, WORLD.md, of how well the model holds on worlds that
it was not fitted to. Looks at random, of all doses and foci, tell what errors follow from; whole runs of policies, with
hundreds of looks at a world, tell above all what errors of a world have in common. A percept-level environment draws
readings from the model in place of images.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from agent import assemble
from agent.config import PolicyChoice
from agent.episode import play
from agent.lessons import lessons, prior_of
from agent.perception.ensemble import Prior
from agent.perception.reader import WHOLE, Reader, kind_of, load_eyesight
from agent.training.errors import shared
from agent.training.misreading import (
    CONDITIONS,
    FITS,
    MOST_Z,
    Misreading,
    PerceptErrors,
    conditions,
    expected,
    units,
)
from agent.training.shipped import expected_C10_nm, shipped
from hardware_bridge.geometry import field_centre_nm
from hardware_bridge.report import Percept
from hardware_bridge.words import Count, Number, Word
from policies.chooser.memory import cells_shown

Array = NDArray[np.float64]
Say = Callable[[str], None]

SEEDS, RUN_SEEDS = range(14_000, 14_064), range(14_064, 14_072)
RUNS = (("greedy", 1.0), ("raster", 0.25))
"""Policies of which whole runs are taken in, and with which share of the electrons."""

TIMES = 25
"""So many times of a run are simulated; between them what is there is on a line."""

APART_SHARE = 0.25
"""Of the worlds: how many the model is not fitted to, but checked on."""

RIDGE, STEPS = 1e-2, 30
LEAST_READINGS = 30
"""Fewer readings of a kind tell nothing: that a look of it is made of, is missed."""


@dataclass(frozen=True)
class Readings:
    """Readings of one field in looks of one kind (n,): what was asked for, what came, and what was there.

    ``conditions`` are (n, 6). ``sd`` is what was said, in units of the prior's largest sd, and not a number where
    nothing was read; ``error`` is (reading - truth) / said sd.
    """

    seed: NDArray[np.int_]
    cell: NDArray[np.int_]
    conditions: Array
    sd: Array
    error: Array

    def __getitem__(self, rows: NDArray[np.bool_]) -> Readings:
        return Readings(self.seed[rows], self.cell[rows], self.conditions[rows], self.sd[rows], self.error[rows])


class Gathering:
    """Keeps, of every cell that looks show, what was read and what was there."""

    def __init__(self, prior: Prior) -> None:
        self._prior, self._sight = prior, load_eyesight(prior.card.world)
        self._units = units(prior)
        self._rows: dict[tuple[str, str], list[tuple[int, int, Array, float, float]]] = {}

    def add(self, seed: int, percept: Percept, off_nm: float, fluence: Array, truth: Mapping[str, Array]) -> None:
        """Take in what was read in a look at the world of a seed, where fields (cells^2,) were as in ``truth``.

        ``off_nm`` is how far its C10 was from where focus is expected; ``fluence`` (cells^2,) e/A^2 fell on cells
        before, and is raised by what fell now.
        """
        card = self._prior.card
        size = percept.width_nm, percept.height_nm
        shown = cells_shown((percept.x_nm, percept.y_nm), size, card.extent_nm, card.cells).tolist()
        if percept.mode is None or percept.mode not in self._sight.networks or not shown:
            return
        kind = kind_of(percept.mode, percept.width_nm > WHOLE * card.extent_nm / card.cells)
        electrons = percept.quality["incident_electrons"] / len(shown)
        time_s = (percept.start_s + percept.end_s) / 2
        for cell in shown:
            for n, target in enumerate(self._prior.fields):
                true = float(truth[target.name][cell])
                mean, sd = expected(self._prior, n, cell, time_s)
                told = percept.estimates.get(f"{target.name}:{cell // card.cells}:{cell % card.cells}")
                before = fluence[cell] / card.max_fluence_e_per_A2
                given = (electrons, off_nm, before, (true - mean) / sd, time_s / card.duration_s)
                how, said, error = conditions(*map(np.array, given)), math.nan, 0.0
                if told is not None:
                    said, error = told.sd / self._units[n], (told.value - true) / told.sd
                self._rows.setdefault((kind, target.name), []).append((seed, cell, how, said, error))
        fluence[shown] += electrons / (10.0 * min(percept.width_nm, card.extent_nm / card.cells)) ** 2

    def readings(self) -> dict[tuple[str, str], Readings]:
        """All readings by kind of look and field."""
        columns = {name: list(zip(*rows, strict=True)) for name, rows in self._rows.items()}
        return {name: Readings(*(np.array(column) for column in each)) for name, each in columns.items()}


def fitted(readings: Readings) -> Misreading:
    """The model of readings of one field in looks of one kind."""
    there = np.isfinite(readings.sd)
    how = readings.conditions
    if there.sum() < LEAST_READINGS:
        nothing = (0.0,) * len(CONDITIONS)
        missed = (9.0, *nothing[1:])
        return Misreading(
            said=nothing, said_sd=0.0, bias=nothing, spread=1.0, cell=0.0, world=0.0, missed=missed, readings=0
        )
    known = readings[there]
    log_sd = np.log(known.sd)
    said = _ridge(known.conditions, log_sd)
    error = np.clip(known.error, -MOST_Z, MOST_Z)
    bias = _ridge(known.conditions, error)
    left = error - known.conditions @ bias
    spread = float(left.std())
    cell, world = shared([(known.seed, known.cell, (left / max(spread, 1e-9))[:, None])], 0)
    return Misreading(
        said=tuple(said.tolist()),
        said_sd=float((log_sd - known.conditions @ said).std()),
        bias=tuple(bias.tolist()),
        spread=spread,
        cell=cell,
        world=world,
        missed=tuple(_logistic(how, ~there).tolist()),
        readings=int(there.sum()),
    )


def _ridge(inputs: Array, wanted: Array) -> Array:
    held = RIDGE * len(inputs) * np.diag([0.0, *[1.0] * (inputs.shape[1] - 1)])
    return np.asarray(np.linalg.lstsq(inputs.T @ inputs + held, inputs.T @ wanted, rcond=None)[0])


def _logistic(inputs: Array, happened: NDArray[np.bool_]) -> Array:
    """Coefficients of the logarithm of the odds, by iteratively reweighted least squares with a ridge."""
    found = np.zeros(inputs.shape[1])
    held = 0.1 * RIDGE * len(inputs) * np.diag([0.01, *[1.0] * (inputs.shape[1] - 1)])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(inputs @ found, -9, 9)))
        weight = np.maximum(chance * (1 - chance), 1e-4)
        slope = inputs.T @ (happened - chance) - held @ found
        found = found + np.linalg.solve((inputs * weight[:, None]).T @ inputs + held, slope)
    return found


class Held(Word, frozen=True, kw_only=True):
    """How well a model holds on worlds apart: what it expects beside what came."""

    readings: Count
    missed: tuple[Number, Number]
    log_said: tuple[Number, Number]
    rms_error: tuple[Number, Number]
    bias_explained: Number


def held(model: Misreading, apart: Readings) -> Held | None:
    """What the model expects of readings that it was not fitted to, beside what came; None where none came."""
    there = np.isfinite(apart.sd)
    if not there.any() or not model.readings:
        return None
    known = apart[there]
    error = np.clip(known.error, -MOST_Z, MOST_Z)
    bias = known.conditions @ np.array(model.bias)
    chance = 1 / (1 + np.exp(-np.clip(apart.conditions @ np.array(model.missed), -9, 9)))
    log_said = known.conditions @ np.array(model.said)
    return Held(
        readings=int(there.sum()),
        missed=(float(chance.mean()), float((~there).mean())),
        log_said=(float(log_said.mean()), float(np.log(known.sd).mean())),
        rms_error=(float(np.sqrt((bias**2).mean() + model.spread**2)), float(np.sqrt((error**2).mean()))),
        bias_explained=float(1 - ((error - bias) ** 2).sum() / max(float((error**2).sum()), 1e-12)),
    )


def fit(world: str, seeds: Sequence[int], run_seeds: Sequence[int], say: Say) -> tuple[PerceptErrors, str]:
    """The model of a world from looks at the worlds of seeds, and the table of how well it holds."""
    gathering = Gathering(prior_of(world))
    _look_around(world, seeds, gathering, say)
    _run(world, run_seeds, gathering, say)
    apart = {each for some in (seeds, run_seeds) for each in some[round((1 - APART_SHARE) * len(some)) :]}
    kinds: dict[str, dict[str, Misreading]] = {}
    lines = []
    for (kind, field), all_of in sorted(gathering.readings().items()):
        checked = np.isin(all_of.seed, sorted(apart))
        model = fitted(all_of[~checked])
        kinds.setdefault(kind, {})[field] = model
        lines.append(_line(kind, field, model, held(model, all_of[checked])))
    return PerceptErrors(world=world, seeds=(min(seeds), max(run_seeds)), kinds=kinds), _table(world, lines)


def _look_around(world: str, seeds: Sequence[int], gathering: Gathering, say: Say) -> None:
    """Take in looks at random, of all doses and foci."""
    taught, config = lessons(world), shipped(world)
    readers: dict[int, tuple[Reader, Array]] = {}
    for seed, observation, truth in taught.examples(seeds):
        if seed not in readers:
            reader = Reader(taught.capabilities, taught.card, load_eyesight(world))
            readers[seed] = reader, np.zeros(taught.card.cells**2)
            say(f"{world}: looking at world {len(readers)} of {len(seeds)}")
        reader, fluence = readers[seed]
        best_nm = expected_C10_nm(config, field_centre_nm(observation.state.go, taught.capabilities))
        off_nm = (observation.state.optics.C10_nm or 0.0) - best_nm
        gathering.add(seed, reader(observation), off_nm, fluence, truth)


def _run(world: str, seeds: Sequence[int], gathering: Gathering, say: Say) -> None:
    """Take in whole runs of policies, which stay at the focus that is expected."""
    taught, config = lessons(world), shipped(world)
    times = tuple(np.linspace(0.0, taught.card.duration_s, TIMES).tolist())
    names = [target.name for target in taught.card.targets if target.kind == "field"]
    for seed in seeds:
        there = {name: taught.trajectories([seed], times)[name].reshape(TIMES, -1) for name in names}
        for policy, share in RUNS:
            settings = {**config.settings_of(policy), **({"refocus_every": 0} if policy == "raster" else {})}
            seen: list[Percept] = []
            play(replace(config, policy=PolicyChoice(name=policy, settings=settings)), seed, share, seen.append)
            say(f"{world}: {policy} on seed {seed}, {len(seen)} looks")
            fluence = np.zeros(taught.card.cells**2)
            for percept in seen:
                at = (percept.start_s + percept.end_s) / 2
                gathering.add(seed, percept, 0.0, fluence, {name: _at(at, times, there[name]) for name in names})


def _at(time_s: float, times_s: Sequence[float], values: Array) -> Array:
    """Values (T, N) at a time between those that are known, on the line between them."""
    after = int(np.clip(np.searchsorted(times_s, time_s), 1, len(times_s) - 1))
    share = (time_s - times_s[after - 1]) / (times_s[after] - times_s[after - 1])
    return np.asarray(values[after - 1] + share * (values[after] - values[after - 1]))


def _line(kind: str, field: str, model: Misreading, how: Held | None) -> str:
    if how is None:
        return f"| {kind} | {field} | {model.readings} | 0 | | | | | {model.cell:.2f} / {model.world:.2f} |"
    pairs = (
        "{:.2f} / {:.2f}".format(*how.missed),
        "{:.2f} / {:.2f}".format(*(math.exp(each) for each in how.log_said)),
        "{:.2f} / {:.2f}".format(*how.rms_error),
    )
    shares = f"{how.bias_explained:.2f} | {model.cell:.2f} / {model.world:.2f}"
    return f"| {kind} | {field} | {model.readings} | {how.readings} | {' | '.join(pairs)} | {shares} |"


def _table(world: str, lines: Iterable[str]) -> str:
    return "\n".join(
        [
            f"# How well the model of the reader's errors holds: {world}",
            "",
            "On looks at worlds that it was not fitted to, what the model expects / what came: share of cells of which",
            "nothing was read, geometric mean of the standard deviation that readings said (in units of the prior's",
            "largest), rms of (reading - truth) / said sd. Then the share of squared errors that their bias explains,",
            "and which shares of the rest readings of a cell / of a world have in common, as fitted.",
            "",
            "| look | field | fitted to | checked on | missed | said sd | rms error | bias | common |",
            "|---|---|---|---|---|---|---|---|---|",
            *lines,
            "",
        ]
    )


def main(arguments: Sequence[str]) -> None:
    """Fit how the readers of worlds err."""
    known = assemble.worlds()
    if not arguments or not set(arguments) <= set(known):
        raise SystemExit(f"usage: python -m agent.training.percept_errors WORLD ..., each one of {', '.join(known)}")
    FITS.mkdir(exist_ok=True)
    for world in arguments:
        errors, table = fit(world, SEEDS, RUN_SEEDS, lambda line: print(line, flush=True))
        encoded = msgspec.json.format(msgspec.json.encode(errors), indent=1)
        (FITS / f"{world}.json").write_bytes(encoded + b"\n")
        (FITS / f"{world}.md").write_text(table)


if __name__ == "__main__":
    main(sys.argv[1:])
