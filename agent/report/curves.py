"""Curves over time: growth, focus, drift, decisions, and what was spent."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agent.eventlog import Header
from agent.reading import Run
from agent.record import taken
from agent.report import gathered
from agent.report.gathered import Array, Look
from agent.report.maps import spoken
from agent.report.style import (
    BLUE,
    CYCLE,
    GREEN,
    INK,
    MODE_COLOURS,
    QUIET,
    VERMILION,
    label,
    panel,
    raised,
)  # fmt: skip
from hardware_bridge.messages import Reading
from hardware_bridge.report import Card, Report, Target

TIME = "specimen time (s)"
_CURVES = ("count", "mean_radius_nm")


def radii(axes: Axes, tracks: list[tuple[int, Array]]) -> None:
    """Radius of the best-followed particles over time, with standard deviations."""
    for number, (_, rows) in enumerate(tracks):
        colour = CYCLE[number % len(CYCLE)]
        axes.errorbar(
            rows[:, 0], rows[:, 1], rows[:, 2], fmt="o-", color=colour, markersize=2.5, linewidth=0.9, elinewidth=0.9
        )
    axes.set_ylim(bottom=0.0)
    label(axes, "", TIME, "radius (nm)")


def radii_figure(tracks: list[tuple[int, Array]]) -> Figure:
    """Growth of single particles."""
    made, axes = panel(3.9, 2.9)
    radii(axes, tracks)
    return made


def curve_targets(card: Card, claims: Report | None) -> list[Target]:
    """The fields whose course over the whole specimen is drawn."""
    return [t for t in card.targets if claims is not None and t.name in _CURVES and t.name in claims.targets]


def course_figure(card: Card, claims: Report, target: Target) -> Figure:
    """Claim and prior of a field averaged over the specimen's cells, at the times of the card."""
    made, axes = panel(3.9, 2.9)
    times = np.array(card.times_s)
    claimed = claims.targets[target.name]
    for mean, sd, colour, words in (
        (target.prior_mean, target.prior_sd, QUIET, "before the run"),
        (claimed.mean, claimed.sd, BLUE, "claimed"),
    ):
        means, sds = cell_average(mean, sd, len(times))
        axes.fill_between(times, means - sds, means + sds, color=colour, alpha=0.22, linewidth=0.0)
        axes.plot(times, means, "o-", color=colour, markersize=4, label=words)
    axes.set_ylim(bottom=0.0)
    axes.legend(loc="upper left")
    label(axes, "", TIME, f"{spoken(target.name).lower()}, average cell")
    return made


def cell_average(mean: tuple[float, ...], sd: tuple[float, ...], times: int) -> tuple[Array, Array]:
    """Mean over the cells at each time, and the root mean square of their standard deviations."""
    means = np.reshape(np.asarray(mean, dtype=np.float64), (times, -1))
    sds = np.reshape(np.asarray(sd, dtype=np.float64), (times, -1))
    return means.mean(axis=1), np.sqrt((sds**2).mean(axis=1))


def focus_figure(run: Run, seen: list[Look]) -> Figure:
    """C10 as set, and as measured to be in focus where a pair of images told."""
    made, axes = panel(5.4, 3.0)
    times = [look.time_s for look in seen]
    set_nm = np.array([look.record.state.optics.C10_nm or 0.0 for look in seen])
    axes.plot(times, set_nm, ".", color=QUIET, markersize=5, label="C10 as set")
    rows = gathered.estimates(run, "defocus_error_nm")
    if len(rows):
        there = np.array([times.index(t) for t in rows[:, 0]])
        axes.errorbar(
            rows[:, 0], set_nm[there] + rows[:, 1], rows[:, 2], fmt="o", color=VERMILION, markersize=3.5,
            elinewidth=0.9, label="C10 in focus, measured",
        )  # fmt: skip
    axes.legend(loc="best")
    label(axes, "", TIME, "C10 (nm)")
    return made


def drift_figure(run: Run) -> Figure:
    """How far the specimen has moved against the instrument's coordinates."""
    made, axes = panel(5.4, 3.0)
    for name, words, colour in (("drift_x_nm", "x", BLUE), ("drift_y_nm", "y", VERMILION)):
        rows = gathered.estimates(run, name)
        low, high = rows[:, 1] - rows[:, 2], rows[:, 1] + rows[:, 2]
        axes.fill_between(rows[:, 0], low, high, color=colour, alpha=0.2, linewidth=0.0)
        axes.plot(rows[:, 0], rows[:, 1], ".-", color=colour, markersize=3, linewidth=0.8, label=words)
    axes.legend(loc="upper left", ncols=2)
    label(axes, "", TIME, "drift (nm)")
    return made


def current_figure(rows: Array) -> Figure:
    """Beam current, (n, 3) time, measured and set, as a share of what is set."""
    made, axes = panel(5.4, 3.0)
    axes.axhline(1.0, color=QUIET, linewidth=0.8)
    axes.plot(rows[:, 0], rows[:, 1] / rows[:, 2], ".", color=VERMILION, markersize=4)
    axes.set_ylim(bottom=0.0)
    label(axes, "", TIME, "measured over set current")
    return made


HOLDER = {
    "temperature_K": "holder temperature (K)",
    "bias_V": "holder bias (V)",
    "flow_nl_per_s": "holder flow (nl/s)",
}


def holder_figure(readings: list[Reading], channel: str) -> Figure:
    """What the holder measured in one channel, on the instrument's clock."""
    made, axes = panel(3.9, 2.9)
    axes.plot([r.clock_s for r in readings], [getattr(r.holder, channel) for r in readings], color=INK, linewidth=0.9)
    label(axes, "", TIME, HOLDER[channel])
    axes.ticklabel_format(useOffset=False)
    return made


def lanes_figure(seen: list[Look], end_s: float) -> Figure:
    """What was done when: a lane for every mode of every proposer, a bar for every turn."""
    lanes = sorted({(k.percept.mode or "no exposure", gathered.proposer(k.record)) for k in seen}, reverse=True)
    left_in = 0.2 + 0.085 * max(len(f"{mode}, {name}") for mode, name in lanes)
    made, axes = panel(11.0, 0.75 + 0.34 * len(lanes), left_in)
    for number, (mode, name) in enumerate(lanes):
        bars = [
            (look.time_s - (look.percept.end_s - look.percept.start_s), look.percept.end_s - look.percept.start_s)
            for look in seen
            if (look.percept.mode or "no exposure", gathered.proposer(look.record)) == (mode, name)
        ]
        colour = MODE_COLOURS.get(mode, INK)
        axes.broken_barh(bars, (number - 0.36, 0.72), facecolor=colour, edgecolor="white", linewidth=0.4)
    axes.set_yticks(range(len(lanes)), [f"{mode}, {name}" for mode, name in lanes])
    axes.set(xlim=(0.0, end_s), ylim=(-0.6, len(lanes) - 0.4))
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    label(axes, "", TIME, "")
    return made


def information_figure(seen: list[Look]) -> Figure | None:
    """Predicted information of the turns with its standard deviation; None where the policy predicts none."""
    known = [(k.time_s, t.information, t.information_sd) for k in seen if (t := taken(k.record)) is not None]
    rows = np.array(known, dtype=np.float64).reshape(-1, 3)
    if not rows[:, 1].any():
        return None
    made, axes = panel(3.9, 2.9)
    axes.errorbar(rows[:, 0], rows[:, 1], rows[:, 2], fmt="o", color=GREEN, markersize=2.5, elinewidth=0.7)
    axes.set_ylim(bottom=min(0.0, float(rows[:, 1].min())))
    label(axes, "", TIME, "predicted gain of the score")
    return made


def running_figure(seen: list[Look], came: list[tuple[str, float]]) -> Figure:
    """Predicted information summed as the run went on, and what came in the end: (words, value) in the same unit."""
    known = [(k.time_s, t.information) for k in seen if (t := taken(k.record)) is not None]
    rows = np.array(known, dtype=np.float64).reshape(-1, 2)
    made, axes = panel(3.9, 2.9)
    axes.plot(rows[:, 0], np.cumsum(rows[:, 1]), color=GREEN, linewidth=1.4, label="predicted, summed")
    for (words, value), colour in zip(came, (BLUE, VERMILION), strict=False):
        axes.axhline(value, color=colour, linewidth=1.0, linestyle="--", label=words)
    axes.set_ylim(bottom=0.0)
    axes.legend(loc="best")
    label(axes, "", TIME, "gain of the score")
    return made


def spending_figure(run: Run, header: Header) -> Figure:
    """Electrons charged over time, with what is allowed and what even spending would be."""
    made, axes = panel(3.9, 2.9)
    times = [0.0, *(record.end_s - header.start_s for record in run.records)]
    spent = np.cumsum([0.0, *(record.electrons_charged for record in run.records)])
    whole_s = header.end_s - header.start_s
    power = math.floor(math.log10(header.max_electrons))
    spent, allowed = spent / 10.0**power, header.max_electrons / 10.0**power
    axes.plot(times, spent, color=VERMILION, linewidth=1.4, label="charged")
    axes.plot([0.0, whole_s], [0.0, allowed], ":", color=QUIET, label="even spending")
    axes.axhline(allowed, color=INK, linewidth=0.8)
    axes.text(0.0, allowed, " allowed", va="bottom", fontsize=8)
    axes.set(xlim=(0.0, whole_s), ylim=(0.0, 1.12 * allowed))
    axes.legend(loc="lower right")
    label(axes, "", TIME, f"electrons (10{raised(power)})")
    return made
