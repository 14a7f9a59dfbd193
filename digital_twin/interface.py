"""The interface world as a specimen: brass grows from an electrode into the liquid between two thin windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from digital_twin.conditions import ROOM_K
from digital_twin.detectors import Column
from digital_twin.front import (
    COLUMN_NM,
    ELECTRODE_NM,
    EXTENT_NM,
    MARGIN_NM,
    MOST_V,
    REFERENCE_V,
    Front,
    velocity_nm_per_s,
)
from digital_twin.maps import places_nm, sampled
from digital_twin.materials import COPPER, NITRIDE, PLATINUM, WATER, ZINC, mean_potential_V_nm
from digital_twin.optics import Array
from digital_twin.specimen import Box, Grid, worlds_of
from digital_twin.windows import Bulging
from digital_twin.world import LEARNING_SMOOTH, Facts
from hardware_bridge.messages import Holder

LIQUID_NM = 120.0
DEPOSIT_NM = 70.0
ELECTRODE_THICK_NM = 20.0
NITRIDE_NM = 60.0
"""Two silicon nitride windows of 30 nm."""

BEVEL_NM = 24.0
"""Over this width the thickness of the deposit falls to nothing, in the middle of which the front lies."""

GRAIN_NM, GRAIN_SD = 45.0, 0.10
"""Size of grains, and spread of their thickness."""

TEXTURE_CELL_NM = 16.0
SAMPLES = 2
"""Places across a pixel at which the height of the front is taken."""

BULGE_NM = 900.0
HALF_NM = EXTENT_NM / 2 + MARGIN_NM


class Interface:
    """Worlds of a growing electrode, seen by the beam: a batch, of one where one seed is given.

    ``covered_fraction`` of a cell is the share of its area that the deposit covers, ``zinc_fraction`` the atomic
    fraction of zinc in what is there, 0 where nothing is.
    """

    facts: ClassVar[Facts] = Facts(
        name="interface",
        extent_nm=EXTENT_NM,
        cells=8,
        times_s=(150.0, 300.0, 450.0, 600.0),
        fields={"covered_fraction": "", "zinc_fraction": ""},
        globals={
            "front_velocity": "nm/s",
            "spreading_speed": "nm/s",
            "zinc_slope": "",
            "beam_deposition": "nm/s",
        },
        budget_electrons=4e8,
        max_fluence_e_per_A2=20.0,
        column=Column(),
        holder=Holder(temperature_K=ROOM_K, bias_V=REFERENCE_V, flow_nl_per_s=5.0),
        sources=(
            "System, extent and kinetic roughening: Schneider et al., Nat. Commun. 8 (2017) 2174",
            "Exchange current, transfer coefficient, molar volume, limiting current: NIST, extremefill2D",
            "Zinc against current density: Yang, Kang and Lee, J. Korean Inst. Met., deposits of 0 to 30 % zinc",
            "Radiolysis: Lee et al., Phys. Chem. Chem. Phys. 2021, 10.1039/d0cp06369j",
            "Assumed: ten minutes, 1 e/A^2 on all of it, 20 on a place as in the growth world, spreads of rates",
        ),
        rows_alike=False,
        shortcuts=LEARNING_SMOOTH,
    )
    extent_nm = EXTENT_NM
    materials = (COPPER, ZINC, PLATINUM, WATER, NITRIDE)

    def __init__(self, *seeds: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.front = Front(seeds, self.device)
        textures, windows = zip(*(_drawn(seed) for seed in seeds), strict=True)
        self._texture = torch.from_numpy(np.stack(textures)).to(self.device)
        self._window = Bulging(windows, EXTENT_NM / 2, self.device)

    def set_holder(self, holder: Holder) -> None:
        """Take the set point of the bias: overpotential of the electrode, negative deposits, positive dissolves."""
        self.front.set_point_V = min(max(holder.bias_V or 0.0, -MOST_V), MOST_V)

    def advance_to(self, clock_s: float) -> None:
        """Let the front move in whole ticks."""
        self.front.advance_to(clock_s)

    def expose(self, world: int, box_nm: Box, electrons: float) -> None:
        """Take electrons spread evenly over a box of one world during the running tick."""
        self.front.expose(world, box_nm, electrons)

    def height_nm(self, x_nm: Tensor, y_nm: Tensor, worlds: Sequence[int] | None = None) -> Tensor:
        """A window that bulges towards the gun, on a slightly tilted chip."""
        return self._window.height_nm(x_nm, y_nm, worlds)

    def project(self, grids: Sequence[Grid]) -> Tensor:
        """Projected copper, zinc, platinum, water and nitride, (B, 5, H, W) nm; solids displace water."""
        place_nm, pixel_nm = places_nm(grids, self.device)
        at, seen = place_nm / HALF_NM, worlds_of(grids)
        deposit = self._grown(place_nm, pixel_nm, seen) * sampled(self._texture[seen], at)
        # Atoms of zinc take more room than those of copper: shares of volume from shares of atoms.
        zinc = sampled(self.front.zinc[seen], at)
        zinc_nm = deposit * zinc / (zinc + (1 - zinc) * (ZINC.formula_per_nm3 / COPPER.formula_per_nm3))
        platinum = _below((ELECTRODE_NM - place_nm[..., 1]) / pixel_nm) * ELECTRODE_THICK_NM
        water = (LIQUID_NM - deposit - platinum).clamp_(min=0.0)
        nitride = torch.full((), NITRIDE_NM, dtype=torch.float64, device=self.device).expand_as(water)
        return torch.stack([deposit - zinc_nm, zinc_nm, platinum, water, nitride], dim=1)

    def potential_V_nm(self, grids: Sequence[Grid]) -> Tensor:
        """Mean inner potentials times thickness, (B, H, W) V nm."""
        return mean_potential_V_nm(self.project(grids), self.materials)

    def _grown(self, place_nm: Tensor, pixel_nm: Tensor, seen: list[int]) -> Tensor:
        """Mean thickness of the deposit over each pixel, (B, H, W) nm, of grains that are all alike.

        The height of the front is linear between columns, and taken at some places across the pixel.
        """
        width_nm = torch.hypot(pixel_nm, torch.tensor(BEVEL_NM, dtype=torch.float64))
        total = -SAMPLES * _below((ELECTRODE_NM - place_nm[..., 1]) / width_nm)
        for sample in range(SAMPLES):
            aside = pixel_nm[..., None] * ((sample + 0.5) / SAMPLES - 0.5)
            height = sampled(self.front.height_nm[seen, None], (place_nm + aside) / HALF_NM)
            total += _below((height - place_nm[..., 1]) / width_nm)
        return total * (DEPOSIT_NM / SAMPLES)

    def fields(self) -> dict[str, Tensor]:
        """Covered fraction and mean zinc fraction of each cell."""
        cells, inside = self.facts.cells, slice(round(MARGIN_NM / COLUMN_NM), -round(MARGIN_NM / COLUMN_NM))
        bottom = self.front.bottom_nm[inside, None]
        above = (self.front.height_nm[:, None, inside] - bottom).clamp(0.0, COLUMN_NM) / COLUMN_NM
        filled = torch.where(bottom < ELECTRODE_NM, 0.0, above)
        maps = torch.stack([filled, filled * self.front.zinc[:, inside, inside]], dim=1)
        size = filled.shape[-1] // cells
        by_cell = maps.view(-1, 2, cells, size, cells, size).mean(dim=(3, 5))
        covered, of_zinc = by_cell.flatten(2).unbind(1)
        return {"covered_fraction": covered, "zinc_fraction": of_zinc / covered.clamp(min=1e-12)}

    def globals(self) -> dict[str, Tensor]:
        """Velocity and spreading speed at the reference bias, change of zinc per e-fold of current, and kappa."""
        names = ("exchange_nm_per_s", "spreading_nm_per_s", "zinc_slope", "beam_coupling_nm_per_s")
        drawn = [[getattr(each, name) for name in names] for each in self.front.draws]
        exchange, spreading, slope, coupling = torch.tensor(drawn, dtype=torch.float64).T
        return {
            "front_velocity": velocity_nm_per_s(exchange, torch.full_like(exchange, REFERENCE_V)),
            "spreading_speed": spreading,
            "zinc_slope": slope,
            "beam_deposition": coupling,
        }


def _below(edges: Tensor) -> Tensor:
    """How much of something lies below its edge, so many widths of the edge above; changes what it is given."""
    return edges.add_(0.5).clamp_(0.0, 1.0)


def _drawn(seed: int) -> tuple[Array, tuple[float, ...]]:
    """Relative thickness of grains on a square map, and the window: middle (x, y) nm, bulge nm, tilt (x, y)."""
    random = np.random.default_rng([seed, 33])
    size = round((EXTENT_NM + 2 * MARGIN_NM) / TEXTURE_CELL_NM)
    k = 2 * math.pi * np.hypot(np.fft.fftfreq(size, TEXTURE_CELL_NM)[:, None], np.fft.rfftfreq(size, TEXTURE_CELL_NM))
    noise = np.fft.irfft2(np.fft.rfft2(random.standard_normal((size, size))) * np.exp(-((k * GRAIN_NM / 2) ** 2) / 2))
    middle, tilt = random.uniform(-300.0, 300.0, 2), random.normal(0.0, 0.15, 2)
    bulge = BULGE_NM * math.exp(0.3 * random.standard_normal())
    return np.clip(1 + GRAIN_SD * noise / noise.std(), 0.5, 1.5), (*middle.tolist(), bulge, *tilt.tolist())
