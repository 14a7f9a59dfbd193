"""The growth world as a specimen: particles and debris on the bulging window of a thin liquid cell."""

from __future__ import annotations

import math

import numpy as np
import torch

from digital_twin.growth import EXTENT_NM, GrowthWorld
from digital_twin.optics import Array
from digital_twin.specimen import Box, Grid, Layers, add_spheres

WATER_NM = 150.0
NITRIDE_NM = 60.0
"""Two silicon nitride windows of 30 nm."""

BULGE_NM = 900.0
"""How far the middle of the window stands out over the specimen's edge; windows bulge by micrometres in vacuum."""

DEBRIS_PER_UM2 = 8.0
DEBRIS_SPREAD = 0.5


class LiquidCell:
    """One world of nanoparticle growth, seen by the beam. Everything random in it is keyed by the seed."""

    extent_nm = EXTENT_NM

    def __init__(self, seed: int) -> None:
        self.world = GrowthWorld([seed])
        random = np.random.default_rng([seed, 3])
        half = EXTENT_NM / 2 + 200.0
        mean = DEBRIS_PER_UM2 * math.exp(DEBRIS_SPREAD * random.standard_normal() - DEBRIS_SPREAD**2 / 2)
        count = random.poisson(mean * (2 * half / 1000) ** 2)
        self.debris_position_nm: Array = random.uniform(-half, half, (count, 2))
        self.debris_radius_nm: Array = random.uniform(6.0, 22.0, count)
        self._middle_nm: Array = random.uniform(-300.0, 300.0, 2)
        self._bulge_nm = BULGE_NM * math.exp(0.3 * random.standard_normal())
        self._tilt: Array = random.normal(0.0, 0.15, 2)

    def set_holder(self, flow_nl_per_s: float, temperature_K: float) -> None:
        """Take the holder's set points."""
        self.world.set_holder(flow_nl_per_s, temperature_K)

    def advance_to(self, clock_s: float) -> None:
        """Let the particles nucleate, grow and merge."""
        self.world.advance_to(clock_s)

    def expose(self, box_nm: Box, electrons: float) -> None:
        """Turn electrons into radicals where they fell."""
        self.world.expose(0, box_nm, electrons)

    def height_nm(self, x_nm: float, y_nm: float) -> float:
        """A paraboloid that bulges towards the gun, on a slightly tilted chip."""
        dx, dy = x_nm - self._middle_nm[0], y_nm - self._middle_nm[1]
        fall = (dx**2 + dy**2) / (EXTENT_NM / 2) ** 2
        return float(self._bulge_nm * (0.5 - fall) + self._tilt[0] * x_nm + self._tilt[1] * y_nm)

    def project(self, grid: Grid) -> Layers:
        """Projected copper, debris, water and nitride; solids displace water."""
        shape = (len(grid.origin_nm), grid.columns)
        copper, debris = np.zeros(shape), np.zeros(shape)
        radius = self.world.radius_nm[0]
        alive = torch.nonzero(radius > 0)[:, 0]
        add_spheres(copper, grid, self.world.position_nm[0, alive].numpy(), radius[alive].numpy())
        add_spheres(debris, grid, self.debris_position_nm, self.debris_radius_nm)
        water = np.maximum(WATER_NM - copper - debris, 0.0)
        return Layers(copper_nm=copper, debris_nm=debris, water_nm=water, nitride_nm=np.full(shape, NITRIDE_NM))
