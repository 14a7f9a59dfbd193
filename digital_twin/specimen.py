"""What every specimen offers the instrument: matter under each pixel, and a clock that it changes by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from digital_twin.optics import Array

MOST_SAMPLES = 6
SAMPLES_PER_RADIUS = 4.0
"""How finely the inside of a sphere is sampled at least, along each direction, up to MOST_SAMPLES a pixel."""

Box = tuple[float, float, float, float]
"""x0, x1, y0, y1 in nm."""


@dataclass(frozen=True)
class Grid:
    """The probe positions of a scan in the specimen frame.

    Pixel (row, column) lies at ``origin_nm[row]`` + column x ``across_nm``: ``origin_nm`` is (H, 2), so that each row
    has the drift of its own time in it, and ``across_nm`` (2,). ``columns`` is W.
    """

    origin_nm: Array
    across_nm: Array
    down_nm: Array
    columns: int

    @property
    def pixel_nm(self) -> float:
        """Edge of a pixel in nm."""
        return float(np.hypot(*self.across_nm))

    def corners(self) -> Array:
        """The four outer pixel centres, (4, 2) nm."""
        span = (self.columns - 1) * self.across_nm
        first, last = self.origin_nm[0], self.origin_nm[-1]
        return np.array([first, first + span, last, last + span])


@dataclass(frozen=True)
class Layers:
    """Projected matter at each pixel, (H, W) nm each: copper, debris, water, silicon nitride."""

    copper_nm: Array
    debris_nm: Array
    water_nm: Array
    nitride_nm: Array


class Specimen(Protocol):
    """Something to look at, on the instrument's clock."""

    extent_nm: float

    def set_holder(self, flow_nl_per_s: float, temperature_K: float) -> None:
        """Take the holder's set points; the specimen lags behind them."""
        ...

    def advance_to(self, clock_s: float) -> None:
        """Let time pass up to a time on the instrument's clock."""
        ...

    def expose(self, box_nm: Box, electrons: float) -> None:
        """Take electrons spread evenly over a box."""
        ...

    def project(self, grid: Grid) -> Layers:
        """Projected matter under a scan, as it is now."""
        ...

    def height_nm(self, x_nm: float, y_nm: float) -> float:
        """Height of the specimen above the eucentric plane at a point; adds to C10."""
        ...


def add_spheres(thickness_nm: Array, grid: Grid, centres_nm: Array, radii_nm: Array) -> None:
    """Add the projected thickness 2 sqrt(r^2 - d^2) of spheres, (N, 2) nm and (N,) nm, to a map (H, W).

    Every row is displaced by its own origin, so drift within the scan shears and jitters what is drawn. Pixels hold
    means over their area, since the probe is scanned evenly within one: small spheres are sampled more finely, rims
    are softened over a sample, and the volume stays that of the sphere.
    """
    height, width = thickness_nm.shape
    pixel = grid.pixel_nm
    across = grid.across_nm / pixel**2
    down = grid.down_nm / pixel**2
    mid = grid.origin_nm[height // 2] - height // 2 * grid.down_nm
    reach = float(np.abs(grid.origin_nm - mid - np.arange(height)[:, None] * grid.down_nm).max()) / pixel + 1.5
    columns, rows = (centres_nm - mid) @ across, (centres_nm - mid) @ down
    size = radii_nm / pixel + reach
    seen = (columns > -size) & (columns < width + size) & (rows > -size) & (rows < height + size)
    for n in np.flatnonzero(seen):
        top, bottom = max(0, int(rows[n] - size[n])), min(height, int(rows[n] + size[n]) + 2)
        left, right = max(0, int(columns[n] - size[n])), min(width, int(columns[n] + size[n]) + 2)
        if top >= bottom or left >= right:
            continue
        offset = centres_nm[n] - grid.origin_nm[top:bottom]
        samples = min(MOST_SAMPLES, math.ceil(SAMPLES_PER_RADIUS * pixel / radii_nm[n]))
        within = (np.arange(samples) + 0.5) / samples - 0.5
        dx = ((offset @ across)[:, None] - np.arange(left, right)[None, :])[:, None, :, None] - within
        dy = (offset @ down)[:, None, None, None] - within[:, None, None]
        rim = (pixel / samples) ** 2 / 4
        inside = radii_nm[n] ** 2 - pixel**2 * (dx**2 + dy**2)
        ball = 2 * np.sqrt(np.clip(inside, -rim, None) + rim).mean(axis=(1, 3))
        thickness_nm[top:bottom, left:right] += (1 + rim / radii_nm[n] ** 2) ** -1.5 * ball
