"""The specimen grid on which a world asks for its fields."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardware_bridge.geometry import Point
from hardware_bridge.report import Card
from policies.bayes.kernel import Array


@dataclass(frozen=True)
class Box:
    """A rectangle of the specimen frame, in nm: its centre and its size."""

    x_nm: float
    y_nm: float
    width_nm: float
    height_nm: float


class Grid:
    """Square cells over the extent, numbered row by row; row is y."""

    def __init__(self, card: Card) -> None:
        self.cells = card.cells
        self.extent_nm = card.extent_nm
        self.cell_nm = card.extent_nm / card.cells
        along = (np.arange(self.cells) + 0.5) * self.cell_nm - self.extent_nm / 2
        # (N, 2) nm, row by row.
        self.centres: Array = np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)
        self._squares: dict[int, tuple[NDArray[np.intp], list[Point]]] = {}
        self.places: list[Point] = [(float(x), float(y)) for x, y in self.centres]

    def shares(self, box: Box) -> Array:
        """The part of each cell, (N,), that a box covers."""
        overlaps = []
        for axis, centre, size in ((0, box.x_nm, box.width_nm), (1, box.y_nm, box.height_nm)):
            low = np.maximum(self.centres[:, axis] - self.cell_nm / 2, centre - size / 2)
            high = np.minimum(self.centres[:, axis] + self.cell_nm / 2, centre + size / 2)
            overlaps.append(np.maximum(high - low, 0.0) / self.cell_nm)
        return np.asarray(overlaps[0] * overlaps[1])

    def cell_of(self, point_nm: Point) -> int | None:
        """The number of the cell that holds a point, None outside the extent."""
        column, row = (int((value + self.extent_nm / 2) // self.cell_nm) for value in point_nm)
        if not (0 <= column < self.cells and 0 <= row < self.cells):
            return None
        return row * self.cells + column

    def squares(self, k: int) -> tuple[NDArray[np.intp], list[Point]]:
        """All squares of k x k whole cells: their cells (M, k*k) and their centres in nm."""
        if k not in self._squares:
            self._squares[k] = self._all_squares(k)
        return self._squares[k]

    def tiles(self, k: int) -> NDArray[np.intp]:
        """Squares of k x k cells that do not overlap, (M, k*k); what is left over at the edge is left out."""
        numbers = np.arange(self.cells**2).reshape(self.cells, self.cells)
        n = self.cells // k
        cut = numbers[: n * k, : n * k].reshape(n, k, n, k).swapaxes(1, 2)
        return np.asarray(cut.reshape(n * n, k * k), dtype=np.intp)

    def _all_squares(self, k: int) -> tuple[NDArray[np.intp], list[Point]]:
        numbers = np.arange(self.cells**2).reshape(self.cells, self.cells)
        members, centres = [], []
        for row in range(self.cells - k + 1):
            for column in range(self.cells - k + 1):
                inside = numbers[row : row + k, column : column + k].ravel()
                members.append(inside)
                x, y = self.centres[inside].mean(axis=0)
                centres.append((float(x), float(y)))
        return np.array(members, dtype=np.intp).reshape(-1, k * k), centres
