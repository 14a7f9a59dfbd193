"""Specimens around worlds: what lies on them, and how they stand. The truth stays that of the worlds themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor

from digital_twin.measured import THICKEST_NM, MeasuredSpecimen
from digital_twin.specimen import Around, Grid, Specimen
from digital_twin.world import Facts

RELIEF = 0.3
"""What the brightest pixel of an image stands for, as a share of the world's mean thickness."""

SURVEY_PIXELS = 32


class Worlds(Specimen, Protocol):
    """What lies around worlds needs of them: a specimen with facts and targets, whatever it was made from."""

    @property
    def facts(self) -> Facts:
        """What is public about them."""
        ...

    def fields(self) -> dict[str, Tensor]:
        """The fields as they are now, (B, cells x cells) each, row is y."""
        ...

    def globals(self) -> dict[str, Tensor]:
        """The hidden constants, (B,) each."""
        ...


class Layered(Around):
    """Worlds with something on them: all that is not overridden is the worlds' own, their truth among it."""

    def __init__(self, worlds: Worlds) -> None:
        super().__init__(worlds)
        self._worlds = worlds
        self.facts: Facts = worlds.facts

    def fields(self) -> dict[str, Tensor]:
        """The fields of the worlds."""
        return self._worlds.fields()

    def globals(self) -> dict[str, Tensor]:
        """The hidden constants of the worlds."""
        return self._worlds.globals()


class Upon(Layered):
    """Worlds whose specimen starts with the structure of a measured image: one mechanism for any world.

    What the image shows is there from the start as more of the worlds' first material, up to RELIEF of the mean
    thickness of the first of them where it is brightest; its middle is the origin, beyond its edge there is nothing
    more. It neither changes nor takes part in what the worlds do, so that their truth is what it is without; it has no
    structure of its own below the image's pixels, which are interpolated, not averaged, where a scan's are larger.
    """

    def __init__(self, worlds: Worlds, image: Path, pixel_nm: float | None = None) -> None:
        """Read the image; ``pixel_nm`` is needed where the file does not say how large its pixels are.

        Raises:
            ValueError: the file holds no image with a known pixel size.
        """
        super().__init__(worlds)
        self._image = MeasuredSpecimen(image, worlds.device, pixel_nm)
        step_nm = worlds.extent_nm / SURVEY_PIXELS
        places = step_nm * (np.arange(SURVEY_PIXELS) + 0.5 - SURVEY_PIXELS / 2)
        origin = np.stack([np.full(SURVEY_PIXELS, places[0]), places], axis=-1)
        survey = Grid(origin, np.array([step_nm, 0.0]), np.array([0.0, step_nm]), SURVEY_PIXELS, world=0)
        self._thickest_nm = RELIEF * float(worlds.project([survey]).sum(dim=1).mean())

    def project(self, grids: Sequence[Grid]) -> Tensor:
        """What the worlds project, more of the first material where the image is bright."""
        matter = self._worlds.project(grids).clone()
        matter[:, 0] += self._relief_nm(grids)
        return matter

    def potential_V_nm(self, grids: Sequence[Grid]) -> Tensor:
        """The worlds' potential, and the mean one of what the image adds."""
        return self._worlds.potential_V_nm(grids) + self.materials[0].inner_potential_V * self._relief_nm(grids)

    def _relief_nm(self, grids: Sequence[Grid]) -> Tensor:
        return self._thickest_nm / THICKEST_NM * self._image.project(grids)[:, 0]
