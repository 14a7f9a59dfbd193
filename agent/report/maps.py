"""Maps over the specimen: where it looked, what dose it gave, and what is believed in the end."""

from __future__ import annotations

from collections import Counter

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, NullFormatter

from agent.eventlog import Header
from agent.report.gathered import Array, Look
from agent.report.style import DOSE_MAP, FAINT, INK, QUIET, TIME_MAP, VERMILION, label, map_panel, tick
from hardware_bridge.report import Card, Report, Target

SPECTRUM_MODES = frozenset({"EELS", "EDS"})
_MARKERS = {"EELS": "X", "EDS": "D"}
_WANTED = ("covered_fraction", "count")
_INSET_NM_PER_NM = 0.012  # by how much a frame drawn again is smaller, per width
_INSET_MOST = 0.7


def visits(axes: Axes, seen: list[Look], header: Header) -> ScalarMappable:
    """Fields that were looked at, coloured by time; looks at one place lie inside each other, the first outermost."""
    norm, colours = Normalize(0.0, max(header.end_s - header.start_s, 1e-9)), TIME_MAP
    before: dict[tuple[int, int, int], int] = {}
    for look in seen:
        p, colour = look.percept, colours(norm(look.time_s))
        if p.mode in SPECTRUM_MODES:
            continue
        unit = max(p.width_nm / 4, 1e-9)
        key = (round(p.x_nm / unit), round(p.y_nm / unit), round(p.width_nm))
        number = before[key] = before.get(key, -1) + 1
        share = 1.0 - min(2 * _INSET_NM_PER_NM * number, _INSET_MOST)
        width, height = share * p.width_nm, share * p.height_nm
        corner = (p.x_nm - width / 2, p.y_nm - height / 2)
        axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=colour, linewidth=1.0))
    counts = Counter(look.percept.mode for look in seen if look.percept.mode is not None)
    for mode in sorted(counts):
        spectrum = mode in SPECTRUM_MODES
        there = [k for k in seen if k.percept.mode == mode] if spectrum else []
        axes.scatter(
            [k.percept.x_nm for k in there],
            [k.percept.y_nm for k in there],
            c=[colours(norm(k.time_s)) for k in there] or "none",
            marker=_MARKERS.get(mode, "s"),
            s=64,
            linewidths=1.0,
            edgecolors=VERMILION if spectrum else INK,
            label=f"{mode} ({counts[mode]})",
            zorder=3,
        )
    frame(axes, header.card, _reach_nm(seen))
    half = header.card.extent_nm / 2
    for edge in np.linspace(-half, half, header.card.cells + 1):
        axes.plot([edge, edge, np.nan, -half, half], [-half, half, np.nan, edge, edge], color=FAINT, lw=0.6, zorder=0)
    axes.legend(
        loc="lower right", ncols=4, bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2, handletextpad=0.1, columnspacing=0.8
    )
    return ScalarMappable(norm, colours)


def visits_figure(seen: list[Look], header: Header) -> Figure:
    """The map of visited fields."""
    made, axes, scale = map_panel()
    shown = visits(axes, seen, header)
    made.colorbar(shown, cax=scale, label="specimen time (s)")
    return made


def _reach_nm(seen: list[Look]) -> float:
    """How far from the origin fields reach along x or y."""
    fields = [k.percept for k in seen if k.percept.width_nm]
    return max((max(abs(p.x_nm) + p.width_nm / 2, abs(p.y_nm) + p.height_nm / 2) for p in fields), default=0.0)


def dose_figure(fluence: Array, seen: list[Look], header: Header) -> Figure:
    """The map of charged fluence, on a logarithmic scale up to the limit; white was never exposed."""
    limits = header.config.limits
    box, cap = limits.dose_map, limits.max_fluence_e_per_A2
    made, axes, scale = map_panel()
    masked = np.ma.masked_less_equal(fluence, 0.0)
    low = min(float(masked.min()) if masked.count() else cap / 100, cap / 10)
    image = axes.imshow(
        masked,
        extent=(box.x.low, box.x.high, box.y.high, box.y.low),
        cmap=DOSE_MAP,
        norm=LogNorm(max(low, cap * 1e-6), cap),
        interpolation="none",
    )
    bar = made.colorbar(image, cax=scale, label="fluence (e/Å²); the top is the limit")
    bar.ax.yaxis.set_major_formatter(FuncFormatter(tick))
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    frame(axes, header.card, _reach_nm(seen))
    return made


def believed(card: Card, claims: Report | None) -> list[Target]:
    """The fields whose belief is drawn: covered fraction and count, where they are, then the first, two in all."""
    fields = [
        t
        for t in card.targets
        if t.kind == "field" and claims is not None and t.name in claims.targets and len(t.prior_mean) == _size(card)
    ]
    return sorted(fields, key=lambda target: target.name not in _WANTED)[:2]


def belief_figure(card: Card, values: tuple[float, ...], look: tuple[Colormap, float | None, str]) -> Figure:
    """One number of a belief in every cell; ``look`` is colours, top of the scale (or None), and a label."""
    made, axes, scale = map_panel()
    colours, top, words = look
    made.colorbar(cells(axes, card, values, colours, top), cax=scale, label=words)
    return made


def cells(
    axes: Axes, card: Card, values: tuple[float, ...], colours: Colormap, top: float | None = None
) -> ScalarMappable:
    """One value a cell at the last time, over the specimen; the scale begins at zero, unless all lie far from it."""
    last = at_end(card, values)
    low = float(last.min())
    bottom = 0.0 if top is not None or 0.0 <= low <= float(last.max()) / 2 else low
    edges = np.linspace(-card.extent_nm / 2, card.extent_nm / 2, card.cells + 1)
    mesh = axes.pcolormesh(edges, edges, last, cmap=colours, vmin=bottom, vmax=top, edgecolors="face", linewidth=0.2)
    frame(axes, card)
    return mesh


def at_end(card: Card, values: tuple[float, ...]) -> Array:
    """The values of a field at the last time, (cells, cells), row is y."""
    fields: Array = np.reshape(np.asarray(values, dtype=np.float64), (len(card.times_s), card.cells, card.cells))
    return np.asarray(fields[-1])


def frame(axes: Axes, card: Card, reach_nm: float = 0.0) -> None:
    """Axes over the specimen and as far as ``reach_nm``: its outline, y downward as in an image."""
    half = card.extent_nm / 2
    edge = 1.04 * max(half, reach_nm)
    axes.add_patch(
        Rectangle((-half, -half), 2 * half, 2 * half, fill=False, edgecolor=QUIET, linewidth=0.8, linestyle=":")
    )
    axes.set(xlim=(-edge, edge), ylim=(edge, -edge), aspect="equal")
    label(axes, "", "x (nm)", "y (nm)")
    axes.locator_params(nbins=5)


def spoken(name: str) -> str:
    """The name of a quantity as words, its unit in brackets."""
    for unit, words in (("_nm", " (nm)"), ("_eV", " (eV)"), ("_per_nm2", " (nm⁻²)")):
        if name.endswith(unit):
            name = name.removesuffix(unit).replace("_", " ") + words
            break
    return name.replace("_", " ").capitalize()


def _size(card: Card) -> int:
    return len(card.times_s) * card.cells**2
