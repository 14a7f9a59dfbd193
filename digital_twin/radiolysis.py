"""What the beam leaves in a liquid: radicals that spread beyond the field and decay, on a coarse grid of each world.

dR/dt = (S - R) / tau + (L^2 / tau) lap R, with S the dose rate averaged over a tick in units of ``REFERENCE``. One
effective species stands for all products; its life and length are assumptions. That what counts is how the electrons
are spread over time and place, and that products reach beyond the field, is shown by J. Lee et al., Phys. Chem. Chem.
Phys. 2021, doi 10.1039/d0cp06369j.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from digital_twin.specimen import Box

LIFE_S = 4.0
LENGTH_NM = 120.0
CELL_NM = 64.0
REFERENCE_E_PER_A2_S = 0.05


class Radicals:
    """Levels (B, G, G), row is y, over a square of ``edge_nm`` around the origin that closes on itself."""

    def __init__(self, worlds: int, edge_nm: float, tick_s: float, device: torch.device) -> None:
        cells = round(edge_nm / CELL_NM)
        self._origin_nm, self._tick_s = -edge_nm / 2, tick_s
        self.level = torch.zeros(worlds, cells, cells, dtype=torch.float64, device=device)
        self._deposit = torch.zeros_like(self.level)
        # Eigenvalues of the five-point Laplacian: unlike those of the continuum it keeps every level positive.
        turn = 2 * math.pi * torch.arange(cells, dtype=torch.float64, device=device) / cells
        k2 = (2 - 2 * torch.cos(turn)) / CELL_NM**2
        rate = (1 + LENGTH_NM**2 * (k2[:, None] + k2[None, :])) / LIFE_S
        self._decay = torch.exp(-rate * tick_s)
        self._made = -torch.expm1(-rate * tick_s) / rate / LIFE_S
        # Complex transforms: real ones may round otherwise in a batch.
        self._spectrum = torch.fft.fft2(self.level)
        self._lit, self.quiet = False, True

    def expose(self, world: int, box_nm: Box, electrons: float) -> None:
        """Spread electrons evenly over a box of one world during the running tick."""
        cell_A2 = (10 * CELL_NM) ** 2
        self._deposit[world] += electrons / cell_A2 * shares(box_nm, self._origin_nm, CELL_NM, self.level[world])
        self._lit, self.quiet = True, False

    def tick(self) -> None:
        """Let a tick pass; costs nothing where there has been no beam."""
        if self.quiet:
            return
        self._spectrum *= self._decay
        if self._lit:
            source = self._deposit / self._tick_s / REFERENCE_E_PER_A2_S
            self._spectrum += torch.fft.fft2(source) * self._made
            self._deposit.zero_()
            self._lit = False
        self.level = torch.fft.ifft2(self._spectrum).real.clamp(min=0.0)

    def at(self, x_nm: Tensor, y_nm: Tensor) -> Tensor:
        """Levels of the cells in which points (B, N) of each world lie, (B, N)."""
        cells = self.level.shape[-1]
        column, row = (((each - self._origin_nm) / CELL_NM).long().clamp(0, cells - 1) for each in (x_nm, y_nm))
        return self.level.flatten(1).gather(1, row * cells + column)


def shares(box_nm: Box, origin_nm: float, cell_nm: float, cells: Tensor) -> Tensor:
    """Share of a box that falls on each cell of a square grid, of the shape of ``cells`` (G, G), row is y."""
    x0, x1, y0, y1 = box_nm
    edges = origin_nm + cell_nm * torch.arange(len(cells) + 1, dtype=cells.dtype, device=cells.device)
    wide, high = ((edges[1:].clamp(max=b) - edges[:-1].clamp(min=a)).clamp(min=0.0) for a, b in ((x0, x1), (y0, y1)))
    area = max((x1 - x0) * (y1 - y0), 1e-12)
    return high[:, None] * wide[None, :] / area
