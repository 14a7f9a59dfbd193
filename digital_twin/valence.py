"""The valence world as a specimen: iron phosphate particles on carbon, in which Fe2+ becomes Fe3+ and little else.

Particles keep their iron where it was, so that images barely change; the change of their volume, 7 %, is taken along
the beam alone. What the beam reduces back to Fe2+ stays so, whatever its particle does: exp(-fluence / critical) of a
place is left to be Fe3+. Beams reduce such materials: Mn4+ at some 2e4 e/A^2 (L. A. J. Garvie and A. J. Craven,
Ultramicroscopy 54 (1994) 83); lithium carbonate is lost at 750 e/A^2 (PMC4100024). The latter is the median for iron
phosphate here, an assumption.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from digital_twin.cathode import REFERENCE_K, REFERENCE_V, Cathode, drive
from digital_twin.conditions import Conditions
from digital_twin.detectors import Column
from digital_twin.maps import places_nm, sampled
from digital_twin.materials import CARBON, FEPO4, LIFEPO4, mean_potential_V_nm
from digital_twin.mosaic import CELL_NM, EXTENT_NM, FINE_NM, HALF_NM, MARGIN_NM, owners, thickness_nm
from digital_twin.radiolysis import shares
from digital_twin.specimen import Box, Grid, worlds_of
from digital_twin.world import LEARNING_SMOOTH, Facts
from hardware_bridge.messages import Holder

CARBON_NM = 20.0
LEVELS = 4
"""Maps of thickness, each half as fine as the one before: the one that suits the pixels is sampled."""

WAVE = 0.1
"""Share of a particle over which the wave that goes through it is spread."""

WANDERING = Conditions(zero_loss_wander_eV=0.4)
"""The zero loss drifts, which spectra that hold it too (dual EELS) show: 2 ppm of 200 kV, see ``Conditions``."""


class Valence:
    """Worlds of iron phosphate, seen by the beam: a batch, of one where one seed is given.

    ``oxidation_state`` is the mean valence of iron in a cell, 2 to 3; in a cell without iron it is 2.
    """

    facts: ClassVar[Facts] = Facts(
        name="valence",
        extent_nm=EXTENT_NM,
        cells=8,
        times_s=(150.0, 300.0, 450.0, 600.0),
        fields={"oxidation_state": ""},
        globals={
            "conversion_rate": "1/s",
            "waking_rate": "1/s",
            "spreading_rate": "1/s",
            "reduction_fluence": "e/A^2",
        },
        budget_electrons=1e9,
        max_fluence_e_per_A2=300.0,
        column=Column(
            convergence_mrad=10.0,
            collection_mrad=30.0,
            energy_offset_eV=-15.0,
            energy_step_eV=0.75,
            energy_channels=1024,
            energy_fwhm_eV=0.9,
        ),
        conditions=WANDERING,
        holder=Holder(temperature_K=REFERENCE_K, bias_V=REFERENCE_V, flow_nl_per_s=0.0),
        sources=(
            "Particles and pathways: Brunetti et al., Chem. Mater. 23 (2011); Delmas et al., Nat. Mater. 7 (2008)",
            "Waking, filling: Bai and Tian, arXiv 1210.7199; activation energy: Oyama et al., J. Phys. Chem. C (2012)",
            "Operando STEM-EELS of a solid battery: Nomura et al., Nano Lett. (2018)",
            "Fluences of 500 to 750 e/A^2 for spectra of battery materials: PMC4100024, figure 1",
            "One by one in a flow cell: Nanoscale imaging of lithium ion distribution, arXiv 2013 (abstract)",
            "Assumed: 2 um, ten minutes, 2.4 e/A^2 on all of it, 300 on a place, medians and spreads of rates",
        ),
        shortcuts=LEARNING_SMOOTH,
    )
    extent_nm = EXTENT_NM
    materials = (LIFEPO4, FEPO4, CARBON)

    def __init__(self, *seeds: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.cathode = Cathode(seeds, self.device)
        fine = [thickness_nm(each) for each in self.cathode.placed]
        self._iron_nm = [torch.from_numpy(np.stack(fine)).to(self.device)]
        for _ in range(LEVELS - 1):
            self._iron_nm.append(avg_pool2d(self._iron_nm[-1], 2))
        iron = self._iron_nm[1].cpu().numpy()
        whose, ranks = zip(*map(owners, self.cathode.placed, iron), strict=True)
        self._owner, self._rank = (torch.from_numpy(np.stack(each)).to(self.device) for each in (whose, ranks))
        self._fluence_e_per_A2 = torch.zeros_like(self._rank)
        critical = [each.reduction_e_per_A2 for each in self.cathode.draws]
        self._critical = torch.tensor(critical, dtype=torch.float64, device=self.device)[:, None, None]

    def set_holder(self, holder: Holder) -> None:
        """Take the set points of overpotential, positive takes lithium out, and temperature."""
        self.cathode.set_point = drive(holder.bias_V or 0.0, holder.temperature_K or REFERENCE_K)

    def advance_to(self, clock_s: float) -> None:
        """Let particles be converted in whole ticks."""
        self.cathode.advance_to(clock_s)

    def expose(self, world: int, box_nm: Box, electrons: float) -> None:
        """Take electrons spread evenly over a box of one world."""
        part = shares(box_nm, -HALF_NM, CELL_NM, self._fluence_e_per_A2[world])
        self._fluence_e_per_A2[world] += electrons / (10 * CELL_NM) ** 2 * part

    def height_nm(self, x_nm: Tensor, y_nm: Tensor, worlds: Sequence[int] | None = None) -> Tensor:
        """The film is flat."""
        return torch.zeros_like(x_nm)

    def oxidised(self) -> Tensor:
        """Share of the iron that is Fe3+ in each cell of CELL_NM, (B, G, G), row is y."""
        x = self.cathode.converted
        # Where the wave stands in each particle, so that x is converted: it enters and leaves over WAVE.
        into, out = (2 * WAVE * x).sqrt(), 1 + WAVE - (2 * WAVE * (1 - x)).sqrt()
        stand = torch.where(x < WAVE / 2, into, torch.where(x > 1 - WAVE / 2, out, x + WAVE / 2))
        reached = stand.gather(1, self._owner.flatten(1)).view_as(self._rank)
        share = ((reached - self._rank) / WAVE).clamp_(0.0, 1.0)
        return share * torch.exp(-self._fluence_e_per_A2 / self._critical)

    def project(self, grids: Sequence[Grid]) -> Tensor:
        """Projected lithium iron phosphate, iron phosphate and carbon, (B, 3, H, W) nm."""
        seen, at = worlds_of(grids), places_nm(grids, self.device)[0] / HALF_NM
        iron_nm = self._thickness_nm(grids, seen, at)
        third = sampled(self.oxidised()[seen], at) * iron_nm
        smaller = LIFEPO4.formula_per_nm3 / FEPO4.formula_per_nm3
        carbon = torch.full((), CARBON_NM, dtype=torch.float64, device=self.device).expand_as(third)
        return torch.stack([iron_nm - third, third * smaller, carbon], dim=1)

    def potential_V_nm(self, grids: Sequence[Grid]) -> Tensor:
        """Mean inner potentials times thickness, (B, H, W) V nm."""
        return mean_potential_V_nm(self.project(grids), self.materials)

    def _thickness_nm(self, grids: Sequence[Grid], seen: list[int], at: Tensor) -> Tensor:
        """Thickness of the particles, (B, H, W) nm, from the map that suits the pixels of each scan."""
        coarseness = [round(math.log2(max(grid.pixel_nm / FINE_NM, 1.0))) for grid in grids]
        found = torch.empty_like(at[..., 0])
        for level in range(LEVELS):
            those = [n for n, each in enumerate(coarseness) if min(each, LEVELS - 1) == level]
            if those:
                found[those] = sampled(self._iron_nm[level][[seen[n] for n in those]], at[those])
        return found

    def fields(self) -> dict[str, Tensor]:
        """Mean valence of the iron in each cell."""
        cells, inside = self.facts.cells, slice(round(MARGIN_NM / CELL_NM), -round(MARGIN_NM / CELL_NM))
        iron = self._iron_nm[1]
        maps = torch.stack([iron, iron * self.oxidised()], dim=1)[:, :, inside, inside]
        whole, third = avg_pool2d(maps, maps.shape[-1] // cells).flatten(2).unbind(1)
        return {"oxidation_state": 2 + third / whole.clamp(min=1e-12)}

    def globals(self) -> dict[str, Tensor]:
        """k, J and S of a particle of the usual size, and the fluence that leaves 1/e of Fe3+."""
        names = ("conversion_per_s", "waking_per_s", "spreading_per_s", "reduction_e_per_A2")
        drawn = [[getattr(each, name) for name in names] for each in self.cathode.draws]
        return dict(zip(self.facts.globals, torch.tensor(drawn, dtype=torch.float64).T, strict=True))
