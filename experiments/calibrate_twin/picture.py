"""Truth against estimate, a panel for each parameter, with the stated errors as bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from agent.calibrate.twin.found import Parameter
from agent.report.style import BLUE, QUIET
from experiments.calibrate_twin.study import Outcome

BARS_SD = 1.96
EXACT = 1.03
TITLES = {
    "gain_counts_per_electron": "gain / counts per electron",
    "offset_counts": "offset / counts",
    "read_noise_counts": "read noise / counts",
    "dark_counts_per_s": "dark current / counts per s",
    "source_fwhm_nm": "source, FWHM / nm",
    "current_decay_per_h": "fall of the current / h$^{-1}$",
    "decay_nm": "decaying drift / nm",
    "decay_s": "its decay time / s",
    "wander_nm": "random drift, sd / nm",
    "wander_s": "its correlation time / s",
    "C10_wander_nm": "drift of C10, sd / nm",
    "focus_s": "its correlation time / s",
}


def draw(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write the picture as PNG; bars hold 95 %."""
    figure = Figure(figsize=(12, 8.8), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, title) in zip(figure.subplots(3, 4).ravel(), TITLES.items(), strict=True):
        axes.set_title(title, loc="left", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7, which="both")
        points = np.array([_point(each, true) for o in outcomes for each, true in o.told() if each.name == name])
        axes.text(0.97, 0.04, f"{len(points)} of {len(outcomes)}", transform=axes.transAxes, ha="right", fontsize=8)
        if len(points):
            _panel(axes, points)
    figure.supxlabel("hidden", fontsize=10)
    figure.supylabel("fitted, with 95 % of its stated error", fontsize=10)
    figure.savefig(path, dpi=110)


def _point(each: Parameter, true: float) -> tuple[float, float, float, float]:
    """Truth, estimate, and the ends of its bar."""
    assert each.value is not None
    assert each.sd is not None
    if each.ln_sd is not None:
        factor = math.exp(BARS_SD * each.ln_sd)
        return true, each.value, each.value / factor, each.value * factor
    # A bar that would reach below zero ends at a tenth: the axis is logarithmic.
    return true, each.value, max(each.value - BARS_SD * each.sd, each.value / 10), each.value + BARS_SD * each.sd


def _panel(axes: Axes, points: NDArray[np.float64]) -> None:
    """Fitted over hidden; where bars would not be seen so, the error in percent."""
    true, value, low, high = points.T
    axes.set_xscale("log")
    along: list[Axis] = [axes.xaxis]
    if np.median(high / value) < EXACT:
        percent = 100.0 * (points.T[1:] / true - 1.0)
        value, low, high = percent
        axes.axhline(0.0, color=QUIET, lw=0.8, zorder=0)
        axes.set_ylabel("fitted less hidden / %", fontsize=8)
    else:
        ends = [0.85 * min(true.min(), value.min()), 1.18 * max(true.max(), value.max())]
        axes.plot(ends, ends, color=QUIET, lw=0.8, zorder=0)
        axes.set(yscale="log", xlim=ends)
        along.append(axes.yaxis)
    axes.errorbar(true, value, [value - low, high - value], fmt="o", ms=3.5, lw=1.0, color=BLUE)
    for axis in along:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axis.set_minor_formatter(NullFormatter())
