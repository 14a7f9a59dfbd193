"""The page of the study: errors beside what is usual, whether intervals hold, and how long a reading takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import NullFormatter

from agent.report.style import CYCLE, QUIET, figure, house_style, tick
from experiments.seeing_spectra.study import TESTING, TRAINING, TUNING, Chosen, Score, chosen, scores

RESAMPLES = 2000
LEAST_RATIO, HELD, WIDEST = 1.5, (0.85, 0.95), 1.5

HEADING = """# Reading spectra and patterns

Errors of the agent's fits beside what is usual, on the same noisy data of the twin, seeds {first} to {last}: mean
absolute errors, and by how much the usual way's are larger, with the 95 % interval of a bootstrap over seeds, both
sides paired. *Alone* is the agent's fit without what the world's specimens usually say
(agent/perception/expectation.py, learned on seeds {learned}); where there is none both are the same. *Held* is the
share of its 90 % intervals that hold the truth, *width* their mean half width over the 90 % quantile of the errors
themselves, *ms* the least time of a whole reading on one core while other work ran. The bars: a ratio of 1 or more at
every dose and 1.5 at the lowest, held by 0.85 to 0.95, no wider than 1.5, under 2 ms a spectrum.

The usual way is, for each quantity and dose by itself, the one that erred least on seeds {tuned}, of all windows that
were tried ({ways}): [its choices](#what-is-usual) stand at the end. It is given the same cross-sections, line tables
and reference lattices as the agent. `python -m experiments.seeing_spectra tune`, then `run`, `table` and `measured`
make this page again.

![errors](errors.png)
"""


def write(folder: Path, findings: str) -> str:
    """Write RESULT.md and its picture from the scores, and return the former.

    Raises:
        ValueError: nothing was scored yet.
    """
    all_scores, tuned = scores(folder), chosen(folder)
    if not all_scores:
        raise ValueError("scores.jsonl holds nothing yet: run comes before table")
    subjects = list(dict.fromkeys(each.subject for each in all_scores))
    heading = HEADING.format(
        first=TESTING[0],
        last=TESTING[-1],
        learned=f"{TRAINING[0]} to {TRAINING[-1]}",
        tuned=f"{TUNING[0]} to {TUNING[-1]}",
        ways="windows, thresholds, weights and methods, see losses.py, xrays.py and spots.py",
    )
    parts = [heading, *(_section(name, all_scores) for name in subjects), findings, _usual(tuned)]
    text = "\n".join(parts)
    (folder / "RESULT.md").write_text(text, encoding="utf-8")
    picture(all_scores, subjects, folder / "errors.png")
    return text


def _of(all_scores: Sequence[Score], subject: str, quantity: str, electrons: float) -> list[Score]:
    return [s for s in all_scores if (s.subject, s.quantity, s.electrons) == (subject, quantity, electrons)]


def mean(some: Sequence[Score], name: str) -> float:
    """Mean over spectra of what scores of seeds say."""
    return float(np.average([getattr(s, name) for s in some], weights=[s.count for s in some]))


def ratio(some: Sequence[Score]) -> tuple[float, float, float]:
    """How much larger the usual way's mean error is, with its paired bootstrap interval over seeds."""
    both = np.array([[s.count * s.usual, s.count * s.ours] for s in some])
    picks = np.random.default_rng(0).integers(0, len(both), (RESAMPLES, len(both)))
    sums = both[picks].sum(axis=1)
    low, high = np.percentile(sums[:, 0] / sums[:, 1], [2.5, 97.5])
    return float(both[:, 0].sum() / both[:, 1].sum()), float(low), float(high)


def _section(subject: str, all_scores: Sequence[Score]) -> str:
    mine = [s for s in all_scores if s.subject == subject and s.count]
    doses = sorted({s.electrons for s in mine})
    seeds = len({s.seed for s in mine})
    lines = [
        f"## {subject}",
        "",
        f"{seeds} seeds; electrons each: {', '.join(f'{d:g}' for d in doses)}.",
        "",
        "| quantity | electrons | ours | alone | usual | usual / ours | held | width | ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for quantity in dict.fromkeys(s.quantity for s in mine):
        for dose in doses:
            some = _of(mine, subject, quantity, dose)
            middle, low, high = ratio(some)
            held, width = mean(some, "inside"), mean(some, "half_width") / mean(some, "error_90")
            ours, alone, usual = (f"{mean(some, name):.3g}" for name in ("ours", "alone", "usual"))
            lines.append(
                f"| {quantity} | {dose:g} | {ours} | {alone} | {usual} | {middle:.2f} [{low:.2f}, {high:.2f}] | "
                f"{held:.2f} | {width:.2f} | {min(s.ms for s in some):.2f} |"
            )
    return "\n".join([*lines, "", _verdict(subject, mine, doses), ""])


def _verdict(subject: str, mine: Sequence[Score], doses: Sequence[float]) -> str:
    """Which bars are not reached, in words."""
    short: list[str] = []
    for quantity in dict.fromkeys(s.quantity for s in mine):
        for dose in doses:
            some = _of(mine, subject, quantity, dose)
            middle, _, high = ratio(some)
            held, width = mean(some, "inside"), mean(some, "half_width") / mean(some, "error_90")
            name = f"{quantity} at {dose:g}"
            if dose == doses[0] and middle < LEAST_RATIO:
                short.append(f"{name} (ratio {middle:.2f} where 1.5 is asked)")
            elif high < 1.0:
                short.append(f"{name} (worse: ratio {middle:.2f})")
            if not HELD[0] <= held <= HELD[1]:
                short.append(f"{name} (held by {held:.2f})")
            if width > WIDEST:
                short.append(f"{name} (width {width:.2f})")
    return "All bars are reached." if not short else "Bars that are not reached: " + "; ".join(short) + "."


def _usual(tuned: Sequence[Chosen]) -> str:
    head = "| subject | quantity | electrons | the best on the tuning seeds |"
    lines = ["## What is usual", "", head, "|---|---|---|---|"]
    lines += [f"| {c.subject} | {c.quantity} | {c.electrons:g} | {c.way} |" for c in tuned]
    return "\n".join(lines) + "\n"


def picture(all_scores: Sequence[Score], subjects: Sequence[str], path: Path) -> None:
    """Errors against dose, a row for each subject and a panel for each quantity."""
    kinds = {name: list(dict.fromkeys(s.quantity for s in all_scores if s.subject == name)) for name in subjects}
    columns = max(len(some) for some in kinds.values())
    with house_style():
        page = figure(2.1 * columns, 1.9 * len(subjects))
        for row, name in enumerate(subjects):
            for column, quantity in enumerate(kinds[name]):
                axes = page.add_subplot(len(subjects), columns, row * columns + column + 1)
                doses = sorted({s.electrons for s in all_scores if s.subject == name})
                for what, colour in (("ours", CYCLE[0]), ("alone", CYCLE[2]), ("usual", CYCLE[1])):
                    told = [mean(_of(all_scores, name, quantity, dose), what) for dose in doses]
                    axes.loglog(doses, told, "o-", color=colour, label=what, markersize=3, linewidth=1.2)
                axes.set_title(f"{name}\n{quantity}" if column == 0 else quantity, fontsize=8)
                for axis in (axes.xaxis, axes.yaxis):
                    axis.set_major_formatter(lambda value, _: tick(value))
                    axis.set_minor_formatter(NullFormatter())
                axes.tick_params(labelsize=6, which="both")
                if column == 0:
                    axes.set_xlabel("electrons")
                    axes.set_ylabel("mean error")
        page.axes[0].legend(labelcolor=QUIET)
        page.tight_layout()
        page.savefig(path, dpi=110)
