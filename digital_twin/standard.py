"""A specimen to calibrate on: particles on a film with the bars of a cross grating. It stands still and is flat."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from digital_twin.materials import COPPER, NITRIDE
from digital_twin.specimen import Grid, Still, draw_spheres, on_device
from hardware_bridge.report import Card

EXTENT_NM = 3072.0
PERIOD_NM = 463.0
"""Of a grating replica with 2160 lines a millimetre."""

PARTICLES_PER_UM2 = 400.0
RADII_NM = (3.0, 10.0)
FILM_NM, BAR_NM = 20.0, 25.0
"""Thickness of the film, and how much more of it there is in the middle of a bar."""

SHARPNESS = 8
"""A bar is cos(pi x / period) to twice this power: as wide as a fifth of the period."""


class Standard(Still):
    """Particles of copper at random places, (N, 2) and (N,) nm, on a silicon nitride film with bars; a batch of one."""

    extent_nm = EXTENT_NM
    materials = (COPPER, NITRIDE)

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        random = np.random.default_rng([seed, 7])
        count = random.poisson(PARTICLES_PER_UM2 * (EXTENT_NM / 1e3) ** 2)
        place = random.uniform(-EXTENT_NM / 2, EXTENT_NM / 2, (count, 2))
        self.position_nm = torch.from_numpy(place).to(self.device)
        self.radius_nm = torch.from_numpy(random.uniform(*RADII_NM, count)).to(self.device)

    def project(self, grids: Sequence[Grid]) -> Tensor:
        """Projected particles, and the film with its bars."""
        scan = torch.zeros(len(self.radius_nm), dtype=torch.long, device=self.device)
        copper = draw_spheres(grids, scan, self.position_nm, self.radius_nm)
        columns = np.arange(grids[0].columns)[:, None]
        points = on_device([grid.origin_nm[:, None] + columns * grid.across_nm for grid in grids], self.device)
        bars = (math.pi / PERIOD_NM * points).cos().pow(2 * SHARPNESS).amax(dim=-1)
        return torch.stack([copper, FILM_NM + BAR_NM * bars], dim=1)


def standard_card(duration_s: float, budget_electrons: float) -> Card:
    """The card of the standard specimen: an extent to look at and no targets, since nothing happens on it."""
    return Card(
        world="standard",
        version=1,
        extent_nm=EXTENT_NM,
        cells=1,
        times_s=(),
        duration_s=duration_s,
        budget_electrons=budget_electrons,
        max_fluence_e_per_A2=1e6,
        targets=(),
    )
