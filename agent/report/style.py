"""One quiet style for all pictures, readable on light and dark pages, and how a picture gets into the page.

Colours are those of Okabe and Ito (jfly.uni-koeln.de/color), told apart by colour-blind readers too.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, QUIET = "#24292f", "#8a9099"
BLUE, VERMILION, GREEN, ORANGE, PINK, SKY = "#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#56b4e9"
CYCLE = (BLUE, VERMILION, GREEN, PINK, ORANGE, SKY, INK, QUIET)
MODE_COLOURS = {"HAADF": BLUE, "EELS": VERMILION, "EDS": GREEN, "4DSTEM": PINK}
TIME_MAP, DOSE_MAP, MEAN_MAP, SD_MAP = "viridis", "magma_r", "viridis", "cividis"

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


def figure(width_in: float, height_in: float, bare: bool = False) -> Figure:
    """Make a figure of a size in inches that belongs to nobody else; a bare one leaves no room for labels."""
    made = Figure(figsize=(width_in, height_in), dpi=100, layout=None if bare else "constrained")
    FigureCanvasAgg(made)
    return made


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


def power_of_ten(value: float, _: int = 0) -> str:
    """A tick of a logarithmic axis, without mathematical markup."""
    text = f"{value:.0e}"
    digits, exponent = text.split("e")
    sign = "⁻" if exponent.startswith("-") else ""
    raised = sign + "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in str(abs(int(exponent))))
    if abs(int(exponent)) <= 2:
        return f"{value:g}"
    return f"10{raised}" if digits == "1" else f"{digits}·10{raised}"
