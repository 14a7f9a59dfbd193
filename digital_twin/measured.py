"""A measured micrograph as the twin's specimen: static, seen again through probe, dose and noise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from scipy.ndimage import map_coordinates

from digital_twin.optics import Array
from digital_twin.specimen import Box, Grid, Layers
from hardware_bridge.report import Card

THICKEST_NM = 20.0
"""Copper thickness that the brightest pixel of a micrograph stands for; its own scale is not known."""

UNIT_NM = {"nm": 1.0, "um": 1e3, "\N{MICRO SIGN}m": 1e3, "\N{GREEK SMALL LETTER MU}m": 1e3, "pm": 1e-3}


def read_micrograph(path: Path) -> tuple[Array, float]:
    """Read an image (H, W) from an npz file with ``haadf`` and ``meta``: (image scaled to 0..1, pixel size in nm).

    Raises:
        ValueError: naming what is missing or wrong in the file.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            image, meta = np.asarray(data["haadf"], dtype=np.float64), json.loads(str(data["meta"]))
        axis = meta["haadf_axes"][0]
        pixel_nm = float(axis["scale"]) * UNIT_NM[axis["units"]]
    except (OSError, ValueError) as error:
        raise ValueError(f"instrument.specimen = {path}: cannot be read: {error}") from None
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"instrument.specimen = {path}: no calibrated haadf image in it (missing {error})") from None
    low, high = float(image.min()), float(image.max())
    if image.ndim != 2 or high <= low or not pixel_nm > 0:
        raise ValueError(f"instrument.specimen = {path}: haadf must be one image with contrast and a pixel size > 0")
    return (image - low) / (high - low), pixel_nm


class MeasuredSpecimen:
    """What a micrograph shows, as projected copper thickness on a thin nitride film; nothing in it changes.

    Spectra of it tell thickness and copper only. Beyond the micrograph's edge there is film.
    """

    def __init__(self, path: Path) -> None:
        """Read the micrograph.

        Raises:
            ValueError: the file has no calibrated image.
        """
        image, self._pixel_nm = read_micrograph(path)
        self._copper_nm = THICKEST_NM * image
        self.extent_nm = self._pixel_nm * max(image.shape)

    def set_holder(self, flow_nl_per_s: float, temperature_K: float) -> None:
        """Nothing in the specimen answers to the holder."""

    def advance_to(self, clock_s: float) -> None:
        """Nothing changes with time."""

    def expose(self, box_nm: Box, electrons: float) -> None:
        """Nothing changes with dose."""

    def height_nm(self, x_nm: float, y_nm: float) -> float:
        """The film is flat."""
        return 0.0

    def project(self, grid: Grid) -> Layers:
        """Copper interpolated linearly from the micrograph, whose middle is the origin of the specimen frame."""
        height, width = self._copper_nm.shape
        columns = np.arange(grid.columns)
        x = grid.origin_nm[:, :1] + columns * grid.across_nm[0]
        y = grid.origin_nm[:, 1:] + columns * grid.across_nm[1]
        place = [y / self._pixel_nm + (height - 1) / 2, x / self._pixel_nm + (width - 1) / 2]
        copper = map_coordinates(self._copper_nm, place, order=1, mode="constant")
        none = np.zeros_like(copper)
        return Layers(copper_nm=copper, debris_nm=none, water_nm=none, nitride_nm=np.full_like(copper, 20.0))


def measured_card(path: Path, duration_s: float, budget_electrons: float) -> Card:
    """The card of a micrograph: an extent to look at and no targets, since nobody knows its truth.

    Raises:
        ValueError: the file has no calibrated image.
    """
    image, pixel_nm = read_micrograph(path)
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
