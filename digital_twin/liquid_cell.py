"""The growth world as a specimen: particles and debris on the bulging window of a thin liquid cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from digital_twin.conditions import ROOM_K
from digital_twin.detectors import Column
from digital_twin.growth import (
    BIRTH_RADIUS_NM,
    EXTENT_NM,
    FLOW_REFERENCE_NL_PER_S,
    Draw,
    GrowthWorld,
)
from digital_twin.materials import COPPER, NITRIDE, WATER, ZIRCONIA, mean_potential_V_nm
from digital_twin.specimen import Box, Grid, draw_spheres, worlds_of
from digital_twin.windows import Bulging
from digital_twin.world import LEARNING_SMOOTH, Facts, binned, disc_points
from hardware_bridge.messages import Holder

WATER_NM = 150.0
WINDOW_NM = 30.0
NITRIDE_NM = 2 * WINDOW_NM
"""Of both silicon nitride windows."""

BULGE_NM = 900.0
"""How far the middle of the window stands out over the specimen's edge; windows bulge by micrometres in vacuum."""

DEBRIS_PER_UM2 = 8.0
DEBRIS_SPREAD = 0.5
RINGS = 8
"""A particle is shared out among cells by RINGS^2 points."""


class LiquidCell:
    """Worlds of nanoparticle growth, seen by the beam: a batch, of one where one seed is given.

    Everything random in a world is keyed by its seed, and drawn on the host whatever the device. Particles sit on the
    window that the beam meets first, which widens it; the liquid behind them blurs nothing and scatters into the
    background.
    """

    facts: ClassVar[Facts] = Facts(
        name="growth",
        extent_nm=EXTENT_NM,
        cells=8,
        times_s=(150.0, 300.0, 450.0, 600.0),
        fields={"covered_fraction": "", "count": "", "mean_radius_nm": "nm"},
        globals={"growth_rate": "nm^2/s", "beam_coupling": ""},
        budget_electrons=4e8,
        max_fluence_e_per_A2=20.0,
        column=Column(above=((NITRIDE, WINDOW_NM),)),
        holder=Holder(temperature_K=ROOM_K, bias_V=0.0, flow_nl_per_s=FLOW_REFERENCE_NL_PER_S),
        sources=(
            "Kinetics: diffusion-limited growth, Zener, J. Appl. Phys. 20 (1949) 950",
            "Attachment before supply: discovery.researcher.life/topic/dependence-of-growth-kinetics/19704069",
            "Ripening: Lifshitz and Slyozov, J. Phys. Chem. Solids 19 (1961) 35; Wagner, Z. Elektrochem. 65 (1961) 581",
            "Particles at a window: Verch et al., Langmuir 31 (2015) 6956; Jamali et al., PNAS 118 (2021) e2017616118",
            "Thickness of the liquid: Wu et al., Small Methods 5 (2021) 2001287",
            "Radiolysis: Schneider et al., J. Phys. Chem. C 118 (2014) 22373",
            "Assumed: 2 um, ten minutes, 1 e/A^2 on all of it, 20 on a place, medians and spreads of rates, bulging",
        ),
        shortcuts=LEARNING_SMOOTH,
    )
    extent_nm = EXTENT_NM
    materials = (COPPER, ZIRCONIA, WATER, NITRIDE)

    def __init__(self, *seeds: int, device: torch.device | str = "cpu", draws: Sequence[Draw] | None = None) -> None:
        self.device = torch.device(device)
        self.world = GrowthWorld(seeds, self.device, draws)
        self._thickening = [each.thickening for each in self.world.draws]
        debris, windows = zip(*(_drawn(seed) for seed in seeds), strict=True)
        self._debris_world = torch.repeat_interleave(torch.tensor([len(each) for each in debris])).to(self.device)
        beads = torch.from_numpy(np.concatenate(debris)).to(self.device)
        self.debris_position_nm, self.debris_radius_nm = beads[:, :2], beads[:, 2]
        self._window = Bulging(windows, EXTENT_NM / 2, self.device)

    def set_holder(self, holder: Holder) -> None:
        """Take the set points of flow and temperature."""
        self.world.set_holder(holder.flow_nl_per_s or 0.0, holder.temperature_K or ROOM_K)

    def advance_to(self, clock_s: float) -> None:
        """Let the particles nucleate, grow and merge."""
        self.world.advance_to(clock_s)

    def expose(self, world: int, box_nm: Box, electrons: float) -> None:
        """Turn electrons into radicals where they fell."""
        self.world.expose(world, box_nm, electrons)

    def height_nm(self, x_nm: Tensor, y_nm: Tensor, worlds: Sequence[int] | None = None) -> Tensor:
        """A window that bulges towards the gun, on a slightly tilted chip."""
        return self._window.height_nm(x_nm, y_nm, worlds)

    def liquid_nm(self, grids: Sequence[Grid]) -> Tensor:
        """Distance between the windows at each pixel, (B, H, W) nm."""
        shares = torch.tensor([self._thickening[world] for world in worlds_of(grids)], device=self.device)
        return WATER_NM + shares.double()[:, None, None] * self._window.bulge_nm(grids)

    def project(self, grids: Sequence[Grid]) -> Tensor:
        """Projected copper, debris, water and nitride, (B, 4, H, W) nm; solids displace water."""
        seen = torch.tensor(worlds_of(grids), device=self.device)
        scan, site = torch.nonzero(self.world.radius_nm[seen] > 0).unbind(-1)
        beads = torch.nonzero(self._debris_world == seen[:, None])
        # Debris goes on maps of its own, behind those of the copper, so that one call draws both.
        drawn = draw_spheres(
            [*grids, *grids],
            torch.cat([scan, len(grids) + beads[:, 0]]),
            torch.cat([self.world.position_nm[seen[scan], site], self.debris_position_nm[beads[:, 1]]]),
            torch.cat([self.world.radius_nm[seen[scan], site], self.debris_radius_nm[beads[:, 1]]]),
        )
        copper, debris = drawn.chunk(2)
        water = (self.liquid_nm(grids) - copper - debris).clamp_(min=0.0)
        nitride = torch.full((), NITRIDE_NM, dtype=torch.float64, device=self.device).expand_as(copper)
        return torch.stack([copper, debris, water, nitride], dim=1)

    def potential_V_nm(self, grids: Sequence[Grid]) -> Tensor:
        """Mean inner potentials times thickness, (B, H, W) V nm."""
        return mean_potential_V_nm(self.project(grids), self.materials)

    def fields(self) -> dict[str, Tensor]:
        """Covered fraction, count, and mean radius of the particles whose centre lies in the cell (0 where none)."""
        position, radius = self.world.position_nm, self.world.radius_nm
        alive = (radius >= BIRTH_RADIUS_NM).to(radius)
        count, total = self._binned(position, alive), self._binned(position, radius * alive)
        covered = torch.zeros_like(count)
        offsets = disc_points(RINGS).to(self.device)
        for offset in offsets:
            place = position + radius[..., None] * offset
            covered += self._binned(place, math.pi * radius**2 * alive / len(offsets))
        return {
            "covered_fraction": (covered / (EXTENT_NM / self.facts.cells) ** 2).clamp(max=1.0),
            "count": count,
            "mean_radius_nm": total / count.clamp(min=1.0),
        }

    def globals(self) -> dict[str, Tensor]:
        """K of d(r^2)/dt where diffusion limits it, and kappa by which radicals speed everything up."""
        draws = self.world.draws
        return {
            "growth_rate": torch.tensor([d.growth_rate_nm2_per_s for d in draws], dtype=torch.float64),
            "beam_coupling": torch.tensor([d.beam_coupling for d in draws], dtype=torch.float64),
        }

    def _binned(self, position_nm: Tensor, weight: Tensor) -> Tensor:
        return binned(position_nm, weight, EXTENT_NM, self.facts.cells)


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
