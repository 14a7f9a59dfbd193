"""Discs of gold that dissolve: each loses radius at one rate, faster where the beam has been."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from digital_twin.detectors import Column
from digital_twin.materials import CARBON, GOLD, mean_potential_V_nm
from digital_twin.specimen import Box, Grid, draw_spheres, worlds_of
from digital_twin.world import Facts, binned
from hardware_bridge.messages import Holder

EXTENT_NM, DISCS, TICK_S, FILM_NM, REFERENCE_E = 1000.0, 80, 0.5, 20.0, 1e6


class Dissolving:
    """A batch of worlds, one a seed; what is random in one follows from its seed alone."""

    facts: ClassVar[Facts] = Facts(
        name="dissolving", extent_nm=EXTENT_NM, cells=4, times_s=(60.0, 120.0),
        fields={"mean_radius_nm": "nm", "count": ""}, globals={"rate": "nm/s", "beam_coupling": ""},
        budget_electrons=1e8, max_fluence_e_per_A2=50.0, column=Column(), holder=Holder(temperature_K=300.0),
        sources=("An example: its numbers come from nowhere",))  # fmt: skip
    extent_nm, materials = EXTENT_NM, (GOLD, CARBON)

    def __init__(self, *seeds: int, device: torch.device | str = "cpu") -> None:
        self.device, self.clock_s, self.heat = torch.device(device), 0.0, 1.0
        random = [np.random.default_rng([seed, 10]) for seed in seeds]
        place, radius = ([g.uniform(*span) for g in random] for span in ((-500, 500, (DISCS, 2)), (5, 20, DISCS)))
        rate, coupling = ([g.lognormal(*spread) for g in random] for spread in ((-3, 0.3), (0, 0.5)))
        self.place_nm, self.radius_nm, self.rate, self.coupling = (
            torch.from_numpy(np.stack(each)).to(self.device) for each in (place, radius, rate, coupling)
        )
        self.dose = torch.zeros_like(self.radius_nm)

    def set_holder(self, holder: Holder) -> None:
        """10 K are a factor of two."""
        self.heat = 2 ** (((holder.temperature_K or 300.0) - 300.0) / 10)

    def advance_to(self, clock_s: float) -> None:
        """Run whole ticks."""
        while self.clock_s + TICK_S <= clock_s + 1e-9:
            faster = 1 + self.coupling[:, None] * self.dose / REFERENCE_E
            lost_nm = self.heat * self.rate[:, None] * faster * TICK_S
            self.radius_nm, self.clock_s = (self.radius_nm - lost_nm).clamp(min=0.0), self.clock_s + TICK_S

    def expose(self, world: int, box_nm: Box, electrons: float) -> None:
        """A disc in the box takes its share of the electrons, by its area."""
        (x, y), (left, right, top, bottom) = self.place_nm[world].T, box_nm
        share = torch.pi * self.radius_nm[world] ** 2 / ((right - left) * (bottom - top))
        self.dose[world] += electrons * share * ((x >= left) & (x < right) & (y >= top) & (y < bottom))

    def height_nm(self, x_nm: Tensor, y_nm: Tensor, worlds: Sequence[int] | None = None) -> Tensor:
        """Flat."""
        return torch.zeros_like(x_nm)

    def project(self, grids: Sequence[Grid]) -> Tensor:
        """Gold and carbon under one scan of each world, (B, 2, H, W) nm."""
        radius_nm, place_nm = self.radius_nm[worlds_of(grids)], self.place_nm[worlds_of(grids)]
        scan, disc = torch.nonzero(radius_nm > 0).unbind(-1)
        gold = draw_spheres(grids, scan, place_nm[scan, disc], radius_nm[scan, disc])
        return torch.stack([gold, torch.full_like(gold, FILM_NM)], dim=1)

    def potential_V_nm(self, grids: Sequence[Grid]) -> Tensor:
        """Mean inner potentials, (B, H, W) V nm."""
        return mean_potential_V_nm(self.project(grids), self.materials)

    def fields(self) -> dict[str, Tensor]:
        """Mean radius and number of the discs in each cell, now."""
        alive = (self.radius_nm > 0).double()
        count, total = (binned(self.place_nm, each, EXTENT_NM, 4) for each in (alive, self.radius_nm))
        return {"mean_radius_nm": total / count.clamp(min=1.0), "count": count}

    def globals(self) -> dict[str, Tensor]:
        """What is hidden of each world."""
        return {"rate": self.rate, "beam_coupling": self.coupling}
