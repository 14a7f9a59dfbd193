"""What came out: what plans score in every world, the gap that choosing could close, and how honest the reader is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agent.perception.reader import WEIGHTS, load_eyesight
from envs.curve import HEADROOM, interval
from experiments.headroom.plans import BASELINES, CLAIRVOYANT, POLICIES
from experiments.headroom.study import SHARES, TRIALS, TUNING_SEEDS, Result, best, named, read

HEADING = """# How much room there is in each world

Score S (1 exact, 0 the prior) with the same reader and reporter for all, at shares of the electron budget D: mean and
95 % bootstrap interval over paired seeds. Baselines are tuned with {trials} trials each on seeds {first}-{last}, at
both shares together. The clairvoyant knows the truth and takes the look that is worth most to the score, one look
ahead; it has the same looks, electrons and time. The gap is the clairvoyant minus the best baseline; a world in which
it is under {least} has no headroom with this reader, and is said to have none.

`python -m experiments.headroom tune`, then `run`, then `table` make it again.
"""


def table(worlds: Sequence[str], folder: Path) -> str:
    """Write RESULT.md from the episodes and return it; what was not played is left out and named."""
    heading = HEADING.format(trials=TRIALS, first=TUNING_SEEDS[0], last=TUNING_SEEDS[-1], least=HEADROOM)
    lines = [heading]
    shares = " | ".join(f"{share:g} D" for share in SHARES)
    lines += [f"| world | policy | seeds | {shares} |", "|---|---|---|" + "---|" * len(SHARES)]
    verdicts = []
    for world in worlds:
        scores = _scores(world, folder)
        lines += [_row(world, policy, scores[policy]) for policy in POLICIES if policy in scores]
        verdicts.append(_verdict(world, scores))
    lines += [
        "",
        "## Verdicts",
        "",
        *verdicts,
        "",
        "## Settings",
        "",
        *_settings(worlds, folder),
        "",
        *_honesty(worlds),
    ]
    text = "\n".join(lines) + "\n"
    (folder / "RESULT.md").write_text(text, encoding="utf-8")
    return text


def _scores(world: str, folder: Path) -> dict[str, dict[int, dict[float, float]]]:
    """Scores by policy, seed and share."""
    found: dict[str, dict[int, dict[float, float]]] = {}
    for result in read(folder / "episodes.jsonl", Result):
        if result.world == world:
            one = result.played
            found.setdefault(one.policy, {}).setdefault(one.seed, {})[one.share] = one.score
    whole = {p: {s: each for s, each in seeds.items() if len(each) == len(SHARES)} for p, seeds in found.items()}
    return {policy: seeds for policy, seeds in whole.items() if seeds}


def _row(world: str, policy: str, seeds: dict[int, dict[float, float]]) -> str:
    cells = " | ".join(str(interval([each[share] for each in seeds.values()])) for share in SHARES)
    return f"| {world} | {policy} | {len(seeds)} | {cells} |"


def _verdict(world: str, scores: dict[str, dict[int, dict[float, float]]]) -> str:
    if CLAIRVOYANT not in scores or not set(scores) & set(BASELINES):
        return f"- {world}: not played yet."
    said = []
    for share in SHARES:
        means = {p: np.mean([each[share] for each in scores[p].values()]) for p in BASELINES if p in scores}
        strongest = max(means, key=lambda policy: means[policy])
        both = sorted(set(scores[strongest]) & set(scores[CLAIRVOYANT]))
        gap = interval([scores[CLAIRVOYANT][s][share] - scores[strongest][s][share] for s in both])
        room = "" if gap.mean >= HEADROOM else ": **no headroom**"
        said.append(f"at {share:g} D the clairvoyant is {gap} above {strongest}{room}")
    return f"- {world}: {'; '.join(said)}."


def _settings(worlds: Sequence[str], folder: Path) -> list[str]:
    return [
        f"- {world}, {policy}: {named(settings)}"
        for world in worlds
        for policy, settings in best(world, folder).items()
    ]


def _honesty(worlds: Sequence[str]) -> list[str]:
    lines = [
        "## The reader",
        "",
        "Standard deviation of (reading - truth) / sd on training worlds that were kept apart, before tempering; the "
        "factor on all errors with which reports on other worlds are best; and the share of the errors' variance that "
        "readings of the same cell have in common.",
        "",
        "| world | field | " + " | ".join(MODES) + " | tempered | kept |",
        "|---|---|" + "---|" * (len(MODES) + 2),
    ]
    for world in worlds:
        if not (WEIGHTS / f"{world}.json").is_file():
            continue
        card = load_eyesight(world).card
        for field in card.fields:
            z = " | ".join(f"{card.z_sd[mode][field]:.2f}" if mode in card.z_sd else "" for mode in MODES)
            lines.append(f"| {world} | {field} | {z} | {card.tempered:g} | {card.kept[field][0]:.2f} |")
    return lines


MODES = ("HAADF", "EELS", "CBED")
