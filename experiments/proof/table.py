"""What came out: one table of all worlds, their curves, and one page with everything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median

import numpy as np

from agent.comparison.page import Played, write_comparison
from agent.comparison.pictures import curves_figure, kept_figure
from agent.comparison.scores import Compared, kept
from agent.episode import Episode
from agent.report.style import house_style
from envs.curve import interval
from experiments.proof.study import (
    ABLATIONS,
    CLAIRVOYANT,
    GREEDY,
    TEST_SEEDS,
    TRIALS,
    TUNING_SEEDS,
    WORLDS,
    ablations_of,
    best,
    episodes_of,
)

HEAD = """# Does choosing where to look pay?

Score S (1 exact, 0 the prior), mean and 95 % bootstrap interval over paired seeds that nothing was tuned on. The same
twin, limits, reader, reporter, dose and time for all. Staring, raster (also one that comes back at once), random and
greedy had {trials} trials each at most, on seeds {first}-{last} at the whole budget. *Greedy* takes the look that is
expected to lower the errors of the report most for the time and electrons that it uses up. *The clairvoyant* is greedy
with an outlook that knows the truth: it looks one command ahead and is no bound. *Hindsight* is, seed by seed, the best
of all that were played.

`python -m experiments.proof tune`, `run` and `table` make this page, and `comparison.html` with targets, looks and the
settings of all, again.
"""


def table(folder: Path) -> str:
    """Write RESULT.md, its pictures and comparison.html from the episodes and return the former.

    What a person makes of it is in notes.md, and comes first.
    """
    notes = folder / "notes.md"
    lines = [HEAD.format(trials=TRIALS, first=TUNING_SEEDS[0], last=TUNING_SEEDS[-1])]
    lines += [notes.read_text(encoding="utf-8")] if notes.exists() else []
    every = []
    for world in WORLDS:
        episodes = episodes_of(world, folder)
        if not episodes:
            lines += [f"## {world}", "", "Not played yet.", ""]
            continue
        every.append(Played(world, episodes, best(world, folder)))
        lines += _world(world, episodes, folder)
    write_comparison(every, folder / "comparison.html")
    text = "\n".join(lines).rstrip() + "\n"
    (folder / "RESULT.md").write_text(text, encoding="utf-8")
    return text


def _world(world: str, episodes: Sequence[Episode], folder: Path) -> list[str]:
    compared = Compared.of(episodes)
    head = " | ".join(f"{share:g} D" for share in compared.shares)
    few = "" if len(compared.seeds) == len(TEST_SEEDS) else f" of the {len(TEST_SEEDS)} that are asked for"
    lines = [f"## {world}", "", f"{len(compared.seeds)} seeds{few}, from {compared.seeds[0]} on.", ""]
    lines += [f"| policy | {head} | overall | minus {compared.strongest} |", "|" + "---|" * (len(compared.shares) + 3)]
    for policy in [*compared.policies, "hindsight"]:
        above = "" if policy == compared.strongest else str(compared.above_strongest(policy))
        lines.append(
            f"| {policy} | {' | '.join(map(str, compared.at_shares(policy)))} | {compared.total(policy)} | {above} |"
        )
    lines += ["", _verdict(compared), "", *_without(world, episodes, folder), *_promises(episodes)]
    with house_style():
        curves_figure(compared).savefig(folder / f"{world}.png", dpi=150, metadata={"Software": None})
        promised = kept([e for e in episodes if e.policy == GREEDY])
        if promised is not None:
            picture = kept_figure({GREEDY: promised})
            picture.savefig(folder / f"{world}-promises.png", dpi=150, metadata={"Software": None})
    return [*lines, f"![{world}: score against dose]({world}.png) ![predicted and realised]({world}-promises.png)", ""]


def _verdict(compared: Compared) -> str:
    """How far greedy gets, in words."""
    above, share = compared.above_strongest(GREEDY), compared.closed(GREEDY)
    word = "above" if above.low > 0.0 else "below" if above.high < 0.0 else "neither above nor below"
    said = f"Greedy is {word} {compared.strongest}: {above}. "
    gap = float((compared.overall(compared.ceiling) - compared.overall(compared.strongest)).mean())
    if share is None:
        return said + f"The gap up to {compared.ceiling} is {gap:.3f}, under 0.1: no share of it is claimed."
    return said + f"Of the gap of {gap:.3f} up to {compared.ceiling} it closes {share}."


def _without(world: str, episodes: Sequence[Episode], folder: Path) -> list[str]:
    """What greedy loses without one of its parts, at the whole budget."""
    whole = {e.seed: e.score for e in episodes if (e.policy, e.share) == (GREEDY, 1.0)}
    said = []
    for name in ABLATIONS:
        less = {e.seed: e.score for e in ablations_of(world, folder) if e.policy == name and e.seed in whole}
        if less:
            difference = interval(np.array([less[seed] - whole[seed] for seed in less]))
            said.append(f"{name}: {difference} ({len(less)} seeds)")
    return [f"Without one of its parts, at the whole budget, minus greedy: {'; '.join(said)}.", ""] if said else []


def _promises(episodes: Sequence[Episode]) -> list[str]:
    """Predicted against realised information, and how long a decision took."""
    own = [e for e in episodes if e.policy == GREEDY]
    told = np.array([pair for e in own for pair in e.told]).reshape(-1, 2)
    seer = [e for e in episodes if e.policy == CLAIRVOYANT]
    decision_ms = 1e3 * median(e.suggest_median_s for e in own)
    turns = ", ".join(
        f"{name} {mean(e.turns for e in each):.0f}" for name, each in ((GREEDY, own), (CLAIRVOYANT, seer))
    )
    return [
        f"Greedy promised {told[:, 0].mean():.5f} a command and got {told[:, 1].mean():.5f} ({len(told)} commands); "
        f"a decision took {decision_ms:.1f} ms. Turns an episode: {turns}.",
        "",
    ]
