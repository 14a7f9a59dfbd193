"""The steps of the study: as many trials for every policy on tuning seeds, then paired seeds that nothing was tuned on.

What is known is not played again, so that an interrupted study goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from statistics import mean

import numpy as np
from msgspec.structs import replace

import agent
from agent import assemble
from agent.config import Config, PolicyChoice, Setting, load
from agent.episode import Episode, play
from agent.evaluate import evaluate, read_episodes
from agent.lessons import outlook_of
from agent.lines import append_line, read_lines
from envs.prior import load_card
from hardware_bridge.words import Word
from policies.outlook import Way

WORLDS = ("interface", "valence", "transformation", "beam_sensitive", "defects")
"""Growth has its own perception and a study of its own, experiments/in_situ_growth."""

TUNING_SEEDS, TEST_SEEDS = range(3), range(1000, 1030)
SHARES = (1.0, 0.25)
TRIALS = 6
GREEDY, CLAIRVOYANT = "greedy", "clairvoyant"
BASELINES = ("staring", "raster", "random")
TUNED = (*BASELINES, GREEDY)
POLICIES = (*TUNED, CLAIRVOYANT)

ABLATIONS: Mapping[str, Mapping[str, Setting]] = {
    "greedy, electrons free": {"electron_weight": 0.0},
    "greedy, one spend": {"spends": (1.0,)},
}
"""What greedy is without one of its parts, at the whole budget: its price of electrons; its choice of how many."""

Settings = dict[str, Setting]


class Trial(Word, frozen=True, kw_only=True):
    """One episode of the search, at the whole budget."""

    world: str
    policy: str
    settings: Settings
    seed: int
    score: float


def config_of(world: str) -> Config:
    """The configuration that a world is shipped with."""
    return load(Path(agent.__file__).parent / "worlds" / f"{world}.toml")


def tried(world: str, policy: str) -> list[Settings]:
    """Different settings to try for a policy, ``TRIALS`` or as many as there are; the same for every call.

    Those that the world is shipped with come first.
    """
    shipped = config_of(world).policy
    first = [dict(shipped.settings)] if policy == shipped.name else []
    every = [settings for settings in _space(world, policy) if settings not in first]
    number = min(TRIALS - len(first), len(every))
    drawn = np.random.default_rng(0).choice(len(every), number, replace=False)
    return [*first, *(every[int(n)] for n in sorted(drawn))]


def _space(world: str, policy: str) -> Iterator[Settings]:
    focus: Settings = {n: v for n, v in config_of(world).policy.settings.items() if n.startswith("focus.")}
    if policy == GREEDY:
        for weight, priced in product((0.1, 0.3, 1.0, 3.0), (3, 8)):
            yield {**focus, "electron_weight": weight, "priced": priced}
        return
    card = load_card(world)
    for way, longer in product(outlook_of(world).ways, (1, 4)):
        common = {**focus, **_view(way, longer), "refocus_every": 0}
        if policy == "raster":
            for tiles, repeats in product((4, 8), (1, 2)):
                yield {**common, "tiles": tiles, "repeats": repeats}
        elif policy == "staring":
            # In the middle of a cell, not on the corner of four.
            place_nm = card.extent_nm / card.cells / 2
            yield {**common, "x_nm": place_nm, "y_nm": place_nm}
        else:
            yield common


def _view(way: Way, longer: int) -> Settings:
    """A view that perception was trained on, with its dwell or a longer one: fewer looks with more electrons each."""
    view = way.view
    return {
        "view.mode": view.mode,
        "view.fov_nm": view.fov_nm,
        "view.pixels": view.pixels,
        "view.dwell_s": longer * view.dwell_s,
    }


def tune(world: str, folder: Path, ray: str | None) -> None:
    """Try settings for every policy on the tuning seeds; appends to tuned.jsonl."""
    path = folder / "tuned.jsonl"
    known = [(t.policy, t.settings, t.seed) for t in _trials(folder) if t.world == world]
    jobs = [
        job
        for policy in TUNED
        for settings in tried(world, policy)
        for seed in TUNING_SEEDS
        if (job := (policy, settings, seed)) not in known
    ]
    for number, trial in enumerate(assemble.map_jobs(partial(_try, world), jobs, ray), start=1):
        append_line(path, trial)
        said = ", ".join(f"{name} = {value}" for name, value in trial.settings.items())
        print(f"[{number}/{len(jobs)}] {world} {trial.policy} seed {trial.seed}: S = {trial.score:+.3f} ({said})")


def _try(world: str, job: tuple[str, Settings, int]) -> Trial:
    policy, settings, seed = job
    config = replace(config_of(world), policy=PolicyChoice(name=policy, settings=settings))
    return Trial(world=world, policy=policy, settings=settings, seed=seed, score=play(config, seed, 1.0).score)


def _trials(folder: Path) -> list[Trial]:
    return read_lines(folder / "tuned.jsonl", Trial)[0]


def best(world: str, folder: Path) -> dict[str, Settings]:
    """The best settings of every policy whose trials are whole; the clairvoyant has greedy's."""
    found: dict[str, Settings] = {}
    for policy in TUNED:
        scores = {
            n: [t.score for t in _trials(folder) if (t.world, t.policy, t.settings) == (world, policy, settings)]
            for n, settings in enumerate(tried(world, policy))
        }
        if any(len(each) < len(TUNING_SEEDS) for each in scores.values()):
            raise SystemExit(f"{world}, {policy}: not all settings were tried yet: `tune {world}` goes on with it")
        found[policy] = tried(world, policy)[max(scores, key=lambda n: mean(scores[n]))]
    return {**found, CLAIRVOYANT: found[GREEDY]}


def run(world: str, folder: Path, seeds: Sequence[int], ray: str | None) -> None:
    """Play all policies on test seeds, the whole budget first, then what greedy is without its parts."""
    config, settings = config_of(world), best(world, folder)
    for share in SHARES:
        evaluate(config, settings, seeds, (share,), folder / f"{world}.jsonl", ray)
    for name, without in ABLATIONS.items():
        less = {GREEDY: {**settings[GREEDY], **without}}
        evaluate(config, less, seeds, SHARES[:1], folder / f"{world}.{_slug(name)}.jsonl", ray)


def episodes_of(world: str, folder: Path) -> list[Episode]:
    """What was played of a world."""
    return read_episodes(folder / f"{world}.jsonl")


def ablations_of(world: str, folder: Path) -> list[Episode]:
    """What was played of greedy without its parts, each by its own name."""
    return [
        replace(episode, policy=name)
        for name in ABLATIONS
        for episode in read_episodes(folder / f"{world}.{_slug(name)}.jsonl")
    ]


def _slug(name: str) -> str:
    return name.replace(", ", "-").replace(" ", "-")
