"""Which features may be debris, and what not knowing it costs: an error that more images do not cure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hardware_bridge.report import Particle, Percept
from policies.bayes.grid import Box, Grid
from policies.bayes.kernel import Array


@dataclass
class Labels:
    """The last that was seen of every tracked feature in the grid, its cell, and how often a spectrum was asked for."""

    grid: Grid
    features: dict[int, Particle] = field(default_factory=dict)
    cells: dict[int, int] = field(default_factory=dict)
    attempts: dict[int, int] = field(default_factory=dict)

    def ingest(self, percept: Percept, box: Box) -> None:
        """Remember the features of an image and forget those that are not where it looked."""
        half_x, half_y = box.width_nm / 2, box.height_nm / 2
        self.features = {
            track: p
            for track, p in self.features.items()
            if abs(p.x_nm - box.x_nm) > half_x or abs(p.y_nm - box.y_nm) > half_y
        }
        for particle in percept.particles:
            cell = self.grid.cell_of((particle.x_nm, particle.y_nm))
            if cell is not None:
                self.features[particle.track], self.cells[particle.track] = particle, cell

    def asked(self, x_nm: float, y_nm: float) -> None:
        """Count a spectrum taken at a place for the feature nearest to it."""
        if self.features:
            track = min(
                self.features, key=lambda t: math.hypot(self.features[t].x_nm - x_nm, self.features[t].y_nm - y_nm)
            )
            self.attempts[track] = self.attempts.get(track, 0) + 1

    def of_each(self, name: str) -> dict[int, float]:
        """Variance that every feature adds to a field of its cell as long as it may or may not be a particle."""
        cell, real, radius_nm = self._arrays()
        doubt = real * (1.0 - real)
        if name == "covered_fraction":
            doubt = doubt * (math.pi * radius_nm**2 / self.grid.cell_nm**2) ** 2
        elif name == "mean_radius_nm":
            # What the mean over the cell would change by: much where a feature may be alone in it.
            others = np.bincount(cell, real)[cell] - real
            sums_nm = np.bincount(cell, real * radius_nm)[cell] - real * radius_nm
            doubt = doubt * ((radius_nm - sums_nm / np.maximum(others, 1.0)) / (others + 1.0)) ** 2
        return dict(zip(self.features, doubt.tolist(), strict=True))

    def variances(self, name: str) -> Array:
        """The sum of these variances in every cell, (N,)."""
        cell, _, _ = self._arrays()
        return np.asarray(np.bincount(cell, [*self.of_each(name).values()], len(self.grid.centres)), dtype=np.float64)

    def _arrays(self) -> tuple[NDArray[np.intp], Array, Array]:
        """Cell, probability to be real and radius in nm of every feature, (n,) each."""
        table = [(self.cells[track], p.real, p.radius_nm) for track, p in self.features.items()]
        cell, real, radius_nm = np.array(table).reshape(-1, 3).T
        return cell.astype(np.intp), real, radius_nm
