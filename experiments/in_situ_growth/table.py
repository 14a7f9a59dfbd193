"""What came out: one table, one picture, and in words how far the adaptive policy gets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from agent.episode import Episode
from agent.evaluate import read_episodes
from envs.curve import SHARES, area, closed, interval
from experiments.in_situ_growth.study import (
    ADAPTIVE,
    BASELINES,
    POLICIES,
    TEST_SEEDS,
    TRIALS,
    TUNING_SEEDS,
    TUNING_SHARES,
    Settings,
    best,
)

# Who knows the truth also knows which plan ends best: for every seed and budget the best of all that were played.
HINDSIGHT = "hindsight"
COLOURS = {
    ADAPTIVE: "#0b6fb8",
    "raster": "#c8762b",
    "expert": "#4f9d69",
    "random": "#8a6fb0",
    "staring": "#999999",
    "clairvoyant": "#c23b5a",
    HINDSIGHT: "#222222",
}


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
    lines += [_verdict(whole, figure, strongest), "", _chosen(whole), "", "![scores](scores.png)", ""]
    lines += _details(episodes, settings)
    text = "\n".join(lines) + "\n"
    _picture(whole, shares, folder / "scores.png")
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


def _verdict(whole: Mapping[str, np.ndarray], figure: Mapping[str, np.ndarray], strongest: str) -> str:
    share = closed(figure[ADAPTIVE], figure[strongest], figure[HINDSIGHT])
    gap = float((figure[HINDSIGHT] - figure[strongest]).mean())
    full = interval(whole[ADAPTIVE][:, -1] - whole[strongest][:, -1])
    said = f"At the largest budget {ADAPTIVE} is {full} above {strongest}, the best baseline. "
    if share is None:
        return said + (
            f"Overall the gap between {strongest} and hindsight is {gap:.3f}, under 0.1: as it stands this world has "
            "no headroom, and no share of it is claimed."
        )
    return said + f"Overall, of the gap of {gap:.3f} between {strongest} and hindsight, {ADAPTIVE} closes {share}."


def _chosen(whole: Mapping[str, np.ndarray]) -> str:
    """Which plans hindsight would have taken."""
    winners = Counter(POLICIES[int(i)] for i in np.argmax([whole[p] for p in POLICIES], axis=0).ravel())
    said = ", ".join(f"{policy} {count} times" for policy, count in winners.most_common())
    return f"Hindsight is, for every seed and budget, the best of all that were played. It takes {said}."


def _picture(whole: Mapping[str, np.ndarray], shares: Sequence[float], path: Path) -> None:
    """Score against budget, with intervals."""
    figure = Figure(figsize=(7.5, 4.6), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, policy in enumerate(sorted(whole, key=lambda p: -float(whole[p][:, -1].mean()))):
        found = [interval(whole[policy][:, n]) for n in range(len(shares))]
        # Side by side, so that no interval hides another.
        x = np.array(shares) * 2.0 ** (0.03 * (place - len(whole) / 2))
        errors = np.array([[i.mean - i.low for i in found], [i.high - i.mean for i in found]])
        style = "--" if policy == HINDSIGHT else "-"
        axes.errorbar(
            x,
            [i.mean for i in found],
            errors,
            color=COLOURS[policy],
            ls=style,
            marker="o",
            ms=4,
            capsize=2,
            label=policy,
        )
    axes.axhline(0.0, color="#bbbbbb", lw=0.8)
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(shares), [f"{share:g} D" for share in shares])
    axes.set(xlabel="electron budget", ylabel="score S (1 exact, 0 the prior)")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


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
