"""The steps of the study: equal tuning for all, episodes on seeds of their own, one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

import msgspec
import numpy as np

from agent.config import Config, Setting, load
from agent.episode import Episode
from agent.evaluate import evaluate, read_episodes
from envs.curve import SHARES, area, closed, interval

TUNING_SEEDS = range(2)
TEST_SEEDS = range(1000, 1010)
TRIALS = 4
ADAPTIVE = "bayes"
CLAIRVOYANT = "clairvoyant"
BASELINES = ("staring", "raster", "random", "expert")

# What is searched for each policy: one random draw of each a trial, the first trial being the defaults.
SPACES: Mapping[str, Mapping[str, Sequence[Setting]]] = {
    "staring": {"view.fov_nm": (128.0, 256.0, 512.0), "view.pixels": (128, 256), "view.dwell_s": (1e-6, 2e-6, 5e-6)},
    "raster": {"view.fov_nm": (256.0, 384.0, 512.0), "view.pixels": (128, 256), "view.dwell_s": (1e-6, 2e-6, 5e-6)},
    "random": {"view.fov_nm": (256.0, 384.0, 512.0), "view.pixels": (128, 256), "view.dwell_s": (1e-6, 2e-6, 5e-6)},
    "expert": {"survey.fov_nm": (256.0, 384.0, 512.0), "detail.fov_nm": (128.0, 256.0, 384.0)},
    "bayes": {"imaging.dwell_s": (1e-6, 2e-6, 5e-6), "imaging.pixels": (128, 256), "refocus.offset_nm": (200.0, 400.0)},
}

Settings = dict[str, Setting]


class Trial(msgspec.Struct, frozen=True):
    """One trial of the search: the settings and the mean score on the tuning seeds."""

    policy: str
    settings: Settings
    score: float


def tune(folder: Path, ray: str | None) -> None:
    """Search settings for every policy with the same number of trials on the same seeds; write tuned.json."""
    config = load(folder / "config.toml")
    random = np.random.default_rng(0)
    trials: list[Trial] = []
    for policy, space in SPACES.items():
        tried: list[Settings] = [{}]
        while len(tried) < TRIALS:
            draw: Settings = {name: choices[int(random.integers(len(choices)))] for name, choices in space.items()}
            if draw not in tried:
                tried.append(draw)
        for settings in tried:
            episodes = evaluate(config, {policy: settings}, TUNING_SEEDS, (1.0,), None, ray)
            trials.append(Trial(policy, settings, mean(e.score for e in episodes)))
            print(f"{policy}: {settings or 'defaults'}: S = {trials[-1].score:+.3f}", flush=True)
            # Written after every trial, so that an interrupted search leaves what it found.
            (folder / "tuned.json").write_bytes(msgspec.json.format(msgspec.json.encode(trials), indent=1) + b"\n")


def best(folder: Path) -> dict[str, Settings]:
    """The best settings of every policy; the clairvoyant shares those of the adaptive policy."""
    trials = msgspec.json.decode((folder / "tuned.json").read_bytes(), type=list[Trial])
    found = {p: max((t for t in trials if t.policy == p), key=lambda t: t.score).settings for p in SPACES}
    return {**found, CLAIRVOYANT: found[ADAPTIVE]}


def run(folder: Path, ray: str | None) -> None:
    """Play all policies on the test seeds at all shares of the budget; goes on where it was interrupted."""
    config: Config = load(folder / "config.toml")
    evaluate(config, best(folder), TEST_SEEDS, SHARES, folder / "episodes.jsonl", ray)


def table(folder: Path) -> str:
    """Write RESULT.md from the episodes and return it."""
    episodes, settings = read_episodes(folder / "episodes.jsonl"), best(folder)
    scores = _scores(episodes)
    areas = {policy: area(values) for policy, values in scores.items()}
    strongest = max(BASELINES, key=lambda policy: float(areas[policy].mean()))
    lines = [
        "# Nanoparticle growth: adaptive against the baselines",
        "",
        f"Score S (1 exact, 0 the prior) at shares of the electron budget, mean and 95 % bootstrap interval over "
        f"{len(TEST_SEEDS)} paired seeds ({TEST_SEEDS[0]}-{TEST_SEEDS[-1]}); DEC-AUC is the area over log2(budget). "
        "Same twin, limits, perception, reporter, dose and time for all.",
        "",
        "| policy | " + " | ".join(f"{share:g} D" for share in SHARES) + " | DEC-AUC | minus " + strongest + " |",
        "|" + "---|" * (len(SHARES) + 3),
    ]
    for policy in sorted(areas, key=lambda p: -float(areas[p].mean())):
        cells = [str(interval(scores[policy][:, n])) for n in range(len(SHARES))]
        difference = "" if policy == strongest else str(interval(areas[policy] - areas[strongest]))
        lines.append(f"| {policy} | {' | '.join(cells)} | {interval(areas[policy])} | {difference} |")
    share = closed(areas[ADAPTIVE], areas[strongest], areas[CLAIRVOYANT])
    gap = float((areas[CLAIRVOYANT] - areas[strongest]).mean())
    verdict = (
        f"The gap between {strongest} and the clairvoyant is {gap:.3f}, under 0.1: this world has no headroom as it "
        "stands, so no share of it is claimed."
        if share is None
        else f"Of the gap of {gap:.3f} between {strongest} and the clairvoyant, {ADAPTIVE} closes {share}."
    )
    lines += ["", verdict, "", *_details(episodes, settings)]
    text = "\n".join(lines) + "\n"
    (folder / "RESULT.md").write_text(text, encoding="utf-8")
    return text


def _scores(episodes: Sequence[Episode]) -> dict[str, np.ndarray]:
    """Scores (seeds, shares) of every policy; all must have played all."""
    found = {(e.policy, e.seed, e.share): e.score for e in episodes}
    policies = (ADAPTIVE, *BASELINES, CLAIRVOYANT)
    missing = [key for p in policies for s in TEST_SEEDS for f in SHARES if (key := (p, s, f)) not in found]
    if missing:
        raise SystemExit(f"{len(missing)} episodes are missing, the first {missing[0]}: `run` goes on with them")
    return {p: np.array([[found[p, s, f] for f in SHARES] for s in TEST_SEEDS]) for p in policies}


def _details(episodes: Sequence[Episode], settings: Mapping[str, Settings]) -> list[str]:
    full = {p: [e for e in episodes if e.policy == p and e.share == 1.0] for p in (ADAPTIVE, *BASELINES, CLAIRVOYANT)}
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
    lines += ["", f"Settings, the best of {TRIALS} trials each on seeds {TUNING_SEEDS[0]}-{TUNING_SEEDS[-1]}:", ""]
    lines += [f"- {policy}: {chosen or 'defaults'}" for policy, chosen in settings.items()]
    return lines
