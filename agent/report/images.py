"""Micrographs, with a scale bar and what was found in them."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle

from agent.report.gathered import REAL, Look
from agent.report.style import ORANGE, SKY, figure, svg
from hardware_bridge.observation import Observation

_BARS_NM = tuple(digit * 10.0**power for power in range(-2, 5) for digit in (1, 2, 5))


def micrograph(axes: Axes, look: Look, observation: Observation) -> None:
    """One image as it was scanned; circles at the radius claimed, dashed where it is probably debris."""
    data = np.asarray(observation.data, dtype=np.float64)
    rows, columns = data.shape
    seen = data[observation.row_seen] if observation.row_seen.any() else data
    low, high = np.percentile(seen, [0.5, 99.8])
    axes.imshow(data, cmap="gray", vmin=low, vmax=max(high, low + 1e-9), interpolation="none")
    pixel_nm = look.percept.width_nm / columns if look.percept.width_nm else 1.0
    for particle in look.percept.particles:
        real = particle.real >= REAL
        circle = Circle(
            _pixel(look, (particle.x_nm, particle.y_nm), pixel_nm, (rows, columns)),
            # Outside what it marks, so that the particle is seen too.
            particle.radius_nm / pixel_nm,
            fill=False,
            linewidth=1.3,
            edgecolor=SKY if real else ORANGE,
            linestyle="-" if real else (0, (3, 2)),
        )
        axes.add_patch(circle)
    scale_bar(axes, pixel_nm, (rows, columns))
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def picture(look: Look, observation: Observation) -> str:
    """One micrograph as an <svg> element."""
    rows, columns = np.asarray(observation.data).shape
    made = figure(3.6, 3.6 * rows / columns)
    axes = made.add_axes((0.0, 0.0, 1.0, 1.0))
    micrograph(axes, look, observation)
    turn = look.record.turn
    return svg(made, f"image{turn}", f"HAADF image of turn {turn} with {len(look.percept.particles)} features marked")


def _pixel(look: Look, point_nm: tuple[float, float], pixel_nm: float, shape: tuple[int, int]) -> tuple[float, float]:
    """Column and row of a specimen-frame point: the inverse of geometry.pixel_to_specimen, registered."""
    dx, dy = point_nm[0] - look.percept.x_nm, point_nm[1] - look.percept.y_nm
    angle = math.radians(look.record.state.go.scan_rotation_deg or 0.0)
    column = (math.cos(angle) * dx + math.sin(angle) * dy) / pixel_nm
    row = (math.cos(angle) * dy - math.sin(angle) * dx) / pixel_nm
    return column + shape[1] / 2 - 0.5, row + shape[0] / 2 - 0.5


def scale_bar(axes: Axes, pixel_nm: float, shape: tuple[int, int]) -> None:
    """Draw a bar of a round length on an image of so many rows and columns."""
    rows, columns = shape
    bar_nm = max(n for n in _BARS_NM if n <= max(columns * pixel_nm / 4, _BARS_NM[0]))
    left, top, thick = 0.05 * columns, 0.93 * rows, 0.018 * rows
    axes.add_patch(
        Rectangle((left, top), bar_nm / pixel_nm, thick, facecolor="white", edgecolor="black", linewidth=0.4)
    )
    axes.text(left, top - 0.012 * rows, f"{bar_nm:g} nm", color="white", fontsize=10, va="bottom")
