"""One quiet style for all pictures, readable on light and dark pages, and how a picture gets into the page.

Colours are those of Okabe and Ito (jfly.uni-koeln.de/color), told apart by colour-blind readers too.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

INK, QUIET, FAINT = "#24292f", "#8a9099", "#dfe2e6"
BLUE, VERMILION, GREEN, ORANGE, PINK, SKY = "#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#56b4e9"
CYCLE = (BLUE, VERMILION, GREEN, PINK, ORANGE, SKY, INK, QUIET)
MODE_COLOURS = {"HAADF": BLUE, "EELS": VERMILION, "EDS": GREEN, "4DSTEM": PINK}
TIME_MAP, MEAN_MAP, SD_MAP = (colormaps[name] for name in ("viridis", "viridis", "cividis"))
# Without its palest part, which would look like no dose at all.
DOSE_MAP = ListedColormap(colormaps["magma_r"](np.linspace(0.12, 1.0, 256)), "dose")

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

_STYLE: Any = {
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "figure.facecolor": "white",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": 9,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "adaptem",  # the same run gives the same page
    "text.color": INK,
    "text.parse_math": False,  # what a record says is never taken for a formula
    "xtick.color": INK,
    "xtick.labelsize": 8,
    "ytick.color": INK,
    "ytick.labelsize": 8,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the style of the house; what is drawn outside keeps its own."""
    with mpl.rc_context(_STYLE):
        yield


def figure(width_in: float, height_in: float) -> Figure:
    """Make a figure of a size in inches that belongs to nobody else."""
    made = Figure(figsize=(width_in, height_in), dpi=100)
    FigureCanvasAgg(made)
    return made


def panel(width_in: float, height_in: float, left_in: float = 0.66) -> tuple[Figure, Axes]:
    """A figure with one panel; margins are fixed, so that panels side by side are in line."""
    made = figure(width_in, height_in)
    return made, _placed(made, (left_in, 0.48, width_in - left_in - 0.16, height_in - 0.66))


def map_panel() -> tuple[Figure, Axes, Axes]:
    """A figure with a square panel for a map, and a narrow one beside it for the scale of its colours."""
    made = figure(5.4, 4.5)
    return made, _placed(made, (0.72, 0.48, 3.74, 3.74)), _placed(made, (4.58, 0.48, 0.14, 3.74))


def _placed(made: Figure, inches: tuple[float, float, float, float]) -> Axes:
    """New axes at (left, bottom, width, height) in inches."""
    width, height = made.get_size_inches()
    left, bottom, wide, high = inches
    return made.add_axes((left / width, bottom / height, wide / width, high / height))


def svg(made: Figure, name: str, alt: str) -> str:
    """Write a figure as an <svg> element; ``name``, different for every figure of a page, begins its ids."""
    buffer = io.StringIO()
    made.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(|href=")#', rf"\1#{name}-", text)
    # The page sets the width; the height follows from the viewBox.
    text = re.sub(r'<svg ([^>]*?)width="[^"]*"', r"<svg \1", text, count=1)
    text = re.sub(r'<svg ([^>]*?)height="[^"]*"', r"<svg \1", text, count=1)
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1)


def label(axes: Axes, title: str, x: str, y: str) -> None:
    """Say what a panel shows and in which units."""
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def tick(value: float, _: int = 0) -> str:
    """A tick of a logarithmic axis, without mathematical markup."""
    text = scientific(value, 0)
    return f"{value:g}" if 1e-3 <= value < 1e3 else text.removeprefix("1·")


def scientific(value: float, digits: int = 2) -> str:
    """A number as one writes it by hand, such as 3.85·10⁸, with so many digits after the point."""
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"{mantissa}·10{raised(int(exponent))}"


def raised(exponent: int) -> str:
    """An exponent in small raised digits."""
    return str(exponent).translate(_RAISED)


def measured(value: float, sd: float) -> str:
    """A value with its standard deviation, both to two digits of the latter."""
    if not (math.isfinite(value) and math.isfinite(sd) and sd > 0):
        return f"{value:.4g} ± {sd:.2g}"
    decimals = 1 - math.floor(math.log10(sd))
    if decimals > 4:
        return f"{value:.3g} ± {sd:.1g}"
    return f"{round(value, decimals):.{max(decimals, 0)}f} ± {round(sd, decimals):.{max(decimals, 0)}f}"
