"""The windows of a liquid cell: paraboloids that bulge towards the gun, on slightly tilted chips."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from digital_twin.specimen import Grid, on_device, worlds_of

Drawn = tuple[float, ...]
"""Of one world: the middle (x, y) and the bulge in nm, and the tilt along x and y."""


class Bulging:
    """Windows of a batch of worlds; at ``half_nm`` from its middle a window has lost its bulge."""

    def __init__(self, drawn: Sequence[Drawn], half_nm: float, device: torch.device) -> None:
        self.drawn = torch.tensor(drawn, dtype=torch.float64, device=device).T
        self._half_nm = half_nm

    def height_nm(self, x_nm: Tensor, y_nm: Tensor, worlds: Sequence[int] | None) -> Tensor:
        """Height above the eucentric plane at points (B, ...) of some worlds, None of all."""
        fall, bulge, tilt_x, tilt_y = self._shape(x_nm, y_nm, worlds)
        height: Tensor = bulge * (0.5 - fall) + tilt_x * x_nm + tilt_y * y_nm
        return height

    def bulge_nm(self, grids: Sequence[Grid]) -> Tensor:
        """How far the windows stand out at each pixel of scans, (B, H, W), 0 where they do not."""
        middle, bulge = self.drawn[:2, worlds_of(grids)].T, self.drawn[2, worlds_of(grids)]
        origin, across = (
            on_device(each, middle.device) for each in zip(*((g.origin_nm, g.across_nm) for g in grids), strict=True)
        )
        x, y = (origin - middle[:, None]).unbind(-1)
        step_x, step_y = across[:, None].unbind(-1)
        # Along a row the square of the distance from the middle is a parabola.
        column = torch.arange(grids[0].columns, dtype=torch.float64, device=middle.device)
        along, square = 2 * (x * step_x + y * step_y), (step_x**2 + step_y**2)[..., None]
        apart = torch.addcmul((x**2 + y**2)[..., None], along[..., None], column) + square * column**2
        return bulge[:, None, None] * (1 - apart / self._half_nm**2).clamp(min=0.0)

    def _shape(self, x_nm: Tensor, y_nm: Tensor, worlds: Sequence[int] | None) -> tuple[Tensor, ...]:
        drawn = self.drawn if worlds is None else self.drawn[:, list(worlds)]
        middle_x, middle_y, *rest = (each.view(-1, *(1 for _ in x_nm.shape[1:])) for each in drawn)
        return ((x_nm - middle_x) ** 2 + (y_nm - middle_y) ** 2) / self._half_nm**2, *rest
