"""How long the beam's radicals have acted on every cell, as far as commands tell."""

from __future__ import annotations

import numpy as np

from policies.bayes.grid import Box, Grid
from policies.bayes.kernel import Array
from policies.bayes.settings import BeamSettings

NM2_IN_A2 = 100.0


class Exposure:
    """Seconds at unit radical level, (N,): frame-averaged dose rate times time, with a halo around the field."""

    def __init__(self, grid: Grid, settings: BeamSettings) -> None:
        self.grid = grid
        self.settings = settings
        self.seconds: Array = np.zeros(len(grid.centres))

    def add(self, box: Box, electrons: float) -> None:
        """Count an acquisition of so many electrons spread over a box."""
        self.seconds = self.seconds + self.of(box, electrons)

    def of(self, box: Box, electrons: float) -> Array:
        """What an acquisition would add, (N,) s: exp(-distance / halo) outside the field.

        The level is proportional to the dose rate, so only the fluence counts, not the time it takes.
        """
        fluence_e_per_A2 = electrons / (box.width_nm * box.height_nm * NM2_IN_A2)
        x, y = self.grid.centres.T
        outside = np.hypot(
            np.maximum(np.abs(x - box.x_nm) - box.width_nm / 2, 0.0),
            np.maximum(np.abs(y - box.y_nm) - box.height_nm / 2, 0.0),
        )
        near = np.exp(-outside / self.settings.halo_nm)
        return np.asarray(self.settings.level_per_e_per_A2_s * fluence_e_per_A2 * near)
