"""A measured micrograph as the twin's specimen: static, seen again through probe, dose and noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from digital_twin.image_files import read_image
from digital_twin.materials import COPPER, NITRIDE
from digital_twin.specimen import Grid, Still, on_device
from hardware_bridge.report import Card

THICKEST_NM = 20.0
"""Copper thickness that the brightest pixel of a micrograph stands for; its own scale is not known."""

FILM_NM = 20.0
"""Thickness of the silicon nitride film under it."""


class MeasuredSpecimen(Still):
    """What a micrograph shows, as projected copper thickness on a thin nitride film; nothing in it changes.

    Spectra of it tell thickness and copper only. Beyond the micrograph's edge there is film.
    """

    materials = (COPPER, NITRIDE)

    def __init__(self, path: Path, device: torch.device | str = "cpu", pixel_nm: float | None = None) -> None:
        """Read the micrograph; ``pixel_nm`` is needed where the file does not say how large its pixels are.

        Raises:
            ValueError: the file holds no image with a known pixel size.
        """
        image, self._pixel_nm = read_image(path, pixel_nm)
        self.device = torch.device(device)
        self._copper_nm = THICKEST_NM * torch.from_numpy(image).to(self.device)
        self.extent_nm = self._pixel_nm * max(image.shape)

    def project(self, grids: Sequence[Grid]) -> Tensor:
        """Copper interpolated linearly from the micrograph, whose middle is the origin of the specimen frame."""
        columns = np.arange(grids[0].columns)[:, None]
        points = on_device([g.origin_nm[:, None] + columns * g.across_nm for g in grids], self.device)
        # Places as torch counts them: -1 and 1 are the middles of the first and the last pixel.
        edge = torch.tensor(self._copper_nm.shape[::-1], dtype=torch.float64, device=self.device) - 1
        copper = torch.nn.functional.grid_sample(
            self._copper_nm.expand(len(grids), 1, -1, -1), 2 * points / self._pixel_nm / edge, align_corners=True
        )[:, 0]
        return torch.stack([copper, torch.full_like(copper, FILM_NM)], dim=1)


def measured_card(path: Path, duration_s: float, budget_electrons: float, pixel_nm: float | None = None) -> Card:
    """The card of a micrograph: an extent to look at and no targets, since nobody knows its truth.

    Raises:
        ValueError: the file holds no image with a known pixel size.
    """
    image, pixel_nm = read_image(path, pixel_nm)
    return Card(
        world="measured",
        version=1,
        extent_nm=pixel_nm * max(image.shape),
        cells=1,
        times_s=(),
        duration_s=duration_s,
        budget_electrons=budget_electrons,
        max_fluence_e_per_A2=1e6,
        targets=(),
    )
