"""From the specimen under a scan to electrons in a detector: expected HAADF images and spectrum images."""

from __future__ import annotations

import numpy as np
from scipy.signal import fftconvolve

from digital_twin.detectors import Column, Spectrometer, haadf_fraction
from digital_twin.optics import Aberrations, Array, probe_kernel
from digital_twin.specimen import Grid, Specimen

SUBPIXELS = 8
"""How finely the probe is scanned within one pixel of a spectrum image, along each direction."""


def widened(grid: Grid, margin: int) -> Grid:
    """The scan with ``margin`` more pixels on every side, so that what lies outside can blur into it."""
    above = grid.origin_nm[0] + np.arange(-margin, 0)[:, None] * grid.down_nm
    below = grid.origin_nm[-1] + np.arange(1, margin + 1)[:, None] * grid.down_nm
    origin = np.concatenate([above, grid.origin_nm, below]) - margin * grid.across_nm
    return Grid(origin_nm=origin, across_nm=grid.across_nm, down_nm=grid.down_nm, columns=grid.columns + 2 * margin)


def expected_haadf(specimen: Specimen, grid: Grid, column: Column, aberrations: Aberrations) -> Array:
    """Share of the incident electrons that the HAADF detector counts at each pixel, (H, W).

    The projected specimen is convolved with the probe's intensity (incoherent imaging); ``aberrations`` hold the
    total C10 at the specimen's height.
    """
    kernel = probe_kernel(grid.pixel_nm, aberrations, column.probe())
    margin = len(kernel) // 2
    share = haadf_fraction(specimen.project(widened(grid, margin)), column)
    return np.clip(fftconvolve(share, kernel, mode="valid"), 0.0, 1.0)


def expected_spectra(specimen: Specimen, grid: Grid, spectrometer: Spectrometer) -> Array:
    """Chance of an incident electron to land in each channel at each pixel, (H, W, E).

    Each pixel is scanned evenly; the thicknesses under it are averaged before scattering is computed, which is good
    to the second order in t/lambda of the particles.
    """
    height, width = len(grid.origin_nm), grid.columns
    across, down = grid.across_nm / SUBPIXELS, grid.down_nm / SUBPIXELS
    steps = np.arange(SUBPIXELS)[None, :, None] - (SUBPIXELS - 1) / 2
    origin = (grid.origin_nm[:, None, :] + steps * down).reshape(-1, 2) - (SUBPIXELS - 1) / 2 * across
    layers = specimen.project(Grid(origin_nm=origin, across_nm=across, down_nm=down, columns=width * SUBPIXELS))
    means = [
        layer.reshape(height, SUBPIXELS, width, SUBPIXELS).mean(axis=(1, 3))
        for layer in (layers.copper_nm, layers.debris_nm, layers.water_nm, layers.nitride_nm)
    ]
    return spectrometer.probabilities(np.stack(means, axis=-1))
