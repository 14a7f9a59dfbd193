"""A tilted specimen: one side of a field lies higher than the other, so that not all of it is in focus."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from digital_twin.specimen import Around, Specimen


def slopes_of(alpha_deg: float, beta_deg: float) -> tuple[float, float]:
    """How much higher a specimen gets a nm along x and along y: alpha turns about the x axis, beta about y."""
    return math.tan(math.radians(beta_deg)), math.tan(math.radians(alpha_deg))


class Tilted(Around):
    """Specimens of a look with the height that their tilts add; ``slopes`` (B, 4) as in ``signals.Look``.

    Heights are all that it changes. Left out: that a tilted field is foreshortened by the cosine (1.5 % at 10 degrees),
    that the beam goes a longer way through layers, and what tilt does to diffraction and lattices.
    """

    def __init__(self, specimen: Specimen, slopes: Tensor) -> None:
        super().__init__(specimen)
        self._x, self._y, self._along_x, self._along_y = slopes.to(specimen.device).unbind(-1)

    def height_nm(self, x_nm: Tensor, y_nm: Tensor, worlds: Sequence[int] | None = None) -> Tensor:
        """Height at points (B, ...), with what the tilt adds."""
        height = super().height_nm(x_nm, y_nm, worlds)
        shape = (-1, *[1] * (x_nm.ndim - 1))
        x, y = x_nm - self._x.view(shape), y_nm - self._y.view(shape)
        return height + self._along_x.view(shape) * x + self._along_y.view(shape) * y
