"""The picture of the result: one place before and after focusing, and the fields of the survey where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from experiments.foreign_detwin.study import Field, Focused, Image

POWER_PX = 512


def draw(focused: Focused, fields: Sequence[Field], pixel_nm: float, path: Path) -> None:
    """Write the picture; ``pixel_nm`` is that of the focusing images."""
    figure = Figure(figsize=(12.5, 7.2), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    spaces = figure.add_gridspec(2, 4)
    for row, (image, C10_nm) in enumerate(((focused.first, focused.start_nm), (focused.last, focused.end_nm))):
        part = image[:POWER_PX, :POWER_PX]
        _image(figure.add_subplot(spaces[row, 0]), part, pixel_nm, f"C10 = {C10_nm:+.0f} nm")
        _power(figure.add_subplot(spaces[row, 1]), image, pixel_nm)
    _mosaic(figure.add_subplot(spaces[:, 2:]), fields)
    figure.savefig(path, dpi=100)


def _image(axes: Axes, image: Image, pixel_nm: float, title: str) -> None:
    low, high = np.percentile(image, [0.5, 99.5])
    side = pixel_nm * image.shape[0]
    axes.imshow(image, cmap="gray", vmin=low, vmax=high, extent=(0.0, side, side, 0.0))
    axes.plot([0.06 * side, 0.06 * side + 50.0], [0.94 * side] * 2, color="#e0792b", lw=4)
    axes.text(0.06 * side, 0.91 * side, "50 nm", fontsize=9, bbox={"color": "white", "pad": 1.5})
    axes.set(title=title, xticks=[], yticks=[])


def _power(axes: Axes, image: Image, pixel_nm: float) -> None:
    """Mean power of quarter fields, which shows the rings better than that of the whole."""
    window = np.outer(np.hanning(POWER_PX), np.hanning(POWER_PX))
    parts = [image[y : y + POWER_PX, x : x + POWER_PX] for y in (0, POWER_PX) for x in (0, POWER_PX)]
    power = np.mean([np.abs(np.fft.fft2(window * (part - part.mean()))) ** 2 for part in parts], axis=0)
    shown = np.log(np.fft.fftshift(power))
    edge = 0.5 / pixel_nm
    axes.imshow(
        shown, cmap="gray", vmin=np.percentile(shown, 3.0), vmax=np.percentile(shown, 99.7), extent=(-edge, edge) * 2
    )
    axes.set(title="power spectrum", xlabel="1/nm", yticks=[])


def _mosaic(axes: Axes, fields: Sequence[Field]) -> None:
    bright = np.percentile([np.percentile(field.image, 95.0) for field in fields], 90.0)
    for field in fields:
        p = field.percept
        half = p.width_nm / 2.0
        extent = (p.x_nm - half, p.x_nm + half, p.y_nm + half, p.y_nm - half)
        axes.imshow(field.image, cmap="gray", vmin=0.0, vmax=1.1 * bright, extent=extent)
        for particle in p.particles:
            circle = Circle((particle.x_nm, particle.y_nm), particle.radius_nm, fill=False, ec="#e0792b", lw=0.8)
            axes.add_patch(circle)
    x, y = ([getattr(field.percept, name) for field in fields] for name in ("x_nm", "y_nm"))
    half = fields[0].percept.width_nm / 2.0
    axes.set_xlim(min(x) - half, max(x) + half)
    axes.set_ylim(max(y) + half, min(y) - half)
    axes.set(title="survey, each field where the stage says; circles: particles", xlabel="x, nm", ylabel="y, nm")
