"""The steps of the study: equal tuning for all, episodes on seeds of their own, one table."""

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
from agent.episode import Episode, play
from agent.evaluate import evaluate, read_episodes
from envs.curve import SHARES, area, closed, interval

TUNING_SEEDS = range(3)
TUNING_SHARES = (1 / 8, 1.0)
TEST_SEEDS = range(1000, 1010)
TRIALS = 8
ADAPTIVE = "bayes"
CLAIRVOYANT = "clairvoyant"
BASELINES = ("staring", "raster", "random", "expert")
POLICIES = (ADAPTIVE, *BASELINES, CLAIRVOYANT)
# Who knows the truth also knows which plan ends best: for every seed and budget the best of all that were played.
HINDSIGHT = "hindsight"

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


def table(folder: Path) -> str:
    """Write RESULT.md from the episodes and return it; shares that are not complete yet are left out and named."""
    episodes, settings = read_episodes(folder / "episodes.jsonl"), best(folder)
    scores = _scores(episodes)
    shares = sorted(scores)
    complete = shares == sorted(SHARES)
    whole = {p: np.stack([scores[share][p] for share in shares], axis=1) for p in POLICIES}
    whole[HINDSIGHT] = np.max([whole[p] for p in POLICIES], axis=0)
    figure = {p: area(values) if complete else values[:, -1] for p, values in whole.items()}
    strongest = max(BASELINES, key=lambda policy: float(figure[policy].mean()))
    lines = [*_heading(complete, shares), *_rows(whole, figure, shares, strongest), ""]
    lines += [_verdict(figure, strongest), "", *_details(episodes, settings)]
    text = "\n".join(lines) + "\n"
    (folder / "RESULT.md").write_text(text, encoding="utf-8")
    return text


def _heading(complete: bool, shares: Sequence[float]) -> list[str]:
    missing = [f"{share:g}" for share in SHARES if share not in shares]
    return [
        "# Nanoparticle growth: adaptive against the baselines",
        "",
        f"Score S (1 exact, 0 the prior) at shares of the electron budget D, mean and 95 % bootstrap interval over "
        f"{len(TEST_SEEDS)} paired seeds ({TEST_SEEDS[0]}-{TEST_SEEDS[-1]}). Same twin, limits, perception, reporter, "
        "dose and time for all.",
        "",
        "The last columns are for the area under the score over log2 of the budget (DEC-AUC)."
        if complete
        else f"Not played yet: the shares {', '.join(missing)}; the last columns are for the largest share alone.",
        "",
    ]


def _rows(
    whole: Mapping[str, np.ndarray], figure: Mapping[str, np.ndarray], shares: Sequence[float], strongest: str
) -> list[str]:
    head = " | ".join(f"{share:g} D" for share in shares)
    rows = [f"| policy | {head} | overall | minus {strongest} |", "|" + "---|" * (len(shares) + 3)]
    for policy in sorted(figure, key=lambda p: -float(figure[p].mean())):
        cells = " | ".join(str(interval(whole[policy][:, n])) for n in range(len(shares)))
        difference = "" if policy == strongest else str(interval(figure[policy] - figure[strongest]))
        rows.append(f"| {policy} | {cells} | {interval(figure[policy])} | {difference} |")
    return rows


def _verdict(figure: Mapping[str, np.ndarray], strongest: str) -> str:
    share = closed(figure[ADAPTIVE], figure[strongest], figure[HINDSIGHT])
    gap = float((figure[HINDSIGHT] - figure[strongest]).mean())
    if share is None:
        return (
            f"The gap between {strongest} and hindsight is {gap:.3f}, under 0.1: as it stands this world has no "
            "headroom, and no share of it is claimed."
        )
    return f"Of the gap of {gap:.3f} between {strongest} and hindsight, {ADAPTIVE} closes {share}."


def _scores(episodes: Sequence[Episode]) -> dict[float, dict[str, np.ndarray]]:
    """Scores (seeds,) of every policy by share, for the shares at which all policies have played all seeds."""
    found = {(e.policy, e.seed, e.share): e.score for e in episodes}
    result = {}
    for share in SHARES:
        if all((p, seed, share) in found for p in POLICIES for seed in TEST_SEEDS):
            result[share] = {p: np.array([found[p, seed, share] for seed in TEST_SEEDS]) for p in POLICIES}
    if not result:
        raise SystemExit("no share of the budget has been played to the end yet: `run` goes on with it")
    return result


def _details(episodes: Sequence[Episode], settings: Mapping[str, Settings]) -> list[str]:
    full = {p: [e for e in episodes if e.policy == p and e.share == 1.0] for p in POLICIES}
    targets = list(full[ADAPTIVE][0].scores)
    lines = ["Score by target at the full budget, mean over seeds, and what was done with it:", ""]
    lines += [
        "| policy | " + " | ".join(targets) + " | turns | spectra | electrons |",
        "|" + "---|" * (len(targets) + 4),
    ]
    for policy, played in full.items():
        means = [f"{mean(e.scores[t] for e in played):+.3f}" for t in targets]
        turns, spectra = mean(e.turns for e in played), mean(e.modes.get("EELS", 0) for e in played)
        electrons = mean(e.electrons for e in played)
        lines.append(f"| {policy} | {' | '.join(means)} | {turns:.0f} | {spectra:.0f} | {electrons:.2g} |")
    lines += [
        "",
        f"Settings, the best of {TRIALS} trials each on seeds {TUNING_SEEDS[0]}-{TUNING_SEEDS[-1]} at "
        f"{' and '.join(f'{share:g} D' for share in TUNING_SHARES)}; the clairvoyant has those of {ADAPTIVE}:",
        "",
    ]
    lines += [f"- {policy}: {chosen or 'defaults'}" for policy, chosen in settings.items()]
    return lines
