"""Pictures of the study: F1 against dose, and one image of each kind with what was found in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from experiments.seeing import ours
from experiments.seeing.classical import RANGES
from experiments.seeing.scenes import DOSES, KINDS, TESTED, scene
from experiments.seeing.study import OURS, Seen, read
from experiments.seeing.table import UNIT, f1_of, rows_of

COLOURS = ("#e6550d", "#31a354", "#756bb1", "#636363", "#d6a800")
OURS_COLOUR = "#1f77b4"


def picture(folder: Path) -> None:
    """Write seeing.png."""
    seen = read(folder / "seen.jsonl", Seen)
    figure = Figure(figsize=(12.5, 8.2), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 3)
    for row, task in enumerate(DOSES):
        _lines([each for each in seen if each.task == task], task, axes[row, 0])
    _kinds([each for each in seen if each.task == "columns"], axes[0, 2])
    _particles(axes[0, 1])
    _columns(axes[1, 1], DOSES["columns"][1])
    _columns(axes[1, 2], DOSES["columns"][2])
    figure.savefig(folder / "seeing.png", dpi=100)


def _lines(seen: Sequence[Seen], task: str, axes: Axes) -> None:
    ways = [*RANGES[task], OURS]
    for way, colour in zip(ways, [*COLOURS[: len(ways) - 1], OURS_COLOUR], strict=True):
        rows = [rows_of(seen, dose, way) for dose in DOSES[task]]
        values = [f1_of(each, "found")(np.arange(len(each))) for each in rows]
        axes.plot(DOSES[task], values, "o-", color=colour, label=way, lw=2.5 if way == OURS else 1.2)
    axes.set(xscale="log", xlabel=UNIT[task], ylabel="F1", ylim=(0, 1.02), title=f"{task} found")
    axes.legend(fontsize=8)


def _kinds(seen: Sequence[Seen], axes: Axes) -> None:
    for kind, colour in zip(KINDS, COLOURS, strict=False):
        for way, style in ((OURS, "o-"), ("thresholds", "s--")):
            rows = [rows_of(seen, dose, way) for dose in DOSES["columns"]]
            values = [f1_of(each, kind)(np.arange(len(each))) for each in rows]
            axes.plot(DOSES["columns"], values, style, color=colour, label=f"{kind}, {way}")
    axes.set(xscale="log", xlabel=UNIT["columns"], ylabel="F1", ylim=(0, 1.02), title="who sits there")
    axes.legend(fontsize=8)


def _particles(axes: Axes) -> None:
    each, dose = scene("particles", TESTED[1]), DOSES["particles"][1]
    axes.imshow(each.counts(dose), cmap="gray")
    for at, size in zip(each.at, each.size, strict=True):
        axes.add_patch(Circle((at[1], at[0]), size / each.pixel_nm, fill=False, ec="#31a354", lw=1.0))
    found = ours.particles(each, dose)
    for at, size in zip(found.at, found.size, strict=True):
        axes.add_patch(Circle((at[1], at[0]), size / each.pixel_nm, fill=False, ec="#e6550d", lw=1.0, ls="--"))
    axes.set(title=f"{dose:g} {UNIT['particles']}: true (green), ours (dashed)", xticks=[], yticks=[])


def _columns(axes: Axes, dose: float) -> None:
    each = scene("columns", TESTED[1])
    found, _ = ours.columns(each, dose)
    axes.imshow(each.counts(dose), cmap="gray")
    light = ~each.heavy
    for k, colour in enumerate(("#e6550d", "#31a354", "#3b9ddb")):
        true = each.at[light & (each.holds[:, k] > 0)]
        told = found.light.at[found.light.defects()[:, k] >= 0.5]
        axes.plot(true[:, 1], true[:, 0], "o", mfc="none", mec=colour, ms=9, label=KINDS[k])
        axes.plot(told[:, 1], told[:, 0], "x", color=colour, ms=5)
    axes.legend(fontsize=7, loc="upper right")
    axes.set(title=f"{dose:g} {UNIT['columns']}: true (rings), ours (crosses)", xticks=[], yticks=[])
