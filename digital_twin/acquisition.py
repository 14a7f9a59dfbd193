"""How an acquisition is taken: row by row or all at once, in what parts, and what the parts hold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from digital_twin.detectors import Column
from digital_twin.optics import aberrations_of, blur_extent_nm, widest_probe_nm
from hardware_bridge.errors import Rejected
from hardware_bridge.messages import SCANNED_MODES, Acquire, Axis, Capabilities, Kind, Mode, Optics

CHUNK_ROWS = 32
CHUNK_S = 0.1
"""Longest time that a chunk of more than one row takes: blanking waits for its end."""

MOST_VALUES = 2**27
"""Most values in a frame: half a gigabyte of a spectrum image."""

CHUNK_VALUES = 2**22
"""Most values in a chunk of more than one row."""

INCOHERENT_MODES: frozenset[Mode] = frozenset({"HAADF", "ABF", "BF"})

MOST_BLUR_PIXELS = 2048
"""Most pixels of an image that a probe may be wide."""

KINDS: dict[Mode, Kind] = {"EELS": "spectrum", "EDS": "spectrum", "CBED": "pattern", "4DSTEM": "pattern"}
"""Of what is not an image."""


@dataclass(frozen=True)
class Plan:
    """The timing of one frame: of a scan ``row_s`` a row with its flyback, of a broad beam all rows at once.

    ``pixel_share`` is the part of the beam's electrons, times ``dwell_s``, that falls on one pixel.
    """

    acquire: Acquire
    scanned: bool
    row_s: float
    chunk_rows: int
    pixel_share: float

    @classmethod
    def of(cls, acquire: Acquire, column: Column, flyback_s: float) -> Plan:
        """Plan a frame in a column."""
        if acquire.mode not in SCANNED_MODES:
            lit_nm2 = math.pi / 4 * column.lit_diameter_nm**2
            pixel_nm2 = (acquire.fov_nm / acquire.pixels_x) ** 2
            return cls(acquire, False, 0.0, acquire.pixels_y, pixel_nm2 / lit_nm2)
        row_s = acquire.pixels_x * acquire.dwell_s + flyback_s
        values = acquire.pixels_x * math.prod(axis.size for axis in axes_of(acquire, column)[2:])
        rows = min(CHUNK_ROWS, int(CHUNK_S / row_s), CHUNK_VALUES // values)
        return cls(acquire, True, row_s, max(1, rows), 1.0)

    def chunks(self) -> Iterator[tuple[int, int, float]]:
        """First row, number of rows and beam-on time in s of each part."""
        if not self.scanned:
            yield 0, self.acquire.pixels_y, self.acquire.dwell_s
            return
        for top in range(0, self.acquire.pixels_y, self.chunk_rows):
            rows = min(self.chunk_rows, self.acquire.pixels_y - top)
            yield top, rows, rows * self.row_s


def check_able(acquire: Acquire, capabilities: Capabilities) -> None:
    """Refuse what a microscope cannot take.

    Raises:
        Rejected: naming a mode that is not there, a field larger than the lit disc, or more than it can hold at once.
    """
    if acquire.mode not in capabilities.modes:
        raise Rejected("mode", "acquire.mode", acquire.mode, f"one of {', '.join(capabilities.modes)}")
    diagonal_nm = acquire.fov_nm * math.hypot(1.0, acquire.pixels_y / acquire.pixels_x)
    lit_nm = capabilities.lit_diameter_nm
    if acquire.mode not in SCANNED_MODES and diagonal_nm > lit_nm:
        raise Rejected("field", "acquire.fov_nm", f"{diagonal_nm:g} nm across corners", f"the lit disc, {lit_nm:g} nm")
    each = capabilities.values_per_pixel.get(acquire.mode, 1)
    values = acquire.pixels_x * acquire.pixels_y * each
    if values > MOST_VALUES:
        raise Rejected("size", "acquire.pixels_x", f"{values} values in a frame", f"{MOST_VALUES}, {each} a pixel")


def check_blur(acquire: Acquire, optics: Optics, column: Column) -> None:
    """Refuse a probe too wide to be formed, and pixels so fine that it would spread over more than can be computed.

    Raises:
        Rejected: naming the lenses and how wide a probe may be, or the pixels and how coarse they must be.
    """
    if acquire.mode not in INCOHERENT_MODES:
        return
    pixel_nm, width_nm = acquire.fov_nm / acquire.pixels_x, blur_extent_nm(aberrations_of(optics), column.probe())
    widest_nm = widest_probe_nm(column.probe())
    if width_nm > max(widest_nm, pixel_nm):
        raise Rejected("sampling", "set.optics", f"a probe {width_nm:.3g} nm wide", f"{widest_nm:.3g} nm, or a pixel")
    if width_nm > MOST_BLUR_PIXELS * pixel_nm:
        limit = f"at least {width_nm / MOST_BLUR_PIXELS:.3g} nm, the probe is {width_nm:.3g} nm wide"
        raise Rejected("sampling", "acquire.fov_nm", f"{pixel_nm:.3g} nm a pixel", limit)


def kind_of(mode: Mode) -> Kind:
    """Whether a mode delivers images, spectra or patterns."""
    return KINDS.get(mode, "frame")


def dtype_of(mode: Mode) -> Literal["uint16", "uint32"]:
    """The type of the numbers that a mode delivers."""
    return "uint32" if kind_of(mode) == "spectrum" else "uint16"


def axes_of(acquire: Acquire, column: Column) -> tuple[Axis, ...]:
    """The calibrated axes of what an acquisition delivers: y, x, and those of what each pixel holds."""
    pixel = acquire.fov_nm / acquire.pixels_x
    size = {"y": acquire.pixels_y, "x": acquire.pixels_x}
    place = tuple(Axis(name=name, size=size[name], offset=0.0, scale=pixel, unit="nm") for name in ("y", "x"))
    if acquire.mode == "EELS":
        scale = (column.energy_channels, column.energy_offset_eV, column.energy_step_eV)
        return (*place, _axis("energy_loss", scale, "eV"))
    if acquire.mode == "EDS":
        rays = column.xrays
        scale = (rays.energy_channels, rays.energy_offset_eV, rays.energy_step_eV)
        return (*place, _axis("energy", scale, "eV"))
    if acquire.mode in column.pattern_pixels:
        pixels = column.pattern_pixels[acquire.mode]
        scale = (pixels, -column.pattern_mrad, 2 * column.pattern_mrad / pixels)
        return (*place, _axis("ky", scale, "mrad"), _axis("kx", scale, "mrad"))
    return place


def _axis(name: str, scale: tuple[int, float, float], unit: str) -> Axis:
    size, offset, step = scale
    return Axis(name=name, size=size, offset=offset, scale=step, unit=unit)
