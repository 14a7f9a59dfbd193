"""One page of an ensemble: the score over each of its parameters, its means, and all members in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
from matplotlib.figure import Figure

from agent.comparison.pictures import colour_of
from agent.config import Setting
from agent.ensemble.plan import Plan
from agent.episode import Episode
from agent.report.markup import card, details, escape, grid, listed, said, section, table
from agent.report.style import QUIET, house_style, label, panel, svg
from envs.curve import interval

TITLE = "An ensemble of twins"
HOW = (
    "Score S: 1 is the exact truth of the specimen without a beam, 0 no better than the prior. A dot is a member; "
    "means come with 95 % intervals of a bootstrap over members."
)
Played = tuple[int, Mapping[str, Setting], Episode]


def write_ensemble(plan: Plan, played: Sequence[Played], failed: Sequence[str], out: Path) -> Path:
    """Write the page of the members of a plan to ``out`` and return it.

    Raises:
        OSError: ``out`` cannot be written.
    """
    parts = [said(HOW)]
    with house_style():
        names = [name for name in _names(plan) if len({str(p[name]) for _, p, _ in played}) > 1]
        pictures = [
            card(svg(_figure(name, played), f"over{number}", f"score over {name}"), f"Score over {name}.")
            for number, name in enumerate(names)
        ]
    if pictures:
        parts.append(section("Score over each parameter", grid(pictures, 2)))
    parts.append(section("Means over seeds and draws", _means(plan, played)))
    if failed:
        parts.append(section("Failed", listed(failed)))
    parts.append(section("All members", details(f"{len(played)} members", _all(plan, played))))
    page = Template(files("agent.report").joinpath("page.html").read_text(encoding="utf-8"))
    out.write_text(page.substitute(title=escape(TITLE), body="\n".join(parts)), encoding="utf-8")
    return out


def _names(plan: Plan) -> list[str]:
    return [*plan.grid, *(plan.sample.ranges if plan.sample is not None else {})]


def _figure(name: str, played: Sequence[Played]) -> Figure:
    """Scores over a number, or, of what is none, side by side; a colour for each policy."""
    made, axes = panel(5.4, 3.2)
    values = [parameters[name] for _, parameters, _ in played]
    numbers = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    words = sorted({str(v) for v in values})
    for number, policy in enumerate(sorted({episode.policy for *_, episode in played})):
        mine = [(v, e.score) for v, (_, _, e) in zip(values, played, strict=True) if e.policy == policy]
        x = [float(v) if len(numbers) == len(values) else words.index(str(v)) for v, _ in mine]  # type: ignore[arg-type]
        axes.plot(x, [s for _, s in mine], "o", color=colour_of(policy, number), markersize=3.5, label=policy)
    if len(numbers) < len(values):
        axes.set_xticks(range(len(words)), words)
    elif min(numbers) > 0.0 and max(numbers) > 10.0 * min(numbers):
        axes.set_xscale("log")
    axes.axhline(0.0, color=QUIET, linewidth=0.8)
    axes.legend()
    label(axes, "", name, "score S")
    return made


def _means(plan: Plan, played: Sequence[Played]) -> str:
    """A line for each point of the grid."""
    points: dict[tuple[str, ...], list[Episode]] = {}
    for _, parameters, episode in played:
        points.setdefault(tuple(str(parameters[name]) for name in plan.grid), []).append(episode)
    rows = []
    for point, episodes in points.items():
        turns, electrons = (np.mean([getattr(e, name) for e in episodes]) for name in ("turns", "electrons"))
        score = interval([e.score for e in episodes])
        rows.append([*point, str(len(episodes)), str(score), f"{turns:.1f}", f"{electrons:.3g}"])
    head = [*plan.grid, "members", "score", "turns", "electrons"]
    return table(head, rows, frozenset(range(len(plan.grid), len(head))))


def _all(plan: Plan, played: Sequence[Played]) -> str:
    targets = list(played[0][2].scores) if played else []
    rows = [
        [
            str(seed),
            *(_told(parameters[name]) for name in _names(plan)),
            f"{episode.score:+.3f}",
            *(f"{episode.scores[target]:+.3f}" for target in targets),
            str(episode.turns),
        ]
        for seed, parameters, episode in played
    ]
    return table(["seed", *_names(plan), "score", *targets, "turns"], rows)


def _told(value: Setting) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
