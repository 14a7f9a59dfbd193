"""One page that compares policies on worlds, which opens without a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from statistics import mean, median
from string import Template

from agent.comparison.pictures import curves_figure, kept_figure
from agent.comparison.scores import BASELINES, HINDSIGHT, Compared, kept
from agent.config import Setting
from agent.episode import Episode
from agent.report.markup import card, escape, grid, listed, said, section, table
from agent.report.style import house_style, svg

TITLE = "Policies compared"
HOW = (
    "Score S: 1 is the exact truth of the specimen without a beam, 0 no better than the prior. All policies have the "
    "same instrument, limits, perception, reporter, dose and time, and meet the same specimens: what is compared is "
    "paired seed by seed, with 95 % intervals of a bootstrap over seeds. Overall is the area under the score over log2 "
    "of the budget. The gap goes from the best baseline up to one who knows the truth, or, where that is not above it, "
    "to the best of all that were played, seed by seed (hindsight: more than any plan could promise); of a gap under "
    "0.1 no share is claimed."
)


@dataclass(frozen=True)
class Played:
    """The episodes of one world, and the settings of the policies that played them."""

    world: str
    episodes: Sequence[Episode]
    settings: Mapping[str, Mapping[str, Setting]]


def write_comparison(worlds: Sequence[Played], out: Path) -> Path:
    """Write the page of all worlds to ``out`` and return it; a world without a seed in common is told so.

    Raises:
        OSError: ``out`` cannot be written.
    """
    summary: list[list[str]] = []
    parts: list[str] = []
    with house_style():
        for number, played in enumerate(worlds):
            try:
                compared = Compared.of(played.episodes)
            except ValueError as nothing:
                parts.append(section(played.world, said(f"Nothing to compare: {nothing}.")))
                continue
            summary += _summary(played, compared)
            parts.append(_world(number, played, compared))
    head = ["world", "policy", "best baseline", "seeds", "overall", "minus best baseline", "share of the gap closed"]
    whole = [said(HOW), section("In short", table(head, summary, frozenset({3}))), *parts]
    page = Template(files("agent.report").joinpath("page.html").read_text(encoding="utf-8"))
    out.write_text(page.substitute(title=escape(TITLE), body="\n".join(whole)), encoding="utf-8")
    return out


def _summary(played: Played, compared: Compared) -> list[list[str]]:
    """A line for every policy that is no baseline."""
    lines = []
    for policy in compared.policies:
        if policy not in BASELINES:
            own = str(compared.total(policy))
            above, strongest = str(compared.above_strongest(policy)), compared.strongest
            lines.append(
                [played.world, policy, strongest, str(len(compared.seeds)), own, above, _gap(compared, policy)]
            )
    return lines


def _gap(compared: Compared, policy: str) -> str:
    if policy == compared.ceiling:
        return ""
    share = compared.closed(policy)
    gap = float((compared.overall(compared.ceiling) - compared.overall(compared.strongest)).mean())
    return f"{share} of {gap:.3f}, up to {compared.ceiling}" if share else f"gap {gap:.3f}, under 0.1"


def _world(number: int, played: Played, compared: Compared) -> str:
    within = [e for e in played.episodes if e.seed in compared.seeds and e.share in compared.shares]
    promises = {
        policy: found
        for policy in compared.policies
        if (found := kept([e for e in within if e.policy == policy])) is not None
    }
    pictures = [card(svg(curves_figure(compared), f"curves{number}", "score against dose"), "Score against dose.")]
    if promises:
        told = ", ".join(f"{policy}: {found.commands} commands" for policy, found in promises.items())
        caption = f"Predicted information against what came of it, in bins of as many commands each ({told})."
        pictures.append(
            card(svg(kept_figure(promises), f"kept{number}", "predicted and realised information"), caption)
        )
    seeds = f"{len(compared.seeds)} seeds, {compared.seeds[0]} to {compared.seeds[-1]}."
    return section(
        played.world, said(seeds), _scores(compared), grid(pictures, 2), _done(within, compared), _settings(played)
    )


def _scores(compared: Compared) -> str:
    rows = []
    for policy in [*compared.policies, HINDSIGHT]:
        above = "" if policy == compared.strongest else str(compared.above_strongest(policy))
        row = [policy, *map(str, compared.at_shares(policy))]
        rows.append([*row, str(compared.total(policy)), above])
    head = ["policy", *(f"at {share:g}" for share in compared.shares), "overall", f"minus {compared.strongest}"]
    return table(head, rows)


def _done(within: Sequence[Episode], compared: Compared) -> str:
    """Scores by target at the largest share, and what was done with it."""
    most = compared.shares[-1]
    targets = list(within[0].scores)
    rows = []
    for policy in compared.policies:
        played = [e for e in within if e.policy == policy and e.share == most]
        modes = sum((Counter(e.modes) for e in played), Counter[str]())
        looks = ", ".join(f"{mode} {count / len(played):.0f}" for mode, count in sorted(modes.items()))
        scores = [f"{mean(e.scores[target] for e in played):+.3f}" for target in targets]
        electrons, decided = mean(e.electrons for e in played), median(e.suggest_median_s for e in played)
        rows.append([policy, *scores, looks, f"{electrons:.2g}", f"{1e3 * decided:.1f}"])
    head = ["policy", *targets, "looks", "electrons", "a decision, ms"]
    caption = said(f"By target, with {most:g} of the budget: mean over seeds, and what was done.")
    return caption + table(head, rows, frozenset(range(1, len(targets) + 1)))


def _settings(played: Played) -> str:
    spoken = [
        f"{policy}: " + (", ".join(f"{name} = {value}" for name, value in chosen.items()) or "defaults")
        for policy, chosen in played.settings.items()
    ]
    return said("Settings:") + listed(spoken)
