"""What came out: one table, one picture, and in words how far the adaptive policy gets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

import numpy as np

from agent.comparison.pictures import curves_figure
from agent.comparison.scores import HINDSIGHT, Compared
from agent.episode import Episode
from agent.evaluate import read_episodes
from agent.report.style import house_style
from envs.curve import SHARES, closed, interval
from experiments.in_situ_growth.study import (
    ADAPTIVE,
    POLICIES,
    TEST_SEEDS,
    TRIALS,
    TUNING_SEEDS,
    TUNING_SHARES,
    Settings,
    best,
)


def table(folder: Path) -> str:
    """Write RESULT.md from the episodes and return it; shares that are not complete yet are left out and named.

    What a person makes of it is in notes.md, and comes first.
    """
    episodes, settings = read_episodes(folder / "episodes.jsonl"), best(folder)
    compared = _compared(episodes)
    notes = folder / "notes.md"
    said = [notes.read_text(encoding="utf-8")] if notes.exists() else []
    lines = [*_heading(compared.shares), *said, *_rows(compared), ""]
    lines += [_verdict(compared), "", _chosen(compared), "", "![scores](scores.png)", ""]
    lines += _details(episodes, settings)
    text = "\n".join(lines) + "\n"
    with house_style():
        curves_figure(compared).savefig(folder / "scores.png", dpi=150, metadata={"Software": None})
    (folder / "RESULT.md").write_text(text, encoding="utf-8")
    return text


def _heading(shares: Sequence[float]) -> list[str]:
    missing = [f"{share:g}" for share in SHARES if share not in shares]
    return [
        "# Nanoparticle growth: adaptive against the baselines",
        "",
        f"Score S (1 exact, 0 the prior) at shares of the electron budget D, mean and 95 % bootstrap interval over "
        f"{len(TEST_SEEDS)} paired seeds ({TEST_SEEDS[0]}-{TEST_SEEDS[-1]}). Same twin, limits, perception, reporter, "
        "dose and time for all.",
        "",
        f"Not played yet: the shares {', '.join(missing)}; the last columns are without them."
        if missing
        else "The last columns are for the area under the score over log2 of the budget (DEC-AUC).",
        "",
    ]


def _rows(compared: Compared) -> list[str]:
    head = " | ".join(f"{share:g} D" for share in compared.shares)
    rows = [f"| policy | {head} | overall | minus {compared.strongest} |", "|" + "---|" * (len(compared.shares) + 3)]
    for policy in sorted([*POLICIES, HINDSIGHT], key=lambda p: -float(compared.overall(p).mean())):
        cells = " | ".join(map(str, compared.at_shares(policy)))
        difference = "" if policy == compared.strongest else str(compared.above_strongest(policy))
        rows.append(f"| {policy} | {cells} | {compared.total(policy)} | {difference} |")
    return rows


def _verdict(compared: Compared) -> str:
    strongest, figure = compared.strongest, compared.overall
    share = closed(figure(ADAPTIVE), figure(strongest), figure(HINDSIGHT))
    gap = float((figure(HINDSIGHT) - figure(strongest)).mean())
    full = interval(compared.scores[ADAPTIVE][:, -1] - compared.scores[strongest][:, -1])
    said = f"At the largest budget {ADAPTIVE} is {full} above {strongest}, the best baseline. "
    if share is None:
        return said + (
            f"Overall the gap between {strongest} and hindsight is {gap:.3f}, under 0.1: as it stands this world has "
            "no headroom, and no share of it is claimed."
        )
    return said + f"Overall, of the gap of {gap:.3f} between {strongest} and hindsight, {ADAPTIVE} closes {share}."


def _chosen(compared: Compared) -> str:
    """Which plans hindsight would have taken."""
    winners = Counter(POLICIES[int(i)] for i in np.argmax([compared.scores[p] for p in POLICIES], axis=0).ravel())
    said = ", ".join(f"{policy} {count} times" for policy, count in winners.most_common())
    return f"Hindsight is, for every seed and budget, the best of all that were played. It takes {said}."


def _compared(episodes: Sequence[Episode]) -> Compared:
    """The scores at the shares at which all policies have played all seeds."""
    found = {(e.policy, e.seed, e.share) for e in episodes}
    whole = [s for s in SHARES if all((p, seed, s) in found for p in POLICIES for seed in TEST_SEEDS)]
    if not whole:
        raise SystemExit("no share of the budget has been played to the end yet: `run` goes on with it")
    return Compared.of([e for e in episodes if e.share in whole])


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
