"""A tilted specimen: one side of a field lies higher than the other, so that not all of it is in focus."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from digital_twin.materials import Material
from digital_twin.specimen import Box, Grid, Specimen
from hardware_bridge.messages import Holder


def slopes_of(alpha_deg: float, beta_deg: float) -> tuple[float, float]:
    """How much higher a specimen gets a nm along x and along y: alpha turns about the x axis, beta about y."""
    return math.tan(math.radians(beta_deg)), math.tan(math.radians(alpha_deg))


class Tilted:
    """Specimens of a look with the height that their tilts add; ``slopes`` (B, 4) as in ``signals.Look``.

    Heights are all that it changes. Left out: that a tilted field is foreshortened by the cosine (1.5 % at 10 degrees),
    that the beam goes a longer way through layers, and what tilt does to diffraction and lattices.
    """

    def __init__(self, specimen: Specimen, slopes: Tensor) -> None:
        self._specimen = specimen
        self._x, self._y, self._along_x, self._along_y = slopes.to(specimen.device).unbind(-1)

    @property
    def extent_nm(self) -> float:
        """Edge of the square specimen area."""
        return self._specimen.extent_nm

    @property
    def device(self) -> torch.device:
        """Where its tensors are."""
        return self._specimen.device

    @property
    def materials(self) -> tuple[Material, ...]:
        """What it is made of."""
        return self._specimen.materials

    def set_holder(self, holder: Holder) -> None:
        """Take the holder's set points."""
        self._specimen.set_holder(holder)

    def advance_to(self, clock_s: float) -> None:
        """Let time pass."""
        self._specimen.advance_to(clock_s)

    def expose(self, world: int, box_nm: Box, electrons: float) -> None:
        """Take electrons spread evenly over a box."""
        self._specimen.expose(world, box_nm, electrons)

    def project(self, grids: Sequence[Grid]) -> Tensor:
        """Projected thickness of each material, (B, M, H, W) nm."""
        return self._specimen.project(grids)

    def potential_V_nm(self, grids: Sequence[Grid]) -> Tensor:
        """Projected potential, (B, H, W) V nm."""
        return self._specimen.potential_V_nm(grids)

    def height_nm(self, x_nm: Tensor, y_nm: Tensor, worlds: Sequence[int] | None = None) -> Tensor:
        """Height at points (B, ...), with what the tilt adds."""
        height = self._specimen.height_nm(x_nm, y_nm, worlds)
        shape = (-1, *[1] * (x_nm.ndim - 1))
        x, y = x_nm - self._x.view(shape), y_nm - self._y.view(shape)
        return height + self._along_x.view(shape) * x + self._along_y.view(shape) * y
