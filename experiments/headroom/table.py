"""What came out: what plans score in every world, the gap that choosing could close, and how honest the reader is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from msgspec.structs import replace

from agent.perception.network import LEAST_TOLD
from agent.perception.reader import WEIGHTS, load_eyesight
from envs.curve import HEADROOM, interval
from envs.prior import encoded
from experiments.headroom.plans import BASELINES, CLAIRVOYANT, POLICIES, TOLD
from experiments.headroom.study import SHARES, STAYS, TUNING_SEEDS, WAYS, Result, best, named, read
from hardware_bridge.report import Card

HINDSIGHT = "hindsight"
HEADING = """# How much room there is in each world

Score S (1 exact, 0 the prior) with the same reader and reporter for all, at shares of the electron budget D: mean and
95 % bootstrap interval over paired seeds. Baselines are tuned with {trials} trials each on seeds {first}-{last} at the
whole budget ({more} where looks can be compared: stays at small places are among them), the clairvoyant with fewer.

*The clairvoyant* knows the truth and what is believed. At each look it compares a dozen cells, those where most is
wrong and some at random, in all modes that tell something, with what the best raster would look at now, and takes what
it expects to raise the score most, one look ahead, if a look reads the truth with the error that such looks usually
have. It has the same electrons, time and numbers of looks to choose from. Where the best raster stays
at small places it does too, at those where comparing looks tells most. It is greedy and does not know what noise
will come: no bound. *Hindsight* is, for each seed and share, the best of all that were played, and so more than any
plan could promise: it also picks the luckiest noise.

*Told all fields* does not look: its report follows from the true fields of all cells and times. What it still misses,
the fields do not tell this reporter: hidden constants, above all of how the beam couples to the process.

A world has headroom where the clairvoyant is {least} or more above the best baseline, and above it at all by the whole
of its interval; it has none where even hindsight is not so far above. Between them it is open.

[LIMITS.md](LIMITS.md) says what limits each world. `python -m experiments.headroom tune`, then `run`, then `table` make
this page again, and write the verdicts on the cards of the worlds.

![scores](scores.png)
"""

Scores = dict[str, dict[int, dict[float, float]]]
"""Scores by policy, seed and share."""


def table(worlds: Sequence[str], folder: Path) -> str:
    """Write RESULT.md and a picture from the episodes, and return the former; what was not played is named."""
    heading = HEADING.format(
        trials=len(WAYS), more=len(WAYS + STAYS), first=TUNING_SEEDS[0], last=TUNING_SEEDS[-1], least=HEADROOM
    )
    lines = [heading]
    shares = " | ".join(f"{share:g} D" for share in SHARES)
    lines += [f"| world | policy | seeds | {shares} |", "|---|---|---|" + "---|" * len(SHARES)]
    played = {world: scores_of(world, folder) for world in worlds}
    for world, scores in played.items():
        lines += [_row(world, policy, each) for policy, each in scores.items()]
    lines += [
        "",
        "## Verdicts",
        "",
        *(f"- {world}: {verdict(scores) or unplayed(world)}" for world, scores in played.items()),
        "",
        "## Settings",
        "",
        *_settings(worlds, folder),
        "",
        *_honesty(worlds),
    ]
    text = "\n".join(lines) + "\n"
    (folder / "RESULT.md").write_text(text, encoding="utf-8")
    _picture({world: scores for world, scores in played.items() if scores}, folder / "scores.png")
    return text


def scores_of(world: str, folder: Path) -> Scores:
    """Scores of all policies on the seeds that all have played at all shares, and last those of hindsight."""
    found: Scores = {}
    for result in read(folder / "episodes.jsonl", Result):
        if result.world == world:
            one = result.played
            found.setdefault(one.policy, {}).setdefault(one.seed, {})[one.share] = one.score
    needed = (*POLICIES, TOLD)
    paired = {p: {s for s, each in found[p].items() if len(each) == len(SHARES)} for p in needed if p in found}
    seeds = sorted(set.intersection(*paired.values())) if len(paired) == len(needed) else []
    if not seeds:
        return {}
    whole = {policy: {seed: found[policy][seed] for seed in seeds} for policy in needed}
    best_of = {seed: {share: max(whole[p][seed][share] for p in POLICIES) for share in SHARES} for seed in seeds}
    return whole | {HINDSIGHT: best_of}


def _row(world: str, policy: str, seeds: dict[int, dict[float, float]]) -> str:
    cells = " | ".join(str(interval([each[share] for each in seeds.values()])) for share in SHARES)
    return f"| {world} | {policy} | {len(seeds)} | {cells} |"


def verdict(scores: Scores) -> str:
    """What a world's card says of its headroom, from what was played; nothing where nothing was."""
    if not scores:
        return ""
    told, rooms = [], []
    for share in SHARES:
        means = {p: float(np.mean([each[share] for each in scores[p].values()])) for p in BASELINES}
        strongest = max(means, key=lambda policy: means[policy])
        gap, most, all_told = (
            interval([scores[upper][seed][share] - scores[strongest][seed][share] for seed in scores[upper]])
            for upper in (CLAIRVOYANT, HINDSIGHT, TOLD)
        )
        told.append(
            f"at {share:g} D one who knows the truth is {gap} above the best baseline ({strongest}, "
            f"{means[strongest]:+.3f}), hindsight {most.mean:+.3f}, a report told all fields {all_told.mean:+.3f}"
        )
        rooms.append(1 if gap.mean >= HEADROOM and gap.low > 0 else -1 if most.mean < HEADROOM else 0)
    word = "headroom" if max(rooms) > 0 else "no headroom" if max(rooms) < 0 else "no headroom shown"
    return f"{word} with this reader: {'; '.join(told)}."


def unplayed(world: str) -> str:
    """What is to be said of a world that was not played: where its reader is blind no plan has anything to choose."""
    sight = load_eyesight(world)
    if any(sight.sees(mode, field) for mode in sight.networks for field in sight.card.fields):
        return NOT_PLAYED
    return (
        f"no headroom with this reader: no mode explains more than {LEAST_TOLD:g} of the variance of any field to it."
    )


def card_verdicts(worlds: Sequence[str], folder: Path, cards: Path) -> None:
    """Write the verdicts on the cards of worlds; one that was not played keeps what its card says."""
    for world in worlds:
        path, said = cards / f"{world}.json", verdict(scores_of(world, folder)) or unplayed(world)
        if said != NOT_PLAYED:
            card = msgspec.json.decode(path.read_bytes(), type=Card)
            path.write_bytes(encoded(replace(card, headroom=said)))


def _picture(played: Mapping[str, Scores], path: Path) -> None:
    """Bars of scores at the whole budget, by world and policy, with intervals."""
    figure = Figure(figsize=(9.0, 3.6), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    width = 0.8 / len(COLOURS)
    for n, (policy, colour) in enumerate(COLOURS.items()):
        found = [interval([each[SHARES[-1]] for each in scores[policy].values()]) for scores in played.values()]
        errors = np.array([[i.mean - i.low for i in found], [i.high - i.mean for i in found]]).reshape(2, -1)
        at = np.arange(len(found)) + (n - len(COLOURS) / 2 + 0.5) * width
        axes.bar(at, [i.mean for i in found], width, yerr=errors, color=colour, label=policy, error_kw={"lw": 0.8})
    axes.axhline(0.0, color="#bbbbbb", lw=0.8)
    axes.set_xticks(range(len(played)), list(played))
    axes.set(ylabel="score S at the whole budget")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


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
        "Of each mode: the share of a field's variance that readings explain on training worlds that were kept apart, "
        "over looks of all doses, widths and foci, and in brackets the standard deviation of (reading - truth) / sd "
        "there, before tempering. Then the factor on all errors with which reports on whole runs are best.",
        "",
        "| world | field | " + " | ".join(MODES) + " | tempered |",
        "|---|---|" + "---|" * (len(MODES) + 1),
    ]
    for world in worlds:
        if not (WEIGHTS / f"{world}.json").is_file():
            continue
        card = load_eyesight(world).card
        for field in card.fields:
            told = (
                f"{card.explained[m][field]:.2f} ({card.z_sd[m][field]:.2f})" if m in card.z_sd else "" for m in MODES
            )
            lines.append(f"| {world} | {field} | {' | '.join(told)} | {card.tempered:g} |")
    return lines


NOT_PLAYED = "not played yet."
MODES = ("HAADF", "EELS", "CBED")
COLOURS = {
    "staring": "#999999",
    "raster": "#c8762b",
    "random": "#8a6fb0",
    CLAIRVOYANT: "#c23b5a",
    HINDSIGHT: "#222222",
    TOLD: "#b9c7d0",
}
