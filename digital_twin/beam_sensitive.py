"""The beam-sensitive world: crystallites of ZIF-8 that come into order one by one, and lose it under the beam.

In ticks of TICK_S on the specimen's clock, T the temperature that lags the holder's set point:
  nucleation   dH_i/dt = k p_n(T); grain i, amorphous so far, begins to order when H_i passes its own Exp(1)
  ordering     dc_i/dt = (1 - c_i) p_o(T) / RIPENING_S from then on; some START of the grains are in order at once
  damage       a reflection at q is left with exp(-D / D_c(q)) of its intensity, D the fluence that its place has taken
               (also before it was in order) and D_c(q) = D_c (q_coarse / q)^p
Truth with the beam off is the order, undamaged. What is lost never comes back: it has to be measured before.

ZIF-8 loses crystallinity at some 80 e/A^2 (electron beam damage of ZIF-8 in liquid cells, 2024, PubMed 39105722).
Nucleation and growth take 115.1 and 87.7 kJ/mol in solution (Moh et al., CrystEngComm 15 (2013) 9672). Exponent p:
exposures best for crystals of catalase fall from 20 e/A^2 at 2 nm to 10 e/A^2 at 0.3 nm, p = 0.37 (Baker et al., J.
Struct. Biol. 169 (2010) 431); p = 1 goes through many limits of dose (Howells et al., J. Electron Spectrosc. 170
(2009) 4). That dry precursors order at 373 K within minutes, and the spread of all numbers, are assumptions of this
world. Crystals lie on their {110} faces, as rhombic dodecahedra do, turned by any angle.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from digital_twin.detectors import Column
from digital_twin.film import Grains, Window, cell_means, draw_grains, nearest_image_nm, nodes_nm, pace, read_maps
from digital_twin.materials import CARBON, ZIF_8
from digital_twin.potential import Lattice, pixel_places_nm
from digital_twin.specimen import Box, Grid, worlds_of
from digital_twin.speckle import speckle_V_nm
from digital_twin.world import LEARNING_CRYSTALS, Facts
from hardware_bridge.messages import Holder

EXTENT_NM = 1024.0
GRAINS = 10
FILM_NM, FILM_SPREAD = 50.0, 0.25
SUPPORT_NM = 5.0
SUPPORT_GRAIN_NM = 2.4 * SUPPORT_NM
"""Amorphous ZIF-8 of as much grain as the carbon has: it has that many times the n f(0)^2."""

INTERVALS = 128
DOSE_CELLS = 64
"""Fluence is kept in squares of 16 nm: damage spreads some way beyond the electrons that do it."""

TICK_S = 1.0
TEMPERATURE_REFERENCE_K = 373.0
NUCLEATION_eV, ORDERING_eV = 1.193, 0.909
RIPENING_S = 40.0
START = 0.35
COARSE_nm, FINE_nm = 1.2, 0.4
"""Spacings at which the critical dose is asked for: {110}, and a third of it."""

FINEST_per_nm = 3.0
"""Reflections beyond this are too faint to be drawn."""

CUBE_nm = 1.6991
# The asymmetric unit in I-43m: K. S. Park et al., PNAS 103 (2006) 10186. Methyl groups lie in two ways, by halves.
WHOLE = (
    (30, (0.5, 0.0, 0.75)),
    (7, (0.40973, 0.96832, 0.68278)),
    (6, (0.37705, 0.00790, 0.62295)),
    (6, (0.36851, 0.89914, 0.68750)),
    (6, (0.40610, 0.08550, 0.59390)),
    (1, (0.37770, 0.85890, 0.72340)),
)
HALVES = (
    (1, (0.54130, 0.92020, 0.57430)),
    (1, (0.59420, 0.87720, 0.63640)),
    (1, (0.62760, 0.89610, 0.55250)),
)


def _copies(place: tuple[float, float, float]) -> set[tuple[float, ...]]:
    """All places in the cube, in parts of its edge, that are equal to one by the symmetry I-43m."""
    signs = [s for s in itertools.product((1, -1), repeat=3) if math.prod(s) == 1]
    return {
        tuple(round((sign * place[axis] + shift) % 1.0, 5) % 1.0 for sign, axis in zip(each, axes, strict=True))
        for axes in itertools.permutations(range(3))
        for each in signs
        for shift in (0.0, 0.5)
    }


def _zif_8_110() -> Lattice:
    """ZIF-8 along [110]: x along [1-10] with a period of a / sqrt 2, y along [001] with a / 2 (the cube is centred)."""
    atoms = [
        (z, (x - y) % 1.0, (2 * height) % 1.0)
        for kind in (WHOLE, WHOLE, HALVES)
        for z, place in kind
        for x, y, height in sorted(_copies(place))
    ]
    # Whole atoms are in it twice and halves once, in twice the volume of the cube.
    cell = CUBE_nm * np.diag([math.sqrt(0.5), 0.5])
    return Lattice.of_cell(cell, 4 * math.sqrt(2) * CUBE_nm, atoms, thermal_nm=0.02, finest_per_nm=FINEST_per_nm)


ZIF_8_110 = _zif_8_110()


@dataclass(frozen=True)
class Draw:
    """What differs from seed to seed: D_c at COARSE_nm, its exponent, and k at the reference temperature."""

    critical_dose_e_per_A2: float
    exponent: float
    ordering_per_s: float

    def critical_e_per_A2(self, q_per_nm: float) -> float:
        """The fluence that leaves 1/e of the intensity of a reflection."""
        return self.critical_dose_e_per_A2 * math.pow(q_per_nm * COARSE_nm, -self.exponent)


def draw(seed: int) -> Draw:
    """Draw the parameters of one seed, with log-normal spreads."""
    z = np.random.default_rng([seed, 10]).standard_normal(3)
    return Draw(80.0 * math.exp(0.4 * z[0]), 0.65 * math.exp(0.3 * z[1]), math.exp(0.4 * z[2]) / 400.0)


class BeamSensitive:
    """Worlds of a crystalline film that the beam destroys, a batch, of one where one seed is given.

    ``order`` (B, N) is how much of each grain is in order where it is not damaged, ``fluence_e_per_A2`` (B, cells,
    cells) what each place has taken, row is y. All that is random is keyed by seed.
    """

    facts: ClassVar[Facts] = Facts(
        name="beam_sensitive",
        extent_nm=EXTENT_NM,
        cells=8,
        times_s=(150.0, 300.0, 450.0, 600.0),
        fields={"order": "", "orientation_cos": "", "orientation_sin": "", "thickness_nm": "nm"},
        globals={
            "critical_dose_coarse": "e/A^2",
            "critical_dose_fine": "e/A^2",
            "critical_exponent": "",
            "ordering_rate": "1/s",
        },
        budget_electrons=4e7,
        max_fluence_e_per_A2=200.0,
        column=Column(convergence_mrad=0.8, source_fwhm_nm=0.1),
        holder=Holder(temperature_K=TEMPERATURE_REFERENCE_K, bias_V=0.0, flow_nl_per_s=0.0),
        sources=(
            "Critical dose 80 e/A^2: electron beam damage of ZIF-8 in liquid cells, PubMed 39105722 (2024)",
            "Its dependence on spacing: Baker et al., J. Struct. Biol. 169 (2010) 431; Howells et al., 2009",
            "Crystallisation, 115 and 88 kJ/mol: Moh et al., CrystEngComm 15 (2013) 9672",
            "Structure: Park et al., PNAS 103 (2006) 10186",
            "Five minutes of ordering, in solution: Soft Matter 2021, 10.1039/d0sm01356k (abstract)",
            "Assumed: 1 um, ten minutes, 0.4 e/A^2 on all of it, 200 where decay is measured, spreads of rates",
        ),
        shortcuts=LEARNING_CRYSTALS,
    )
    extent_nm = EXTENT_NM
    materials = (ZIF_8, CARBON)

    def __init__(self, *seeds: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._seeds, self._draws = seeds, [draw(seed) for seed in seeds]
        self.clock_s = 0.0
        self.window = Window(seeds, TEMPERATURE_REFERENCE_K, self.device)
        centres, turns, thicknesses, thresholds = [], [], [], []
        for seed in seeds:
            random = np.random.default_rng([seed, 12])
            centres.append(draw_grains(random, EXTENT_NM, GRAINS))
            turns.append(random.uniform(0, math.pi, GRAINS**2))
            thicknesses.append(FILM_NM * np.exp(FILM_SPREAD * random.standard_normal(GRAINS**2)))
            thresholds.append(random.exponential(size=GRAINS**2))
        centre, turn, thickness, self._threshold = (
            torch.from_numpy(np.stack(each)).to(self.device) for each in (centres, turns, thicknesses, thresholds)
        )
        self.grains = Grains(centre, turn, EXTENT_NM)
        self._thickness_nm = thickness
        self._rate = self._each([d.ordering_per_s for d in self._draws])[:, None]
        self._hazard = torch.full_like(self._threshold, -math.log1p(-START))
        self.order = (self._hazard >= self._threshold).to(self._hazard)
        self.fluence_e_per_A2 = torch.zeros(len(seeds), DOSE_CELLS, DOSE_CELLS, dtype=torch.float64, device=self.device)

    def _each(self, values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=self.device)

    def set_holder(self, holder: Holder) -> None:
        """Take the set point of the temperature."""
        self.window.set_holder(holder)

    def advance_to(self, clock_s: float) -> None:
        """Run whole ticks up to a time on the instrument's clock."""
        while self.clock_s + TICK_S <= clock_s + 1e-9:
            self.window.follow(TICK_S)
            at = (self.window.temperature_K, TEMPERATURE_REFERENCE_K)
            self._hazard += self._rate * (TICK_S * pace(*at, NUCLEATION_eV))
            gain = -math.expm1(-TICK_S / RIPENING_S * pace(*at, ORDERING_eV))
            self.order += (1 - self.order) * ((self._hazard >= self._threshold) * gain)
            self.clock_s += TICK_S

    def expose(self, world: int, box_nm: Box, electrons: float) -> None:
        """Take electrons spread evenly over a box; what lies beyond the film's edge falls on its repetition."""
        x0, x1, y0, y1 = box_nm
        shares = [self._shares(low, high) for low, high in ((y0, y1), (x0, x1))]
        cell_A2 = (10 * EXTENT_NM / DOSE_CELLS) ** 2
        self.fluence_e_per_A2[world] += electrons / cell_A2 * shares[0][:, None] * shares[1]

    def _shares(self, low_nm: float, high_nm: float) -> Tensor:
        """Which share of a stretch lies in each row or column of cells, (cells,)."""
        edge = nodes_nm(EXTENT_NM, DOSE_CELLS, self.device)[:, None]
        middle, half = (low_nm + high_nm) / 2, max(high_nm - low_nm, 1e-9) / 2
        images = nearest_image_nm(self._each([middle]), EXTENT_NM) + EXTENT_NM * self._each([-1.0, 0.0, 1.0])
        inside = torch.minimum(edge[1:], images + half) - torch.maximum(edge[:-1], images - half)
        return inside.clamp(min=0.0).sum(dim=1) / (2 * half)

    def height_nm(self, x_nm: Tensor, y_nm: Tensor, worlds: Sequence[int] | None = None) -> Tensor:
        """The window is tilted, and lifts with the temperature; it is in focus when hot."""
        return self.window.height_nm(x_nm, y_nm, worlds)

    @cached_property
    def _owner(self) -> Tensor:
        """Which grain the nodes of maps belong to, (B, nodes, nodes)."""
        return self.grains.owners(INTERVALS)

    def _map(self, of_grains: Tensor) -> Tensor:
        """Values (B, N) of the grains at nodes, (B, nodes, nodes)."""
        return of_grains.gather(1, self._owner.flatten(1)).view_as(self._owner)

    @cached_property
    def _thickness_map(self) -> Tensor:
        return self._map(self._thickness_nm)

    def _fluence_at(self, x_nm: Tensor, y_nm: Tensor, seen: list[int]) -> Tensor:
        """Fluence at points (B, H, W) of some worlds, by straight lines between the middles of cells."""
        half_nm = EXTENT_NM / DOSE_CELLS / 2
        around = pad(self.fluence_e_per_A2[seen, None], (0, 1, 0, 1), mode="circular")[:, 0]
        return read_maps([around], x_nm - half_nm, y_nm - half_nm, EXTENT_NM)[0]

    def _amplitude(
        self, q_per_nm: float, fluence_e_per_A2: Tensor, seen: list[int], out: Tensor | None = None
    ) -> Tensor:
        """What damage has left of the amplitude of a reflection, (B, H, W): intensities are its square."""
        critical = self._each([self._draws[n].critical_e_per_A2(q_per_nm) for n in seen])
        return torch.div(fluence_e_per_A2, -2 * critical[:, None, None], out=out).exp_()

    def project(self, grids: Sequence[Grid]) -> Tensor:
        """Projected ZIF-8, in order or not, and carbon, (B, 2, H, W) nm: no mass is lost."""
        places = pixel_places_nm(grids, self.device)
        (film,) = read_maps([self._thickness_map[worlds_of(grids)]], *places, EXTENT_NM)
        return torch.stack([film, torch.full_like(film, SUPPORT_NM)], dim=1)

    def potential_V_nm(self, grids: Sequence[Grid]) -> Tensor:
        """The lattice as far as it is in order and undamaged, and the grain of what is amorphous, (B, H, W) V nm."""
        x_nm, y_nm = pixel_places_nm(grids, self.device)
        seen = worlds_of(grids)
        maps = (self._thickness_map[seen], self._map(self.order)[seen])
        film, order = read_maps(maps, x_nm, y_nm, EXTENT_NM)
        fluence = self._fluence_at(x_nm, y_nm, seen)
        left = fluence.new_empty(len(ZIF_8_110.shells), *fluence.shape)
        for amplitude, (q_per_nm, _) in zip(left, ZIF_8_110.shells, strict=True):
            self._amplitude(q_per_nm, fluence, seen, out=amplitude).mul_(order)
        (crystal,) = self.grains.lattices_V((ZIF_8_110,), grids, left)
        amorphous = film * (1 - order * self._amplitude(1 / FINE_nm, fluence, seen))
        drawn = film * crystal + SUPPORT_NM * CARBON.inner_potential_V
        seeds = [self._seeds[n] for n in seen]
        return drawn + speckle_V_nm(grids, seeds, ZIF_8, amorphous + SUPPORT_GRAIN_NM)

    def fields(self) -> dict[str, Tensor]:
        """Means over cells: order (of coarse reflections), cos and sin of twice the angle where in order, thickness."""
        axis = nodes_nm(EXTENT_NM, INTERVALS, self.device)
        places = (axis.expand(self._owner.shape), axis[:, None].expand(self._owner.shape))
        seen = list(range(len(self._seeds)))
        order = self._map(self.order) * self._amplitude(1 / COARSE_nm, self._fluence_at(*places, seen), seen)
        turn = 2 * self._map(self.grains.turn_rad)
        fields = (order, order * turn.cos(), order * turn.sin(), self._thickness_map)
        means = (cell_means(each, self.facts.cells) for each in fields)
        return dict(zip(self.facts.fields, means, strict=True))

    def globals(self) -> dict[str, Tensor]:
        """Critical doses at two spacings, their exponent, and the rate at which grains begin to order."""
        return {
            "critical_dose_coarse": self._each([d.critical_e_per_A2(1 / COARSE_nm) for d in self._draws]),
            "critical_dose_fine": self._each([d.critical_e_per_A2(1 / FINE_nm) for d in self._draws]),
            "critical_exponent": self._each([d.exponent for d in self._draws]),
            "ordering_rate": self._each([d.ordering_per_s for d in self._draws]),
        }
