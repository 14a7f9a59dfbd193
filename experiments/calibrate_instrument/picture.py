"""One calibration as a picture: where stage steps led in the image, and contrast through focus at three heights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from agent.calibrate.procedure import Evidence
from agent.report.style import BLUE, INK, ORANGE, QUIET, SKY, VERMILION
from hardware_bridge.calibration import rotation_deg


def draw(evidence: Evidence, path: Path) -> None:
    """Write the picture as PNG."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    arrows, focus = figure.subplots(1, 2, width_ratios=(1, 1.25))
    _steps(arrows, evidence)
    _focus(focus, evidence)
    figure.savefig(path, dpi=130)


def _steps(axes: Axes, evidence: Evidence) -> None:
    """Every registered stage step as an arrow from the origin, and the step as it was asked for behind it."""
    styles = {
        (0, False): (BLUE, "x, same way as before"),
        (0, True): (SKY, "x, turned round"),
        (1, False): (VERMILION, "y, same way as before"),
        (1, True): (ORANGE, "y, turned round"),
    }
    told = set()
    longest = 0.0
    for causes, moved in evidence.moves.steps:
        if not causes[:2].any():
            continue
        axis = int(np.abs(causes[:2]).argmax())
        colour, name = styles[axis, bool(causes[2 + axis])]
        axes.plot([0, causes[0]], [0, causes[1]], color=QUIET, lw=0.8, ls=":", zorder=1)
        arrow = {"arrowstyle": "->", "color": colour, "lw": 1.1}
        axes.annotate("", (float(moved[0]), float(moved[1])), (0, 0), arrowprops=arrow)
        axes.plot([], [], color=colour, label=name if name not in told else None)
        told.add(name)
        longest = max(longest, float(np.abs(moved).max()), float(np.abs(causes[:2]).max()))
    axes.set(xlim=(-1.1 * longest, 1.1 * longest), ylim=(1.1 * longest, -1.1 * longest), aspect="equal")
    axes.set(xlabel="along columns / nm as stated", ylabel="along rows / nm as stated")
    stage = evidence.calibration.stage_to_specimen
    turned = "" if stage is None else f", turned by {rotation_deg(stage)[0].value:+.1f} deg"
    axes.set_title(f"Stage steps: asked (dotted), seen in the image{turned}", loc="left", fontsize=10)
    axes.legend(fontsize=7, frameon=False, loc="upper left")


def _focus(axes: Axes, evidence: Evidence) -> None:
    """Contrast of each image through focus, by the height of the stage, and where the peaks were found."""
    if evidence.defocus is None:
        axes.text(0.5, 0.5, "no through-focus series", ha="center", color=INK, transform=axes.transAxes)
        return
    heights = sorted({shot.z_nm for shot in evidence.defocus.series})
    for z_nm, colour in zip(heights, (BLUE, INK, VERMILION), strict=False):
        shots = [shot for shot in evidence.defocus.series if shot.z_nm == z_nm]
        axes.errorbar(
            [shot.C10_nm for shot in shots],
            [shot.contrast for shot in shots],
            [shot.sd for shot in shots],
            fmt=".",
            ms=4,
            color=colour,
            label=f"stage at z = {z_nm:+.0f} nm",
        )
        for _, focus_nm, _ in [each for each in evidence.defocus.focus_nm if each[0] == z_nm]:
            axes.axvline(focus_nm, color=colour, lw=0.5, alpha=0.6)
    gain = evidence.defocus.gain
    axes.set(xlabel="C10 as set / nm", ylabel="contrast (power in a band over mean$^2$)")
    axes.set_title(f"Through focus: C10 acts {gain.value:+.3f} ± {gain.sd:.3f} times as set", loc="left", fontsize=10)
    axes.legend(fontsize=7, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
