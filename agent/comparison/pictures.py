"""Pictures of a comparison: score against dose, and what was predicted of commands beside what they told."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from agent.comparison.scores import CLAIRVOYANT, HINDSIGHT, Compared, Kept
from agent.report.style import BLUE, CYCLE, GREEN, INK, ORANGE, PINK, QUIET, SKY, VERMILION, label, panel

COLOURS = {
    "bayes": BLUE,
    "greedy": SKY,
    "raster": VERMILION,
    "expert": GREEN,
    "random": PINK,
    "prospector": ORANGE,
    "staring": QUIET,
    CLAIRVOYANT: INK,
    HINDSIGHT: INK,
}


def colour_of(policy: str, number: int) -> str:
    """The colour of a policy, the same on every page; one that is not known gets one by its number."""
    return COLOURS.get(policy, CYCLE[number % len(CYCLE)])


def curves_figure(compared: Compared) -> Figure:
    """Score against the share of the budget, with 95 % intervals side by side."""
    made, axes = panel(5.4, 3.6)
    shown = [*compared.policies, HINDSIGHT]
    for number, policy in enumerate(shown):
        found = compared.at_shares(policy)
        x = np.array(compared.shares) * 2.0 ** (0.05 * (number - len(shown) / 2))
        low, high = [i.mean - i.low for i in found], [i.high - i.mean for i in found]
        axes.errorbar(
            x, [i.mean for i in found], np.array([low, high]), color=colour_of(policy, number), marker="o",
            markersize=3.5, linewidth=1.2, elinewidth=0.9, linestyle=":" if policy == HINDSIGHT else "-", label=policy,
        )  # fmt: skip
    axes.axhline(0.0, color=QUIET, linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.set_xlim(min(compared.shares) / 1.5, max(compared.shares) * 1.5)
    axes.set_xticks(list(compared.shares), [f"{share:g}" for share in compared.shares])
    axes.minorticks_off()
    axes.legend(loc="upper left", ncols=2)
    top = axes.get_ylim()[1]
    axes.set_ylim(top=top + 0.35 * (top - axes.get_ylim()[0]))
    label(axes, "", "share of the electron budget", "score S (1 exact, 0 the prior)")
    return made


def kept_figure(promises: Mapping[str, Kept]) -> Figure:
    """What commands told on average, over what was predicted of them; on the line, predictions are kept."""
    made, axes = panel(5.4, 3.6)
    for number, (policy, found) in enumerate(promises.items()):
        apart = np.array([found.realised - found.low, found.high - found.realised])
        axes.errorbar(
            found.predicted, found.realised, np.maximum(apart, 0.0), color=colour_of(policy, number), marker="o",
            markersize=3.5, linewidth=1.0, elinewidth=0.9, label=policy,
        )  # fmt: skip
    most = max(float(found.predicted.max()) for found in promises.values())
    axes.plot([0.0, most], [0.0, most], color=QUIET, linewidth=0.8, linestyle="--")
    axes.axhline(0.0, color=QUIET, linewidth=0.8)
    axes.legend(loc="upper left")
    label(axes, "", "predicted information of a command", "by how much the score then rose")
    return made
