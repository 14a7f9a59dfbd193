"""Which features may be debris, and what not knowing it costs: an error that more images do not cure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from hardware_bridge.report import Particle, Percept
from policies.bayes.grid import Box, Grid
from policies.bayes.kernel import Array


@dataclass
class Labels:
    """The last that was seen of every tracked feature, and how often its spectrum was asked for."""

    grid: Grid
    features: dict[int, Particle] = field(default_factory=dict)
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
            self.features[particle.track] = particle

    def asked(self, x_nm: float, y_nm: float) -> None:
        """Count a spectrum taken at a place for the feature nearest to it."""
        if self.features:
            track = min(
                self.features, key=lambda t: math.hypot(self.features[t].x_nm - x_nm, self.features[t].y_nm - y_nm)
            )
            self.attempts[track] = self.attempts.get(track, 0) + 1

    def variance(self, name: str, particle: Particle) -> float:
        """Variance that one feature adds to a field of its cell as long as it may or may not be a particle."""
        doubt = particle.real * (1.0 - particle.real)
        if name == "count":
            return doubt
        if name == "covered_fraction":
            return doubt * (math.pi * particle.radius_nm**2 / self.grid.cell_nm**2) ** 2
        return 0.0

    def variances(self, name: str) -> Array:
        """The sum of these variances in every cell, (N,)."""
        sums = np.zeros(len(self.grid.centres))
        for particle in self.features.values():
            cell = self.grid.cell_of((particle.x_nm, particle.y_nm))
            if cell is not None:
                sums[cell] += self.variance(name, particle)
        return sums
