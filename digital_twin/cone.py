"""BF and ABF images of scans: how the phase of a specimen shares out what stays in the cone of the beam.

Where pixels are no coarser than lambda / 2 alpha, as a probe's wave needs, it is followed through the potential to all
orders (``bright_field``): atoms are dark in ABF, light ones too, in focus, and the wave itself takes what they scatter
out of the cone. Elsewhere, and where the probe lights more of the specimen than can be followed, contrast is linear in
the phase (``phase_contrast``), and what atoms scatter out of the cone is for the caller to take off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy.fft
import torch
from torch import Tensor

from digital_twin.bright_field import bright_field
from digital_twin.imaging import widened
from digital_twin.optics import Aberrations, finest_pixel_nm
from digital_twin.phase_contrast import Detector, margin_pixels, phase_contrast
from digital_twin.specimen import Grid, Specimen, worlds_of
from digital_twin.waves import Probe, largest_mrad, transmission

MOST_PARTS = 2
"""Of a pixel, along each direction, on which the wave is followed: its intensity needs pixels of lambda / 4 alpha."""

MOST_MARGIN, MOST_FIELD = 128, 1536
"""Pixels of the widest probe's radius, and of the widest field, that are followed to all orders."""


def followed_mrad(grid: Grid, aberrations: Aberrations, probe: Probe) -> float:
    """Up to which angle the wave itself tells what leaves the cone; no farther than the cone where contrast is linear.

    ``aberrations`` are those at the height of the specimen.
    """
    parts = _parts(grid, aberrations, probe)
    return largest_mrad(grid.pixel_nm / parts, probe.beam_energy_keV) if parts else probe.semi_angle_mrad


def shared_out(
    specimen: Specimen, grids: Sequence[Grid], at_height: Sequence[Aberrations], probe: Probe, detector: Detector
) -> Tensor:
    """Share of the electrons that falls on a detector inside the cone, (B, H, W) float64, for one scan of each world.

    What is scattered beyond ``followed_mrad`` is not taken off.
    """
    placed = [replace(grid, world=world) for grid, world in zip(grids, worlds_of(grids), strict=True)]
    images: dict[int, Tensor] = {}
    for n, (grid, each) in enumerate(zip(placed, at_height, strict=True)):
        if parts := _parts(grid, each, probe):
            images[n] = _followed(specimen, grid, each, (probe, detector), parts)
    linear = [n for n in range(len(grids)) if n not in images]
    margins = {n: margin_pixels(placed[n].pixel_nm, at_height[n], probe) for n in linear}
    if linear:
        widest = max(margins.values())
        potential = specimen.potential_V_nm([widened(placed[n], widest) for n in linear])
        for n, volts in zip(linear, potential, strict=True):
            spare = widest - margins[n]
            inner = volts[spare : volts.shape[0] - spare, spare : volts.shape[1] - spare]
            images[n] = phase_contrast(inner, placed[n].pixel_nm, at_height[n], probe, detector)
    return torch.stack([images[n] for n in range(len(grids))])


def _parts(grid: Grid, aberrations: Aberrations, probe: Probe) -> int:
    """Into how many parts pixels are divided along each direction to follow the wave; 0: it is not followed."""
    parts = math.ceil(grid.pixel_nm / finest_pixel_nm(probe.column()) + 1e-9)
    margin = parts * margin_pixels(grid.pixel_nm, aberrations, probe)
    field = parts * max(len(grid.origin_nm), grid.columns) + 2 * margin
    return parts if parts <= MOST_PARTS and margin <= MOST_MARGIN and field <= MOST_FIELD else 0


def _followed(
    specimen: Specimen, grid: Grid, aberrations: Aberrations, seen: tuple[Probe, Detector], parts: int
) -> Tensor:
    """The image (H, W) of a wave that is followed on parts of pixels, of which the first lies on the pixel itself."""
    probe, detector = seen
    margin = margin_pixels(grid.pixel_nm, aberrations, probe)
    wide = widened(grid, margin)
    across, down = wide.across_nm / parts, wide.down_nm / parts
    origin = (wide.origin_nm[:, None] + np.arange(parts)[:, None] * down).reshape(-1, 2)
    fine = replace(wide, origin_nm=origin, across_nm=across, down_nm=down, columns=parts * wide.columns)
    wave = transmission(specimen.potential_V_nm([fine])[0], probe.beam_energy_keV)
    size = scipy.fft.next_fast_len(max(wave.shape))
    # What fills the square up lies farther from the image than the probe is wide.
    field = torch.ones(size, size, dtype=wave.dtype, device=wave.device)
    field[: wave.shape[0], : wave.shape[1]] = wave
    image = bright_field(field[None], fine.pixel_nm, [aberrations], probe, detector)[0]
    rows, columns = (slice(parts * margin, parts * (margin + n), parts) for n in (len(grid.origin_nm), grid.columns))
    return image[rows, columns].double().clamp(0.0, 1.0)
