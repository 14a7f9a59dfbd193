"""The page of the study: what was recorded, what each policy was thought to be worth, and what it was."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from envs.curve import Interval, interval
from experiments.offline_chooser.record import BEHAVIOURS, SEEDS
from experiments.offline_chooser.study import Played, best_behaviour, may_run
from policies.training.offpolicy import Worth
from policies.training.trajectory import Trajectory


def returns(runs: Sequence[Trajectory]) -> dict[str, Interval]:
    """By how much the runs of each behaviour raised the score."""
    gained = {name: [float(r.rewards.sum()) for r in runs if r.name.rpartition("-")[0] == name] for name in BEHAVIOURS}
    return {name: interval(each) for name, each in gained.items() if each}


def page(runs: Sequence[Trajectory], judgement: dict[str, Worth], played: Sequence[Played]) -> str:
    """The tables in Markdown."""
    best, allowed, found = best_behaviour(judgement), may_run(judgement), returns(runs)
    scores = {name: _scores(played, name) for name in judgement}
    seeds = sorted(set.intersection(*(set(each) for each in scores.values())))
    head = "| policy | estimated rise, 95 % | recorded rise, 95 % | S on new specimens | minus the best behaviour |"
    rows = [head, "|---|---|---|---|---|"]
    kept = max(BEHAVIOURS, key=lambda name: np.mean([scores[name][seed] for seed in seeds]) if seeds else 0.0)
    for name, what in judgement.items():
        own = interval([scores[name][seed] for seed in seeds]) if seeds else ""
        apart = interval([scores[name][seed] - scores[kept][seed] for seed in seeds]) if seeds else ""
        rows.append(
            f"| {name} | {what.mean:+.3f} [{what.low:+.3f}, {what.high:+.3f}] | {found.get(name, '')} | {own} "
            f"| {'' if name == kept else apart} |"
        )
    told = ", ".join(f"{name}: {'yes' if allowed[name] else 'no'}" for name in allowed)
    turns = sum(len(run.actions) for run in runs)
    return "\n".join(
        [
            f"{len(runs)} runs of {len(BEHAVIOURS)} behaviours on {len(SEEDS)} specimens, {turns} decisions; "
            f"{len(seeds)} new specimens.",
            f"The best behaviour is {best} by the estimate, {kept} by what was played. May run: {told}.",
            "",
            *rows,
        ]
    )


def _scores(played: Sequence[Played], name: str) -> dict[int, float]:
    return {each.episode.seed: each.episode.score for each in played if each.name == name}
