"""Truth against estimate, a panel for each parameter, with the stated errors as bars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from agent.report.style import BLUE, QUIET
from experiments.calibrate_twin.study import Outcome

BARS_SD = 1.96
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
    figure = Figure(figsize=(11, 8.4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, title) in zip(figure.subplots(3, 4).ravel(), TITLES.items(), strict=True):
        points = []
        for outcome in outcomes:
            for each, true in outcome.told():
                if each.name == name and each.value is not None and each.sd is not None:
                    wide = BARS_SD * (each.ln_sd if each.ln_sd is not None else each.sd / each.value)
                    by_factor = each.ln_sd is not None
                    low = each.value * (np.exp(-wide) if by_factor else 1.0 - wide)
                    points.append((true, each.value, low, each.value * (np.exp(wide) if by_factor else 1.0 + wide)))
        axes.set_title(f"{title}  ({len(points)} of {len(outcomes)})", loc="left", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7, which="both")
        if not points:
            continue
        true, value, low, high = np.array(points).T
        # A bar that reaches below a tenth of its value would go to zero, which a logarithmic axis has not.
        low = np.maximum(low, value / 10.0)
        axes.errorbar(true, value, [value - low, high - value], fmt="o", ms=3.5, lw=1.0, color=BLUE)
        ends = [0.8 * min(true.min(), value.min()), 1.25 * max(true.max(), value.max())]
        axes.plot(ends, ends, color=QUIET, lw=0.8, zorder=0)
        axes.set(xscale="log", yscale="log", xlim=ends)
    figure.supxlabel("hidden", fontsize=10)
    figure.supylabel("fitted, with 95 % of its stated error", fontsize=10)
    figure.savefig(path, dpi=120)
