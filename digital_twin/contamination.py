"""Carbon that grows where the beam is: a specimen around any other.

Hydrocarbons that wander on the surface are cracked by the beam and stay. A deposit grows by rate x J / (1 + J / J_s), J
the dose rate: in proportion to the fluence while molecules follow fast enough, limited by their supply beyond, so that
it saturates with the current, and a dose that is given fast leaves less. That it does so: M. Hugenschmidt et al.,
Microsc. Microanal. 29 (2023) 219; that diffusion limits it in transmission at 300 kV: S. Hettler et al., Micron 96
(2017) 38. Heating by 150 K slows growth down about tenfold: G. S. Zhdanov and V. N. Vershner (1967) and the work they
cite. Of the first the abstract was read, of the second what others say of it, of the third the text. Rates differ from
specimen to specimen by orders of magnitude, which is why none is the default of a twin. Those of ``Contamination``, of
a clean specimen, are assumptions for which no source could be opened: 1 nm after 5e5 e/A^2, which a probe of 50 pA that
scans 64 nm gives in ten minutes, and half of that where the beam brings more than 1e4 e/A^2 a second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from digital_twin.conditions import ROOM_K
from digital_twin.layered import Layered, Worlds
from digital_twin.materials import CARBON
from digital_twin.potential import pixel_places_nm
from digital_twin.specimen import Box, Grid, worlds_of
from hardware_bridge.messages import Holder

TICK_S = 1.0
CELLS = 96
MARGIN = 0.25
"""How far the map reaches beyond the extent on each side, as a share of it; what falls farther out leaves nothing."""

TENFOLD_K = 150.0


@dataclass(frozen=True)
class Contamination:
    """How dirty a specimen is: nm of carbon a fluence, and the dose rate that halves it; off at a rate of zero."""

    nm_per_e_per_A2: float = 2e-6
    supply_e_per_A2_s: float = 1e4

    def __post_init__(self) -> None:
        if not (self.nm_per_e_per_A2 >= 0.0 and self.supply_e_per_A2_s > 0.0):
            raise ValueError(
                f"nm_per_e_per_A2 = {self.nm_per_e_per_A2:g} must not be below 0, "
                f"supply_e_per_A2_s = {self.supply_e_per_A2_s:g} must be above 0"
            )

    def grown_nm(self, fluence_e_per_A2: Tensor, seconds: float, temperature_K: float) -> Tensor:
        """Thickness that a fluence leaves when it is given evenly over a time, of its shape."""
        rate = self.nm_per_e_per_A2 * math.pow(10.0, -max(temperature_K - ROOM_K, 0.0) / TENFOLD_K)
        return rate * fluence_e_per_A2 / (1 + fluence_e_per_A2 / (seconds * self.supply_e_per_A2_s))


class Contaminated(Layered):
    """Worlds on which carbon grows; a specimen of one more material, all else is the worlds' own.

    ``carbon_nm`` (B, CELLS, CELLS), row is y, is how thick it is. Electrons are counted in ticks of TICK_S.
    """

    def __init__(self, worlds: Worlds, contamination: Contamination) -> None:
        super().__init__(worlds)
        self._contamination = contamination
        self.materials = (*worlds.materials, CARBON)
        self._half_nm = worlds.extent_nm * (0.5 + MARGIN)
        self._temperature_K = worlds.facts.holder.temperature_K or ROOM_K
        self._clock_s = 0.0
        self._electrons = torch.zeros(len(next(iter(worlds.globals().values()))), CELLS, CELLS, dtype=torch.float64)
        self._electrons = self._electrons.to(self.device)
        self.carbon_nm = torch.zeros_like(self._electrons)

    def set_holder(self, holder: Holder) -> None:
        """Take the set points; the carbon's growth follows the temperature at once."""
        self._temperature_K = holder.temperature_K or self._temperature_K
        self._worlds.set_holder(holder)

    def advance_to(self, clock_s: float) -> None:
        """Let the worlds go on and carbon grow."""
        self._worlds.advance_to(clock_s)
        while self._clock_s + TICK_S <= clock_s + 1e-9:
            self._clock_s += TICK_S
            if self._electrons.any():
                fluence = self._electrons / (20 * self._half_nm / CELLS) ** 2
                self.carbon_nm += self._contamination.grown_nm(fluence, TICK_S, self._temperature_K)
                self._electrons.zero_()

    def expose(self, world: int, box_nm: Box, electrons: float) -> None:
        """Spread electrons evenly over a box, for the worlds and for what lies on them."""
        self._worlds.expose(world, box_nm, electrons)
        x0, x1, y0, y1 = box_nm
        edges = torch.linspace(-self._half_nm, self._half_nm, CELLS + 1, dtype=torch.float64, device=self.device)
        wide = (edges[1:].clamp(max=x1) - edges[:-1].clamp(min=x0)).clamp(min=0.0) / (x1 - x0)
        high = (edges[1:].clamp(max=y1) - edges[:-1].clamp(min=y0)).clamp(min=0.0) / (y1 - y0)
        self._electrons[world] += electrons * high[:, None] * wide

    def project(self, grids: Sequence[Grid]) -> Tensor:
        """What the worlds project, and carbon last, (B, M + 1, H, W) nm."""
        return torch.cat([self._worlds.project(grids), self._carbon_under(grids)[:, None]], dim=1)

    def potential_V_nm(self, grids: Sequence[Grid]) -> Tensor:
        """The worlds' potential and that of carbon, which has no structure of its own here, (B, H, W) V nm."""
        return self._worlds.potential_V_nm(grids) + CARBON.inner_potential_V * self._carbon_under(grids)

    def _carbon_under(self, grids: Sequence[Grid]) -> Tensor:
        """Thickness at the pixels, interpolated between the middles of cells, (B, H, W) nm."""
        x, y = pixel_places_nm(grids, self.device)
        points = torch.stack([x, y], dim=-1) / self._half_nm
        return grid_sample(self.carbon_nm[worlds_of(grids), None], points, align_corners=False)[:, 0]
