"""The transformation world as a specimen: platelets of brucite on a heated window, turning into periclase.

Platelets lie flat, so the beam sees brucite along [0001] and periclase along [111], with their close-packed rows
parallel: (0001) || (111) and [11-20] || [110] (van Aken and Langenhorst, Eur. J. Mineral. 13 (2001) 329). Each grain
has its own thickness and is turned by its own angle. No magnesium is lost: the thickness of periclase is that of a
dense layer with as much magnesium, less than half of the brucite's; its pores are not drawn. Spots at 0.273 nm are
brucite's alone, those at 0.157 nm move to 0.149 nm, and HAADF darkens by what the water scattered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from digital_twin.dehydration import EXTENT_NM, INTERVALS, TEMPERATURE_REFERENCE_K, Dehydration, draw
from digital_twin.detectors import Column
from digital_twin.film import HEATED, Grains, cell_means, draw_grains, read_maps
from digital_twin.materials import BRUCITE, NITRIDE, PERICLASE
from digital_twin.potential import Lattice, pixel_places_nm
from digital_twin.specimen import Box, Grid, worlds_of
from digital_twin.speckle import speckle_V_nm
from digital_twin.world import LEARNING_CRYSTALS, Facts, binned
from hardware_bridge.messages import Holder

FILM_NM, FILM_SPREAD = 20.0, 0.15
WINDOW_NM = 10.0
GRAINS = 16
"""Grains along the edge of the film: 128 nm each."""

SHRINKAGE = BRUCITE.formula_per_nm3 / PERICLASE.formula_per_nm3
"""Thickness of periclase that holds the magnesium of 1 nm of brucite."""

FINEST_per_nm = 8.5
"""Reflections beyond this are too faint to be drawn."""

THERMAL_nm = 0.011
"""Thermal displacement of the atoms: half as much again as at room temperature, since squares go with T."""

HEXAGON = np.array([[1.0, 0.0], [-0.5, math.sqrt(0.75)]])
# Cells: A. P. Zhukhlistov et al., Crystallogr. Rep. 42 (1997) 841 (brucite), a = 0.4212 nm (periclase).
BRUCITE_0001 = Lattice.of_cell(
    0.3149 * HEXAGON,
    0.4769,
    [(12, 0, 0), *((z, *at) for z in (8, 1) for at in ((1 / 3, 2 / 3), (2 / 3, 1 / 3)))],
    thermal_nm=THERMAL_nm,
    finest_per_nm=FINEST_per_nm,
)
PERICLASE_111 = Lattice.of_cell(
    0.4212 / math.sqrt(2) * HEXAGON,
    0.4212 * math.sqrt(3),
    [(z, *at) for z in (12, 8) for at in ((0, 0), (1 / 3, 2 / 3), (2 / 3, 1 / 3))],
    thermal_nm=THERMAL_nm,
    finest_per_nm=FINEST_per_nm,
)
"""Three layers of each kind in a period of the cubic stacking: columns of both kinds, all alike."""


class Transformation:
    """Worlds of a film that transforms, a batch, of one where one seed is given. All random is keyed by seed."""

    facts: ClassVar[Facts] = Facts(
        name="transformation",
        extent_nm=EXTENT_NM,
        cells=8,
        times_s=(150.0, 300.0, 450.0, 600.0),
        fields={"phase_fraction": "", "nuclei": ""},
        globals={"growth_speed": "nm/s", "nucleation_rate": "1/um^2/s", "beam_coupling": "1/um^2 per e/A^2"},
        budget_electrons=4e8,
        max_fluence_e_per_A2=100.0,
        column=Column(convergence_mrad=1.0, source_fwhm_nm=0.1),
        holder=Holder(temperature_K=TEMPERATURE_REFERENCE_K, bias_V=0.0, flow_nl_per_s=0.0),
        sources=(
            "Nucleation and growth, 148 kJ/mol: Yue et al., Acta Phys. Chim. Sin. 21 (2005) 752",
            "570-770 K in vacuum: J. Phys. Chem. B 107 (2003) 2427",
            "Orientation, loss of mass, beam: van Aken and Langenhorst, Eur. J. Mineral. 13 (2001) 329",
            "Plates of 1 um: Electron microscopic study of the dehydration of brucite, researcher.life (abstract)",
            "Assumed: 2 um, ten minutes, plates of 0.1 um, tens of nuclei a um^2, 1 e/A^2 on all of it, 100 on a place",
        ),
        conditions=HEATED,
        shortcuts=LEARNING_CRYSTALS,
    )
    extent_nm = EXTENT_NM
    materials = (BRUCITE, PERICLASE, NITRIDE)

    def __init__(self, *seeds: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._seeds, self._draws = seeds, [draw(seed) for seed in seeds]
        self.film = Dehydration(seeds, self._draws, self.device)

    @cached_property
    def _platelets(self) -> tuple[Grains, Tensor]:
        """Grains, and maps (B, nodes, nodes) of the thickness in nm."""
        centres, angles, thicknesses = [], [], []
        for seed in self._seeds:
            random = np.random.default_rng([seed, 12])
            centres.append(draw_grains(random, EXTENT_NM, GRAINS))
            angles.append(random.uniform(0, math.pi / 3, GRAINS**2))
            thicknesses.append(FILM_NM * np.exp(FILM_SPREAD * random.standard_normal(GRAINS**2)))
        place, angle, thickness = (
            torch.from_numpy(np.stack(each)).to(self.device) for each in (centres, angles, thicknesses)
        )
        grains = Grains(place, angle, EXTENT_NM)
        owner = grains.owners(INTERVALS)
        return grains, thickness.gather(1, owner.flatten(1)).view_as(owner)

    def set_holder(self, holder: Holder) -> None:
        """Take the set point of the temperature."""
        self.film.window.set_holder(holder)

    def advance_to(self, clock_s: float) -> None:
        """Let the film change up to a time on the instrument's clock."""
        self.film.advance_to(clock_s)

    def expose(self, world: int, box_nm: Box, electrons: float) -> None:
        """Take electrons spread evenly over a box."""
        self.film.expose(world, box_nm, electrons)

    def height_nm(self, x_nm: Tensor, y_nm: Tensor, worlds: Sequence[int] | None = None) -> Tensor:
        """The window is tilted, and lifts with the temperature; it is in focus when hot."""
        return self.film.window.height_nm(x_nm, y_nm, worlds)

    def _layers(self, grids: Sequence[Grid], x_nm: Tensor, y_nm: Tensor) -> tuple[Tensor, Tensor]:
        """Thickness of brucite and of periclase at the pixels, (B, H, W) nm each."""
        pixel = torch.tensor([grid.pixel_nm for grid in grids], dtype=torch.float64, device=self.device)[:, None, None]
        seen = worlds_of(grids)
        maps = (self.film.arrival_nm[seen], self._platelets[1][seen])
        arrival, thickness = read_maps(maps, x_nm, y_nm, EXTENT_NM)
        # Exact means over pixels where a front is straight, and as sharp as the pixels are small.
        changed = ((self.film.reach_nm[seen, None, None] - arrival) / pixel + 0.5).clamp_(0.0, 1.0)
        return (1 - changed) * thickness, SHRINKAGE * changed * thickness

    def project(self, grids: Sequence[Grid]) -> Tensor:
        """Projected brucite, periclase and nitride, (B, 3, H, W) nm."""
        brucite, periclase = self._layers(grids, *pixel_places_nm(grids, self.device))
        return torch.stack([brucite, periclase, torch.full_like(brucite, WINDOW_NM)], dim=1)

    def potential_V_nm(self, grids: Sequence[Grid]) -> Tensor:
        """Both lattices, turned as the grain is, and the grain of the window, (B, H, W) V nm."""
        x_nm, y_nm = pixel_places_nm(grids, self.device)
        brucite, periclase = self._layers(grids, x_nm, y_nm)
        seeds, window = [self._seeds[n] for n in worlds_of(grids)], torch.full_like(brucite, WINDOW_NM)
        drawn = WINDOW_NM * NITRIDE.inner_potential_V + speckle_V_nm(grids, seeds, NITRIDE, window)
        grains, _ = self._platelets
        before_V, after_V = grains.lattices_V((BRUCITE_0001, PERICLASE_111), grids)
        return drawn + brucite * before_V + periclase * after_V

    def fields(self) -> dict[str, Tensor]:
        """The share of each cell that has changed, and the nuclei that came up in it."""
        share = self.film.changed()
        nuclei = binned(self.film.site_nm, self.film.nucleus.to(share), EXTENT_NM, self.facts.cells)
        return {"phase_fraction": cell_means(share, self.facts.cells), "nuclei": nuclei}

    def globals(self) -> dict[str, Tensor]:
        """Growth and nucleation at the reference temperature, and nuclei that the beam makes."""
        return {
            "growth_speed": torch.tensor([d.growth_speed_nm_per_s for d in self._draws], dtype=torch.float64),
            "nucleation_rate": torch.tensor([d.nucleation_per_um2_s for d in self._draws], dtype=torch.float64),
            "beam_coupling": torch.tensor([d.beam_coupling for d in self._draws], dtype=torch.float64),
        }
