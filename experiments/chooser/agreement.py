"""Whether practice ranks policies as whole runs do: variants of greedy in both, on the same worlds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from agent.config import PolicyChoice
from agent.episode import Episode, play
from agent.training import course
from agent.training.chooser import greedily
from agent.training.practice import Practice
from agent.training.shipped import shipped
from hardware_bridge.words import Name, Word

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "greedy": {},
    "time_alone": {"electron_weight": 0.0},
    "many_electrons": {"spends": [4.0]},
}
DRAWS = 8
"""So many times each world is played in practice, with errors drawn anew."""


class Whole(Word, frozen=True, kw_only=True):
    """A whole run of a variant."""

    variant: Name
    episode: Episode


def whole_runs(world: str, seeds: Sequence[int], kept: Path) -> list[Whole]:
    """All variants on all seeds in full fidelity; what the file has is not played again."""
    done = [msgspec.json.decode(line, type=Whole) for line in kept.read_bytes().splitlines()] if kept.exists() else []
    known = {(each.variant, each.episode.seed) for each in done}
    config = shipped(world)
    for seed in seeds:
        for variant, settings in VARIANTS.items():
            if (variant, seed) in known:
                continue
            choice = PolicyChoice(name="greedy", settings={**config.settings_of("greedy"), **settings})
            episode = play(msgspec.structs.replace(config, policy=choice), seed, 1.0)
            done.append(Whole(variant=variant, episode=episode))
            with kept.open("ab") as file:
                file.write(msgspec.json.encode(done[-1]) + b"\n")
            print(f"{world} {variant} seed {seed}: S = {episode.score:+.3f}, {episode.turns} turns", flush=True)
    return [each for each in done if each.episode.seed in seeds]


def practised(world: str, seeds: Sequence[int]) -> dict[str, torch.Tensor]:
    """Scores (draws, seeds) of all variants in practice, on the same worlds at the whole budget."""
    bank = course.bank(world, seeds, None, lambda line: None)
    scores = {}
    for variant, settings in VARIANTS.items():
        made = course.practice(world, bank, DRAWS * len(seeds), 5)
        spends = tuple(settings.get("spends", made.rules.spends))
        weight = float(settings.get("electron_weight", made.rules.electron_weight))
        rules = replace(made.rules, spends=spends, electron_weight=weight)
        practice = Practice(replace(made.game, rules=rules), made.worlds, 5)
        practice.restart(worlds=torch.arange(len(seeds)).repeat(DRAWS), share=1.0)
        while not bool(practice.over.all()):
            practice.step(greedily(practice))
        scores[variant] = practice.score.reshape(DRAWS, len(seeds))
    return scores


def table(world: str, whole: Sequence[Whole], practice: Mapping[str, torch.Tensor], seeds: Sequence[int]) -> str:
    """What both say, variant by variant, and how far they hang together over worlds."""
    found = {(each.variant, each.episode.seed): each.episode.score for each in whole}
    seeds = [seed for seed in seeds if all((variant, seed) in found for variant in VARIANTS)]
    lines = [f"| {world}, {len(seeds)} seeds | in practice | whole runs |", "|---|---|---|"]
    ours, theirs = [], []
    for variant, scores in practice.items():
        told, came = scores.mean(dim=0)[: len(seeds)], np.array([found[variant, seed] for seed in seeds])
        lines.append(f"| {variant} | {float(told.mean()):+.3f} | {came.mean():+.3f} |")
        ours.append(told.numpy())
        theirs.append(came)
    whole_scores, practised_scores = np.concatenate(theirs), np.concatenate(ours)
    together = float(np.corrcoef(practised_scores, whole_scores)[0, 1])
    lines.append(f"\nCorrelation over {len(whole_scores)} runs: {together:.2f}.")
    return "\n".join(lines)
