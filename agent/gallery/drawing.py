"""Draws a moment of a world: images with scale bars, spectra, patterns, and the truth over and beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from agent.gallery.looks import Moment
from agent.report.images import scale_bar
from agent.report.style import MEAN_MAP, SKY, figure, svg
from hardware_bridge.messages import Mode
from hardware_bridge.observation import Observation
from hardware_bridge.report import Card

SIDE_IN, COLUMNS = 1.9, 6
IMAGES: Sequence[Mode] = ("HAADF", "ABF", "BF", "HRTEM")


def drawn(card: Card, moment: Moment, truth: Mapping[str, Sequence[float]]) -> str:
    """One moment of a world as an <svg> element: all of it and its true fields, then details in each mode."""
    fields = [target for target in card.targets if target.kind == "field"]
    rows = -(-(1 + len(fields) + len(moment.details)) // COLUMNS)
    made = figure(SIDE_IN * COLUMNS, (SIDE_IN + 0.3) * rows)
    axes = [made.add_subplot(rows, COLUMNS, n + 1) for n in range(1 + len(fields) + len(moment.details))]
    maps = {target.name: _at(card, truth[target.name], moment.time_s) for target in fields}
    _image(axes[0], moment.whole)
    axes[0].set_title("all of it")
    _overlaid(axes[0], maps[fields[0].name])
    for panel, target in zip(axes[1:], fields, strict=False):
        values = truth[target.name]
        panel.imshow(maps[target.name], cmap=MEAN_MAP, vmin=min(0.0, *values), vmax=max(*values, 1e-12))
        panel.set_title(f"true {target.name.replace('_', ' ')}", fontsize=8)
        panel.set(xticks=[], yticks=[])
        panel.set_xlabel(f"{min(0.0, *values):.3g} to {max(values):.3g} {target.unit}".rstrip(), fontsize=7)
    for panel, (mode, seen) in zip(axes[1 + len(fields) :], moment.details.items(), strict=True):
        _detail(panel, mode, seen)
    made.subplots_adjust(left=0.01, right=0.99, top=0.94, bottom=0.07, wspace=0.08, hspace=0.3)
    name = f"{card.world}-{moment.time_s:g}"
    return svg(made, name, f"{card.world} after {moment.time_s:g} s in {len(moment.details)} modes, with its truth")


def _at(card: Card, values: Sequence[float], time_s: float) -> np.ndarray:
    """The cells of a field (cells, cells) at one of the card's times."""
    by_time = np.asarray(values).reshape(len(card.times_s), card.cells, card.cells)
    cells: np.ndarray = by_time[card.times_s.index(time_s)]
    return cells


def _overlaid(axes: Axes, cells: np.ndarray) -> None:
    """Contours of a true field over an image of the whole specimen."""
    low, high = float(cells.min()), float(cells.max())
    if high <= low:
        return
    rows, columns = (int(abs(limits[1] - limits[0])) for limits in (axes.get_ylim(), axes.get_xlim()))
    x, y = (length / cells.shape[0] * (np.arange(cells.shape[0]) + 0.5) - 0.5 for length in (columns, rows))
    axes.contour(x, y, cells, levels=np.linspace(low, high, 5)[1:-1], colors=SKY, linewidths=0.8)


def _detail(axes: Axes, mode: Mode, seen: Observation) -> None:
    axes.set_title(mode)
    data = np.asarray(seen.data, dtype=np.float64)
    if mode in IMAGES:
        _image(axes, seen)
    elif data.ndim == 3:
        _spectrum(axes, seen, data.sum(axis=(0, 1)))
    else:
        _pattern(axes, seen, data.mean(axis=(0, 1)))


def _image(axes: Axes, seen: Observation) -> None:
    data = np.asarray(seen.data, dtype=np.float64)
    low, high = np.percentile(data, [0.5, 99.7])
    axes.imshow(data, cmap="gray", vmin=low, vmax=max(high, low + 1e-9), interpolation="none")
    scale_bar(axes, seen.axes[1].scale, (data.shape[0], data.shape[1]))
    axes.set(xlim=(-0.5, data.shape[1] - 0.5), ylim=(data.shape[0] - 0.5, -0.5), xticks=[], yticks=[])


def _spectrum(axes: Axes, seen: Observation, counts: np.ndarray) -> None:
    """Counts on a logarithmic scale over what there is to see."""
    axis = seen.axes[2]
    energy = axis.offset + axis.scale * np.arange(axis.size)
    last = int(np.flatnonzero(counts)[-1]) + 1 if counts.any() else len(counts)
    axes.semilogy(energy[:last], np.maximum(counts[:last], 0.5), linewidth=0.7)
    axes.set_xlabel(axis.unit, fontsize=7, labelpad=1)
    axes.tick_params(labelsize=6)
    axes.set_yticks([])
    axes.minorticks_off()


def _pattern(axes: Axes, seen: Observation, counts: np.ndarray) -> None:
    """A pattern on a logarithmic scale, with its angles."""
    axis = seen.axes[3]
    edge = axis.scale * axis.size / 2
    axes.imshow(np.log1p(counts), cmap="magma", extent=(-edge, edge, edge, -edge), interpolation="none")
    axes.set_xlabel(axis.unit, fontsize=7, labelpad=1)
    axes.tick_params(labelsize=6)
    axes.set_yticks([])
