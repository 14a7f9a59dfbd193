"""Where the electrons go: the scan over the specimen, and the map of accumulated dose."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from digital_twin.optics import Array
from digital_twin.specimen import Box, Grid
from hardware_bridge.messages import Acquire

CELLS = 64
"""Cells of the dose map along the specimen; a quarter more of them lie beyond each edge."""


@dataclass(frozen=True)
class Scan:
    """A raster over the specimen, each row displaced by what moved until its time."""

    grid: Grid

    @classmethod
    def over(cls, acquire: Acquire, centre_nm: Array, rotation_deg: float, moved_nm: Array) -> Scan:
        """Lay a scan around a centre; ``moved_nm`` (H, 2) is how far the specimen has moved at each row."""
        pixel = acquire.fov_nm / acquire.pixels_x
        angle = math.radians(rotation_deg)
        across = pixel * np.array([math.cos(angle), math.sin(angle)])
        down = pixel * np.array([-math.sin(angle), math.cos(angle)])
        rows = np.arange(acquire.pixels_y) + 0.5 - acquire.pixels_y / 2
        first = 0.5 - acquire.pixels_x / 2
        origin = centre_nm + rows[:, None] * down + first * across - moved_nm
        return cls(Grid(origin_nm=origin, across_nm=across, down_nm=down, columns=acquire.pixels_x))

    def box_nm(self, top: int, rows: int) -> Box:
        """The box of the specimen frame that some rows cover."""
        part = Grid(
            origin_nm=self.grid.origin_nm[top : top + rows],
            across_nm=self.grid.across_nm,
            down_nm=self.grid.down_nm,
            columns=self.grid.columns,
        )
        corners, half = part.corners(), self.grid.pixel_nm / 2
        x, y = corners[:, 0], corners[:, 1]
        return float(x.min() - half), float(x.max() + half), float(y.min() - half), float(y.max() + half)

    def disc_nm(self, diameter_nm: float) -> Box:
        """The square about the middle of the field that has the area of a disc of this diameter."""
        x, y = self.grid.corners().mean(axis=0).tolist()
        half = math.sqrt(math.pi) / 4 * diameter_nm
        return x - half, x + half, y - half, y + half


class DoseMap:
    """Electrons that fell on each cell of the specimen frame, (G, G), row is y; what falls outside is summed apart."""

    def __init__(self, extent_nm: float) -> None:
        self.cell_nm = extent_nm / CELLS
        self.origin_nm = -0.75 * extent_nm
        self.electrons: Array = np.zeros((CELLS * 3 // 2, CELLS * 3 // 2))
        self.outside = 0.0

    def add(self, box_nm: Box, electrons: float) -> None:
        """Spread electrons evenly over a box."""
        x0, x1, y0, y1 = box_nm
        (left, wide), (top, high) = (
            covered(low, high, self.origin_nm, self.cell_nm, len(self.electrons)) for low, high in ((x0, x1), (y0, y1))
        )
        part = electrons * high[:, None] * wide[None, :]
        self.electrons[top : top + len(high), left : left + len(wide)] += part
        self.outside += electrons - float(part.sum())

    def fluence_e_per_A2(self) -> Array:
        """Fluence of each cell in e/A^2."""
        result: Array = self.electrons / (10 * self.cell_nm) ** 2
        return result


def covered(low_nm: float, high_nm: float, origin_nm: float, cell_nm: float, cells: int) -> tuple[int, Array]:
    """The first of so many cells that an interval meets, and the share of it that lies in that and those after it."""
    first, last = (min(max(int((end - origin_nm) // cell_nm), 0), cells - 1) for end in (low_nm, high_nm))
    edges = [origin_nm + cell_nm * n for n in range(first, last + 2)]
    # They are few: an array of them would take longer.
    shares = [max(min(b, high_nm) - max(a, low_nm), 0.0) / (high_nm - low_nm) for a, b in itertools.pairwise(edges)]
    return first, np.array(shares)
