"""The defects world as a specimen: a monolayer of MoS2 at atomic resolution, hot, and a beam that harms it.

What is asked for is how many sulfur vacancies, selenium and oxygen atoms each cell holds; tungsten on molybdenum's
sites stays where it is and gives a field its bearings. Everything that moves is in ``vacancies``. The crystal is a
flake of some 46 nm, turned by up to 30 degrees; beyond it is vacuum.

An atom is a point, with a third of a formula unit's volume, so that a pixel's thickness of an element times its area is
a number of atoms, and all together are as thick as the layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from digital_twin.conditions import Conditions
from digital_twin.detectors import Column
from digital_twin.materials import Material
from digital_twin.monolayer import LATTICE_NM, NOTHING, OXYGEN, PAIRS, ROW_NM, SELENIUM, SULFUR
from digital_twin.optics import Array
from digital_twin.points import draw_points
from digital_twin.potential import draw_atoms
from digital_twin.specimen import Box, Grid, worlds_of
from digital_twin.spectra import O_K, S_L3, Edge
from digital_twin.vacancies import Vacancies
from digital_twin.world import Facts, binned
from hardware_bridge.messages import Holder, Optics

EXTENT_NM = 32.0
TEMPERATURE_K = 473.0
LAYER_NM = 0.615
ATOM_NM3 = LATTICE_NM * ROW_NM * LAYER_NM / 3
DENSITY_G_PER_CM3 = 5.06
PLASMON_eV, PLASMON_WIDTH_eV = 21.7, 8.0
"""Of the 18 free valence electrons of MoS2, 28.816 eV sqrt(z rho / A); the width is an assumption."""

TILT_SD = 0.03
REACH_NM = 0.4


def _element(name: str, atomic_number: int, *edges: tuple[Edge, float]) -> Material:
    """One element of the layer: its volume and density are shares of the layer's."""
    return Material(name, 1 / ATOM_NM3, DENSITY_G_PER_CM3, ((atomic_number, 1),), PLASMON_eV, PLASMON_WIDTH_eV, edges)


ELEMENTS = (
    _element("molybdenum", 42),
    _element("sulfur", 16, (S_L3, 1)),
    _element("tungsten", 74),
    _element("selenium", 34),
    _element("oxygen", 8, (O_K, 1)),
)
CHALCOGENS = ((1, SULFUR), (3, SELENIUM), (4, OXYGEN))
"""Places among ELEMENTS and what is on a site."""


class Defects:
    """Worlds of one doped monolayer each, hot enough that its sulfur vacancies wander: a batch, one world a seed."""

    facts: ClassVar[Facts] = Facts(
        name="defects",
        extent_nm=EXTENT_NM,
        cells=8,
        times_s=(150.0, 300.0, 450.0, 600.0),
        fields={"vacancies": "", "dopants": "", "light_atoms": ""},
        globals={"displacement_cross_section": "barn", "hop_rate": "1/s"},
        budget_electrons=4e9,
        max_fluence_e_per_A2=3e5,
        column=Column(
            beam_energy_keV=80.0,
            convergence_mrad=30.0,
            collection_mrad=40.0,
            haadf_inner_mrad=60.0,
            haadf_outer_mrad=200.0,
            source_fwhm_nm=0.08,
            gun_fwhm_eV=0.3,
            all_orders=True,
        ),
        holder=Holder(temperature_K=TEMPERATURE_K, bias_V=0.0, flow_nl_per_s=0.0),
        sources=(
            "Damage of MoS2 by 55-90 kV: Speckmann et al., arXiv 2302.10529; hot: arXiv 2411.03200",
            "Densities of defects: Hong et al., Nat. Commun. 6 (2015) 6293",
            "Drift below 1 nm/min once settled: what makers promise for stages",
            "Assumed: 32 nm, ten minutes, its heat, 4e4 e/A^2 on all of it: 1e4 show a vacancy, 1e5 make one a cell",
        ),
        conditions=Conditions(
            decay_nm=2.0,
            wander_nm=0.3,
            jitter_nm=0.005,
            creep_nm=0.5,
            backlash_nm=0.5,
            position_sd_nm=0.3,
            C10_wander_nm=3.0,
            C12_wander_nm=1.0,
            C21_wander_nm=10.0,
            C23_wander_nm=10.0,
        ),
        optics=Optics(
            beam_current_pA=50.0,
            C10_nm=0.0,
            C12_nm=0.5,
            phi12_rad=0.4,
            C21_nm=10.0,
            phi21_rad=1.1,
            C23_nm=10.0,
            phi23_rad=-0.5,
            C30_um=0.5,
        ),
    )
    extent_nm = EXTENT_NM
    materials = ELEMENTS

    def __init__(self, *seeds: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        holder = self.facts.holder.temperature_K or TEMPERATURE_K
        self.crystal = Vacancies(seeds, self.facts.column.beam_energy_keV, holder, self.device)
        tilts = np.array([np.random.default_rng([seed, 13]).normal(0.0, TILT_SD, 2) for seed in seeds])
        self._tilt = torch.from_numpy(tilts).to(self.device)

    def set_holder(self, holder: Holder) -> None:
        """Take the set point of the temperature."""
        if holder.temperature_K is not None:
            self.crystal.set_point_K = holder.temperature_K

    def advance_to(self, clock_s: float) -> None:
        """Let vacancies wander."""
        self.crystal.advance_to(clock_s)

    def expose(self, world: int, box_nm: Box, electrons: float) -> None:
        """Knock sulfur out and vacancies about."""
        self.crystal.expose(world, box_nm, electrons)

    def height_nm(self, x_nm: Tensor, y_nm: Tensor, worlds: Sequence[int] | None = None) -> Tensor:
        """A flake that hangs a little tilted."""
        tilt = self._tilt if worlds is None else self._tilt[list(worlds)]
        slope_x, slope_y = (each.view(-1, *(1 for _ in x_nm.shape[1:])) for each in tilt.unbind(-1))
        return slope_x * x_nm + slope_y * y_nm

    def project(self, grids: Sequence[Grid]) -> Tensor:
        """Projected molybdenum, sulfur, tungsten, selenium and oxygen, (B, 5, H, W) nm."""
        scan, element, place, number = self._under(grids)
        area_nm2 = torch.tensor([grid.pixel_nm**2 for grid in grids], dtype=torch.float64, device=self.device)
        drawn = draw_points(
            [*grids] * len(ELEMENTS), element * len(grids) + scan, place, number * ATOM_NM3 / area_nm2[scan]
        )
        return drawn.view(len(ELEMENTS), len(grids), *drawn.shape[1:]).movedim(0, 1)

    def potential_V_nm(self, grids: Sequence[Grid]) -> Tensor:
        """Projected potential of all atoms, (B, H, W) V nm."""
        scan, element, place, number = self._under(grids)
        z = torch.tensor([material.atoms[0][0] for material in ELEMENTS], device=self.device)[element]
        single, double = (number >= 1).nonzero()[:, 0], (number == 2).nonzero()[:, 0]
        every = torch.cat([single, double])
        return draw_atoms(grids, scan[every], place[every], z[every])

    def fields(self) -> dict[str, Tensor]:
        """Vacancies, selenium and oxygen atoms in each cell, both layers together."""
        both = self.crystal.atoms.occupant.view(-1, 2, PAIRS)
        kinds = {"vacancies": NOTHING, "dopants": SELENIUM, "light_atoms": OXYGEN}
        return {
            name: binned(
                self.crystal.atoms.pair_nm, (both == kind).sum(1).to(torch.float64), EXTENT_NM, self.facts.cells
            )
            for name, kind in kinds.items()
        }

    def globals(self) -> dict[str, Tensor]:
        """Cross-section for knocking out sulfur, and rate of hopping, both at the temperature of the start."""
        sections = [self.crystal.displacement_barn(n, TEMPERATURE_K) for n in range(len(self.crystal.draws))]
        return {
            "displacement_cross_section": torch.tensor(sections, dtype=torch.float64),
            "hop_rate": self.crystal.hops_per_s(TEMPERATURE_K).cpu(),
        }

    def _under(self, grids: Sequence[Grid]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Atoms that scans may see, (N,) each: scan, place among ELEMENTS, where (N, 2) nm, and how many there."""
        atoms, seen = self.crystal.atoms, worlds_of(grids)
        pairs = atoms.under(_corners(grids), seen)
        worlds = torch.tensor(seen, device=self.device)[:, None]
        place, metal_nm = atoms.pair_nm[worlds, pairs], atoms.metal_nm[worlds[:, 0]]
        upper, lower = atoms.occupant[worlds, pairs], atoms.occupant[worlds, PAIRS + pairs]
        heavy = atoms.tungsten[worlds, pairs]
        counts = {0: (~heavy).long(), 2: heavy.long()}
        counts |= {m: (upper == kind).long() + (lower == kind).long() for m, kind in CHALCOGENS}
        found = []
        for kind, count in sorted(counts.items()):
            scan, at = count.nonzero().unbind(-1)
            where = place[scan, at]
            if kind in (0, 2):
                where = where + metal_nm[scan]
            found.append((scan, torch.full_like(scan, kind), where, count[scan, at]))
        scan, element, where, number = (torch.cat(part) for part in zip(*found, strict=True))
        return scan, element, where, number


def _corners(grids: Sequence[Grid]) -> Array:
    """Corners of boxes that hold all pixels of the scans and the reach of the atoms around them, (B, 4, 2) nm."""
    boxes = []
    for grid in grids:
        ends = np.concatenate([grid.origin_nm, grid.origin_nm + (grid.columns - 1) * grid.across_nm])
        (x0, y0), (x1, y1) = ends.min(axis=0) - REACH_NM, ends.max(axis=0) + REACH_NM
        boxes.append([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    return np.array(boxes)
