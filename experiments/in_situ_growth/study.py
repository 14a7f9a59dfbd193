"""The steps of the study: equal tuning for all, then episodes on seeds of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import mean

import msgspec
import numpy as np
from msgspec.structs import replace

from agent import assemble
from agent.config import Config, PolicyChoice, Setting, load
from agent.episode import play
from agent.evaluate import evaluate
from envs.curve import SHARES

TUNING_SEEDS = range(3)
TUNING_SHARES = (1 / 8, 1.0)
TEST_SEEDS = range(1000, 1010)
TRIALS = 8
ADAPTIVE = "bayes"
CLAIRVOYANT = "clairvoyant"
BASELINES = ("staring", "raster", "random", "expert")
POLICIES = (ADAPTIVE, *BASELINES, CLAIRVOYANT)

# What is searched for each policy: one random draw of each a trial, the first trial being the defaults.
VIEWS: Mapping[str, Sequence[Setting]] = {
    "view.fov_nm": (256.0, 384.0, 512.0),
    "view.pixels": (128, 256),
    "view.dwell_s": (2e-6, 5e-6, 1e-5),
}
SPACES: Mapping[str, Mapping[str, Sequence[Setting]]] = {
    "staring": {**VIEWS, "view.fov_nm": (128.0, 256.0, 512.0), "refocus_every": (0, 20, 60)},
    "raster": {**VIEWS, "tiles": (3, 4, 5), "repeats": (1, 2), "refocus_every": (0, 8, 24)},
    "random": {**VIEWS, "refocus_every": (0, 8, 24)},
    "expert": {**VIEWS, "overview_every": (2, 4, 8), "spectrum_every": (15, 30), "refocus_every": (12, 30)},
    "bayes": {
        "imaging.pixels": (128, 256),
        "imaging.dwell_s": (2e-6, 5e-6, 1e-5),
        "electron_weight": (0.1, 0.3, 1.0),
        "refocus.every": (8, 16),
        "spectrum.every": (25, 50),
    },
}

Settings = dict[str, Setting]


class Trial(msgspec.Struct, frozen=True):
    """One trial of the search: the settings and the mean score over the tuning seeds and shares."""

    policy: str
    settings: Settings
    score: float


def tune(folder: Path, ray: str | None) -> None:
    """Search settings for every policy with the same number of trials on the same seeds; write tuned.json."""
    config = load(folder / "config.toml")
    draws = [(policy, settings) for policy, space in SPACES.items() for settings in _drawn(space)]
    worlds = [(seed, share) for seed in TUNING_SEEDS for share in TUNING_SHARES]
    jobs = [(number, *world) for number in range(len(draws)) for world in worlds]
    scores: dict[int, list[float]] = {}
    trials: list[Trial] = []
    for number, score in assemble.map_jobs(partial(_score, config, draws), jobs, ray):
        scores.setdefault(number, []).append(score)
        if len(scores[number]) == len(worlds):
            policy, settings = draws[number]
            trials.append(Trial(policy, settings, mean(scores[number])))
            done = f"[{len(trials)}/{len(draws)}]"
            print(f"{done} {policy}: {settings or 'defaults'}: S = {trials[-1].score:+.3f}", flush=True)
            # Written after every trial, so that an interrupted search leaves what it found.
            (folder / "tuned.json").write_bytes(msgspec.json.format(msgspec.json.encode(trials), indent=1) + b"\n")


def _drawn(space: Mapping[str, Sequence[Setting]]) -> list[Settings]:
    """Different settings to try, the defaults first; the same for every call."""
    random = np.random.default_rng(0)
    tried: list[Settings] = [{}]
    while len(tried) < TRIALS:
        draw: Settings = {name: choices[int(random.integers(len(choices)))] for name, choices in space.items()}
        if draw not in tried:
            tried.append(draw)
    return tried


def _score(config: Config, draws: Sequence[tuple[str, Settings]], job: tuple[int, int, float]) -> tuple[int, float]:
    number, seed, share = job
    policy, settings = draws[number]
    return number, play(replace(config, policy=PolicyChoice(name=policy, settings=settings)), seed, share).score


def best(folder: Path) -> dict[str, Settings]:
    """The best settings of every policy, defaults where none were searched; the clairvoyant has the adaptive's."""
    path = folder / "tuned.json"
    trials = msgspec.json.decode(path.read_bytes(), type=list[Trial]) if path.exists() else []
    found = {}
    for policy in SPACES:
        own = [trial for trial in trials if trial.policy == policy]
        found[policy] = max(own, key=lambda t: t.score).settings if own else {}
    return {**found, CLAIRVOYANT: found[ADAPTIVE]}


def run(folder: Path, ray: str | None) -> None:
    """Play all policies on the test seeds, the full budget first; goes on where it was interrupted."""
    config: Config = load(folder / "config.toml")
    for share in reversed(SHARES):
        evaluate(config, best(folder), TEST_SEEDS, (share,), folder / "episodes.jsonl", ray)
