"""Finds by how much reports must widen the errors of a reader: ``python -m agent.training.tempering WORLD ...``.

The errors of readings were learned one look at a time. A run takes hundreds, errors of one run are alike in ways that
nobody wrote down, and worlds are not Gaussian: a report that takes every reading for what it says of itself is too
sure, and the surer the more was looked at. So whole runs are made on worlds that the reader has not seen, with the
configuration that the world is shipped with and a raster. What is best for all looks and for every fourth alike is
written into agent/perception/weights/WORLD.json, as is whether errors are told to have something in common.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from statistics import mean

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from agent import assemble
from agent.config import PolicyChoice, load
from agent.episode import play
from agent.lessons import Lessons, lessons, prior_of
from agent.perception.ensemble import Kept, Prior
from agent.perception.reader import Conditioned, Eyesight, load_eyesight, save_eyesight
from hardware_bridge.report import Percept

TEMPER_SEEDS = range(20_000, 20_006)
FACTORS = (1.0, 1.4, 2.0, 2.8, 4.0, 5.6)
EVERY = (1, 4)
"""All looks of a run, and one in so many, as of a run with fewer electrons."""

Runs = Sequence[tuple[int, Sequence[Percept]]]
Shares = dict[str, tuple[float, float]]
Say = Callable[[str], None]
Array = NDArray[np.float64]


def temper(world: str, say: Say) -> None:
    """Find the factor of a reader that was saved, and save it."""
    sight = load_eyesight(world)
    if any(sight.sees(mode, field) for mode in sight.networks for field in sight.card.fields):
        save_eyesight(tempered(lessons(world), sight, list(_runs(world, say)), say))
        prior_of.cache_clear()


def tempered(taught: Lessons, sight: Eyesight, runs: Runs, say: Say) -> Eyesight:
    """The same eyesight with that factor on all its errors with which reports score best.

    Errors of fields count as new at each reading, unless reports score better by a standard error, run by run, where
    they have in common what the eyesight says. ``runs`` are percepts of whole runs by seed, with the errors that the
    eyesight gives them now.
    """
    compared = {name: shares for name, shares in sight.card.kept.items() if name in sight.card.compared}
    new, common = (_best(taught, sight, kept, runs, say) for kept in (compared, sight.card.kept))
    gained = common[1] - new[1]
    together = gained.mean() > gained.std(ddof=1) / math.sqrt(len(gained))
    taken = "taken" if together else "not taken"
    say(f"{taught.card.world}: errors in common gain {gained.mean():+.3f}, and are {taken}")
    times, kept = (common[0], sight.card.kept) if together else (new[0], compared)
    return replace(sight, card=structs.replace(sight.card, tempered=times, kept=kept))


def _best(
    taught: Lessons, sight: Eyesight, kept: dict[str, tuple[float, float]], runs: Runs, say: Say
) -> tuple[float, Array]:
    """The best factor with these shares in common, and the scores with it (runs,)."""
    prior = Prior.of(taught.card, taught.ensemble, {name: Kept(*shares) for name, shares in kept.items()})
    scores: dict[float, Array] = {}
    for times in FACTORS:
        scores[times] = np.array([_scored(taught, prior, run, times / sight.card.tempered) for run in runs])
        say(f"{taught.card.world}: errors x {times:g}, {len(kept)} in common: S = {scores[times].mean():+.3f}")
    best = max(scores, key=lambda each: float(scores[each].mean()))
    return best, scores[best]


def _runs(world: str, say: Say) -> Iterator[tuple[int, list[Percept]]]:
    path = assemble.DEFAULT_CONFIG.with_name("worlds") / f"{world}.toml"
    shipped = path if path.is_file() else assemble.DEFAULT_CONFIG
    config = load(shipped, ("instrument.kind=twin", "perception.name=reader"), assemble.CHOICES)
    raster = config.policy if config.policy.name == "raster" else PolicyChoice(name="raster", settings={})
    for seed in TEMPER_SEEDS:
        seen: list[Percept] = []
        ended = play(structs.replace(config, policy=raster), seed, 1.0, seen.append)
        say(f"{world}: raster on seed {seed}, {ended.turns} turns")
        yield seed, seen


def _scored(taught: Lessons, prior: Prior, run: tuple[int, Sequence[Percept]], times: float) -> float:
    """The mean score of reports on all looks of a run and on parts of them, with wider errors."""
    seed, seen = run
    found = []
    for every in EVERY:
        reporter = Conditioned(prior)
        reporter.add(*(_wider(percept, times) for percept in seen[::every]))
        found.append(taught.score(reporter.report(), seed))
    return mean(found)


def _wider(percept: Percept, times: float) -> Percept:
    wider = {name: structs.replace(each, sd=times * each.sd) for name, each in percept.estimates.items()}
    return structs.replace(percept, estimates=wider)


def main(arguments: Sequence[str]) -> None:
    """Temper the readers of worlds."""
    known = assemble.worlds()
    if not arguments or not set(arguments) <= set(known):
        raise SystemExit(f"usage: python -m agent.training.tempering WORLD ..., each one of {', '.join(known)}")
    for world in arguments:
        temper(world, lambda line: print(line, flush=True))


if __name__ == "__main__":
    main(sys.argv[1:])
