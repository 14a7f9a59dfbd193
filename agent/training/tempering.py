"""Finds by how much reports must widen the errors of a reader: ``python -m agent.training.tempering WORLD ...``.

The errors of readings were learned one look at a time. A run takes hundreds, errors of one run are alike in ways that
nobody wrote down, and worlds are not Gaussian: a report that takes every reading for what it says of itself is too
sure, and the surer the more was looked at. So whole runs are made on worlds that the reader has not seen, with the
configuration that the world is shipped with and a raster. What is best for all looks and for every fourth alike is
written into agent/perception/weights/WORLD.json.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from statistics import mean

from msgspec import structs

from agent import assemble
from agent.config import PolicyChoice, load
from agent.episode import play
from agent.lessons import Lessons, lessons, prior_of
from agent.perception.ensemble import Prior
from agent.perception.reader import Conditioned, Eyesight, load_eyesight, save_eyesight
from hardware_bridge.report import Percept

TEMPER_SEEDS = range(20_000, 20_006)
FACTORS = (1.0, 1.4, 2.0, 2.8, 4.0, 5.6)
EVERY = (1, 4)
"""All looks of a run, and every so manieth, as of one with fewer electrons."""

Runs = Sequence[tuple[int, Sequence[Percept]]]
Say = Callable[[str], None]


def temper(world: str, say: Say) -> None:
    """Find the factor of a reader that was saved, and save it."""
    sight = load_eyesight(world)
    if any(sight.sees(mode, field) for mode in sight.networks for field in sight.card.fields):
        save_eyesight(tempered(lessons(world), sight, list(_runs(world, say)), say))
        prior_of.cache_clear()


def tempered(taught: Lessons, sight: Eyesight, runs: Runs, say: Say) -> Eyesight:
    """The same eyesight with that factor on all its errors with which reports score best.

    ``runs`` are percepts of whole runs by seed, with the errors that the eyesight gives them now.
    """
    prior, scores = Prior.of(taught.card, taught.ensemble, sight.kept), dict[float, float]()
    for times in FACTORS:
        scores[times] = mean(
            _score(taught, prior, seed, [_wider(p, times / sight.card.tempered) for p in seen[::every]])
            for seed, seen in runs
            for every in EVERY
        )
        say(f"{taught.card.world}: errors x {times:g}: S = {scores[times]:+.3f}")
    return replace(sight, card=structs.replace(sight.card, tempered=max(scores, key=lambda each: scores[each])))


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


def _score(taught: Lessons, prior: Prior, seed: int, seen: Sequence[Percept]) -> float:
    reporter = Conditioned(prior)
    reporter.add(*seen)
    return taught.score(reporter.report(), seed)


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
