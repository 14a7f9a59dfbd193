"""The growth world as a specimen: particles and debris on the bulging window of a thin liquid cell."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from digital_twin.growth import EXTENT_NM, GrowthWorld
from digital_twin.specimen import Box, Grid, Layers, draw_spheres

WATER_NM = 150.0
NITRIDE_NM = 60.0
"""Two silicon nitride windows of 30 nm."""

BULGE_NM = 900.0
"""How far the middle of the window stands out over the specimen's edge; windows bulge by micrometres in vacuum."""

DEBRIS_PER_UM2 = 8.0
DEBRIS_SPREAD = 0.5


class LiquidCell:
    """Worlds of nanoparticle growth, seen by the beam: a batch, of one where one seed is given.

    Everything random in a world is keyed by its seed, and drawn on the host whatever the device.
    """

    extent_nm = EXTENT_NM

    def __init__(self, *seeds: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.world = GrowthWorld(seeds, self.device)
        debris, windows = zip(*(_drawn(seed) for seed in seeds), strict=True)
        self._debris_world = torch.repeat_interleave(torch.tensor([len(each) for each in debris])).to(self.device)
        beads = torch.from_numpy(np.concatenate(debris)).to(self.device)
        self.debris_position_nm, self.debris_radius_nm = beads[:, :2], beads[:, 2]
        self._window = torch.tensor(windows, dtype=torch.float64, device=self.device).T

    def set_holder(self, flow_nl_per_s: float, temperature_K: float) -> None:
        """Take the holder's set points."""
        self.world.set_holder(flow_nl_per_s, temperature_K)

    def advance_to(self, clock_s: float) -> None:
        """Let the particles nucleate, grow and merge."""
        self.world.advance_to(clock_s)

    def expose(self, world: int, box_nm: Box, electrons: float) -> None:
        """Turn electrons into radicals where they fell."""
        self.world.expose(world, box_nm, electrons)

    def height_nm(self, x_nm: Tensor, y_nm: Tensor) -> Tensor:
        """A paraboloid that bulges towards the gun, on a slightly tilted chip."""
        one_a_world = (-1, *(1 for _ in x_nm.shape[1:]))
        middle_x, middle_y, bulge, tilt_x, tilt_y = (each.view(one_a_world) for each in self._window)
        fall = ((x_nm - middle_x) ** 2 + (y_nm - middle_y) ** 2) / (EXTENT_NM / 2) ** 2
        height: Tensor = bulge * (0.5 - fall) + tilt_x * x_nm + tilt_y * y_nm
        return height

    def project(self, grids: Sequence[Grid]) -> Layers:
        """Projected copper, debris, water and nitride; solids displace water."""
        world, site = torch.nonzero(self.world.radius_nm > 0).unbind(-1)
        # Debris goes on maps of its own, behind those of the copper, so that one call draws both.
        drawn = draw_spheres(
            [*grids, *grids],
            torch.cat([world, len(grids) + self._debris_world]),
            torch.cat([self.world.position_nm[world, site], self.debris_position_nm]),
            torch.cat([self.world.radius_nm[world, site], self.debris_radius_nm]),
        )
        copper, debris = drawn.chunk(2)
        water = (WATER_NM - copper - debris).clamp_(min=0.0)
        nitride = torch.full((), NITRIDE_NM, dtype=torch.float64, device=self.device).expand_as(copper)
        return Layers(copper_nm=copper, debris_nm=debris, water_nm=water, nitride_nm=nitride)


def _drawn(seed: int) -> tuple[np.ndarray, tuple[float, ...]]:
    """Debris (D, 3) as x, y and radius in nm, and the window: middle (x, y) nm, bulge nm, tilt (x, y)."""
    random = np.random.default_rng([seed, 3])
    half = EXTENT_NM / 2 + 200.0
    mean = DEBRIS_PER_UM2 * math.exp(DEBRIS_SPREAD * random.standard_normal() - DEBRIS_SPREAD**2 / 2)
    count = random.poisson(mean * (2 * half / 1000) ** 2)
    place, radius = random.uniform(-half, half, (count, 2)), random.uniform(6.0, 22.0, count)
    middle = random.uniform(-300.0, 300.0, 2)
    bulge = BULGE_NM * math.exp(0.3 * random.standard_normal())
    tilt = random.normal(0.0, 0.15, 2)
    return np.column_stack([place, radius]), (*middle.tolist(), bulge, *tilt.tolist())
