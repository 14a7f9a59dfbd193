"""The pictures of the report, as SVG or PNG data, in one quiet style."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from agent.reading import Run
from agent.report import gathered
from agent.report.gathered import Array, Look
from hardware_bridge.report import Card, Report

INK, GOOD, DOUBT, ACCENT = "#2b2f36", "#3b9ddb", "#e08b2c", "#7a4fb5"
NICE_NM = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def figure(width: float, height: float) -> Figure:
    """A figure of a size in inches on a white card."""
    made = Figure(figsize=(width, height), dpi=110, layout="constrained", facecolor="white")
    FigureCanvasAgg(made)
    return made


def embedded(made: Figure, alt: str, raster: bool = False) -> str:
    """An <img> with the picture inside it."""
    buffer = io.BytesIO()
    kind = "png" if raster else "svg"
    made.savefig(buffer, format=kind, metadata=None if raster else {"Date": None})
    mime = "image/png" if raster else "image/svg+xml"
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{alt}" src="data:{mime};base64,{data}">'


def quiet(axes: Axes, x: str, y: str) -> None:
    """Label axes and take away what says nothing."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def micrograph(axes: Axes, run: Run, look: Look) -> None:
    """One HAADF image with scale bar and what was found in it: circles, dashed where it is probably debris."""
    observation = run.observation(look.record)
    assert observation is not None
    assert observation.data is not None
    data = np.asarray(observation.data, dtype=np.float64)
    width, height = look.percept.width_nm, look.percept.height_nm
    x0, y0 = look.percept.x_nm - width / 2, look.percept.y_nm - height / 2
    low, high = np.percentile(data, [1, 99.7])
    axes.imshow(data, cmap="gray", vmin=low, vmax=max(high, low + 1), extent=(x0, x0 + width, y0 + height, y0))
    for p in look.percept.particles:
        real = p.real >= gathered.REAL
        circle = Circle((p.x_nm, p.y_nm), p.radius_nm, fill=False, lw=1.1, ec=GOOD if real else DOUBT)
        circle.set_linestyle("-" if real else "--")
        axes.add_patch(circle)
    bar = max((n for n in NICE_NM if n <= width / 4), default=width / 4)
    axes.add_patch(Rectangle((x0 + 0.05 * width, y0 + 0.92 * height), bar, 0.018 * height, color="white"))
    axes.text(x0 + 0.05 * width, y0 + 0.9 * height, f"{bar:g} nm", color="white", fontsize=8, va="bottom")
    axes.set(xlim=(x0, x0 + width), ylim=(y0 + height, y0), xticks=[], yticks=[])
    axes.set_title(f"{look.time_s:.0f} s, {look.fluence_e_per_A2:.2g} e/Å$^2$", fontsize=9)


def micrographs(run: Run, chosen: Sequence[Look]) -> Figure:
    """The key images side by side."""
    columns = min(3, len(chosen))
    rows = math.ceil(len(chosen) / columns)
    made = figure(3.4 * columns, 3.6 * rows)
    for number, look in enumerate(chosen):
        micrograph(made.add_subplot(rows, columns, number + 1), run, look)
    return made


def _specimen(axes: Axes, card: Card, title: str) -> None:
    half = 0.55 * card.extent_nm
    axes.set(xlim=(-half, half), ylim=(half, -half), aspect="equal", title=title)
    quiet(axes, "x (nm)", "y (nm)")


def visits(axes: Axes, run: Run, card: Card) -> None:
    """Where it looked, coloured by time; spectra as crosses."""
    seen = gathered.looks(run)
    end = max((look.time_s for look in seen), default=1.0)
    for look in seen:
        p, colour = look.percept, colormaps["viridis"](look.time_s / end)
        if p.mode == "EELS":
            axes.plot(p.x_nm, p.y_nm, "x", color=colour, ms=7, mew=2)
            continue
        corner = (p.x_nm - p.width_nm / 2, p.y_nm - p.height_nm / 2)
        axes.add_patch(Rectangle(corner, p.width_nm, p.height_nm, fill=False, ec=colour, lw=0.9))
    _specimen(axes, card, "Where it looked: dark early, bright late, × spectra")


def maps(run: Run, card: Card, claims: Report | None) -> Figure:
    """Visits, dose, and the belief about the last moment."""
    assert run.header is not None
    field = "covered_fraction" if claims is not None and "covered_fraction" in claims.targets else None
    rows = 2 if field else 1
    made = figure(10.0, 4.6 * rows)
    visits(made.add_subplot(rows, 2, 1), run, card)
    limits = run.header.config.limits
    box = limits.dose_map
    axes = made.add_subplot(rows, 2, 2)
    fluence = gathered.dose_map(run, limits)
    extent = (box.x.low, box.x.high, box.y.high, box.y.low)
    shown = axes.imshow(fluence, extent=extent, cmap="magma")
    made.colorbar(shown, ax=axes, shrink=0.8, label="charged fluence (e/Å$^2$)")
    _specimen(axes, card, f"Dose: at most {fluence.max():.2g} of {limits.max_fluence_e_per_A2:g} e/Å$^2$")
    if field is not None and claims is not None:
        claimed, shape = claims.targets[field], (len(card.times_s), card.cells, card.cells)
        for number, (values, word) in enumerate(((claimed.mean, "claimed"), (claimed.sd, "its sd")), start=3):
            axes = made.add_subplot(rows, 2, number)
            half = card.extent_nm / 2
            last = np.reshape(values, shape)[-1]
            shown = axes.imshow(last, extent=(-half, half, half, -half), cmap="viridis" if number == 3 else "cividis")
            made.colorbar(shown, ax=axes, shrink=0.8)
            _specimen(axes, card, f"Covered fraction at {card.times_s[-1]:g} s, {word}")
    return made


def growth(run: Run, card: Card, claims: Report | None) -> Figure:
    """Radii of tracked particles, and what is claimed of the whole specimen against the prior."""
    fields = [t for t in card.targets if t.kind == "field"] if claims is not None else []
    made = figure(4.6 + 3.1 * len(fields), 3.5)
    axes = made.add_subplot(1, 1 + len(fields), 1)
    for _, rows in gathered.tracks(run):
        axes.errorbar(rows[:, 0], rows[:, 1], rows[:, 2], fmt="o-", ms=2.5, lw=0.8, elinewidth=0.8)
    axes.set_title("Radius of the particles followed best")
    quiet(axes, "time (s)", "radius (nm)")
    for number, target in enumerate(fields, start=2):
        axes = made.add_subplot(1, 1 + len(fields), number)
        claimed, times = claims.targets[target.name], np.array(card.times_s)  # type: ignore[union-attr]
        prior, sd = (np.reshape(v, (len(times), -1)).mean(axis=1) for v in (target.prior_mean, target.prior_sd))
        axes.fill_between(times, prior - sd, prior + sd, color=INK, alpha=0.12, lw=0, label="prior of a cell")
        values = np.reshape(claimed.mean, (len(times), -1))
        axes.plot(times, values.mean(axis=1), "o-", color=ACCENT, ms=4, label="claimed, mean of cells")
        axes.set_title(target.name.replace("_", " "), fontsize=10)
        axes.legend(fontsize=7, frameon=False)
        quiet(axes, "time (s)", target.unit or "per cell")
    return made


def band(axes: Axes, rows: Array, label: str, colour: str) -> None:
    """A quantity over time with its standard deviation."""
    axes.errorbar(rows[:, 0], rows[:, 1], rows[:, 2], fmt=".", color=colour, ms=4, elinewidth=0.7, label=label)


def stability(run: Run) -> Figure:
    """Focus and drift over time."""
    made = figure(10.5, 3.0)
    axes = made.add_subplot(1, 2, 1)
    band(axes, gathered.estimates(run, "defocus_error_nm"), "correction asked for", ACCENT)
    axes.axhline(0.0, color=INK, lw=0.5)
    axes.set_title("Focus: what had to be added to C10")
    quiet(axes, "time (s)", "nm")
    axes = made.add_subplot(1, 2, 2)
    band(axes, gathered.estimates(run, "drift_x_nm"), "x", GOOD)
    band(axes, gathered.estimates(run, "drift_y_nm"), "y", DOUBT)
    axes.legend(fontsize=8, frameon=False)
    axes.set_title("Drift of the specimen, registered on the images")
    quiet(axes, "time (s)", "nm")
    return made


def spectrum(run: Run) -> tuple[Figure, Look] | None:
    """The spectrum with most electrons, on a log scale with its edges; None where none was taken."""
    taken = [k for k in gathered.looks(run) if k.percept.mode == "EELS" and k.record.arrays is not None]
    if not taken:
        return None
    best = max(
        taken, key=lambda look: (look.percept.estimates.get("copper_probability") is not None, look.record.electrons)
    )
    observation = run.observation(best.record)
    assert observation is not None
    assert observation.data is not None
    axis = observation.axes[-1]
    energy = axis.offset + axis.scale * np.arange(axis.size)
    counts = observation.data.reshape(-1, axis.size).sum(axis=0, dtype=np.float64)
    made = figure(8.5, 3.2)
    axes = made.add_subplot(1, 1, 1)
    axes.semilogy(energy, np.maximum(counts, 0.5), color=INK, lw=0.8)
    for name, onset in (("O K", 532.0), ("Cu L$_3$", 931.0)):
        axes.axvline(onset, color=ACCENT, lw=0.8, ls=":")
        axes.text(onset + 6, axes.get_ylim()[1] * 0.3, name, color=ACCENT, fontsize=9)
    quiet(axes, "energy loss (eV)", "electrons a channel")
    return made, best


def timeline(run: Run) -> Figure:
    """What was done when, what it promised, and how time and electrons went."""
    seen = gathered.looks(run)
    made = figure(10.5, 3.2)
    axes = made.add_subplot(1, 2, 1)
    lanes = sorted({gathered.proposer(look.record) for look in seen})
    for lane, name in enumerate(lanes):
        times = [look.time_s for look in seen if gathered.proposer(look.record) == name]
        axes.plot(times, [lane] * len(times), "|", ms=14, color=ACCENT)
    axes.set_yticks(range(len(lanes)), lanes)
    axes.set_title("Who proposed what was done")
    quiet(axes, "time (s)", "")
    axes = made.add_subplot(1, 2, 2)
    times = [look.time_s for look in seen]
    axes.plot(
        times, np.cumsum([look.record.electrons_charged for look in seen]), color=DOUBT, label="electrons charged"
    )
    quiet(axes, "time (s)", "electrons charged")
    other = axes.twinx()
    other.plot(times, np.cumsum([gathered.chosen_information(k.record)[0] for k in seen]), color=GOOD)
    other.set_ylabel("predicted information, summed", color=GOOD)
    other.tick_params(labelsize=8)
    axes.set_title("Dose spent, and what it promised")
    return made
