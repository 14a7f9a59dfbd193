"""From the specimen under a scan to electrons in a detector: expected HAADF images and spectrum images of either kind.

A batch holds one scan of each world, all of as many pixels; where and how large they are, and the probe, may differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from digital_twin.blur import blur_of, blurred, kernels_of, remembered
from digital_twin.detectors import Column, Spectrometer, haadf_fraction
from digital_twin.optics import Aberrations, Array, depth_of_focus_nm, farthest_C10_nm
from digital_twin.specimen import Grid, Specimen, on_device, worlds_of
from digital_twin.xrays import XraySpectrometer

SUBPIXELS = 8
"""How finely the probe is scanned within one pixel of a spectrum image, along each direction."""

LATTICE = 17
"""Points along each side of a scan at which the height of the specimen is asked for; it is smooth between them."""

SPECTRA = 16
"""How many are computed at a time."""

FARTHER = 0.75
"""Distance of two planes out of focus, as a share of how far out of focus the nearer one is."""


def widened(grid: Grid, margin: int) -> Grid:
    """The scan with ``margin`` more pixels on every side, so that what lies outside can blur into it."""
    above = grid.origin_nm[0] + np.arange(-margin, 0)[:, None] * grid.down_nm
    below = grid.origin_nm[-1] + np.arange(1, margin + 1)[:, None] * grid.down_nm
    origin = np.concatenate([above, grid.origin_nm, below]) - margin * grid.across_nm
    return replace(grid, origin_nm=origin, columns=grid.columns + 2 * margin)


@dataclass(frozen=True)
class Planes:
    """Values of the total C10 at which probes are computed: of each scan as many as its own heights need, ascending.

    ``place`` (B, LATTICE, LATTICE) tells where between them, counted from the lowest, the specimen lies.
    """

    C10_nm: tuple[Array, ...]
    place: Tensor


def planes(
    specimen: Specimen, grids: Sequence[Grid], column: Column, C10_nm: Sequence[float], focus_parts: int = 0
) -> Planes:
    """Cut what lies under each scan into planes; ``C10_nm`` is the column's, to which the specimen adds its height.

    A window that bulges by a micrometre changes its height by some 500 nm over a field of 512 nm, more than the depth
    of focus (44 nm at 200 kV and 10 mrad), and the probe's radius by alpha times that: by pixels. Between two planes
    probes are blended, which adds up to alpha / 4 of their distance to the probe's width (rms). That is kept below an
    eighth of a pixel, or of the blur that the depth of focus stands for, or below 7 % of the width out of focus.

    With ``focus_parts`` planes lie at multiples of that part of their least distance, so that the same ones come again.
    None lies farther out of focus than ``farthest_C10_nm``.
    """
    rows = np.linspace(0, len(grids[0].origin_nm) - 1, LATTICE).round().astype(int)
    columns = np.linspace(0, grids[0].columns - 1, LATTICE)[:, None]
    points = on_device([g.origin_nm[rows][:, None] + columns * g.across_nm for g in grids], specimen.device)
    heights = np.asarray(specimen.height_nm(points[..., 0], points[..., 1], worlds_of(grids)).cpu())
    depth_nm = depth_of_focus_nm(column.beam_energy_keV, column.convergence_mrad)
    farthest_nm = farthest_C10_nm(column.probe())
    totals = np.clip(heights + np.reshape(C10_nm, (-1, 1, 1)), -farthest_nm, farthest_nm)
    levels, places = [], []
    for grid, total in zip(grids, totals, strict=True):
        apart_nm = max(depth_nm, grid.pixel_nm / (1e-3 * column.convergence_mrad)) / 2
        levels.append(_levels(float(total.min()), float(total.max()), apart_nm, focus_parts))
        places.append(np.interp(total, levels[-1], np.arange(len(levels[-1]))))
    return Planes(tuple(levels), on_device(places, specimen.device))


def _levels(low: float, high: float, apart: float, parts: int = 0) -> Array:
    """Values from low to high, ascending: from what is nearest to focus outwards, ever farther apart.

    With ``parts`` all of them are whole multiples of that part of ``apart``, as float64 counts them.
    """
    if parts:
        step = apart / parts
        return step * _levels(math.floor(low / step), math.ceil(high / step), parts).round()
    nearest = min(max(0.0, low), high)
    found = [nearest]
    for end, sign in ((low, -1.0), (high, 1.0)):
        value = nearest
        while abs(end - value) > 1e-3:
            step = max(apart, FARTHER * abs(value))
            value = value + sign * step if abs(end - value) > step else end
            found.append(value)
    return np.sort(found)


@dataclass(frozen=True)
class Care:
    """How exactly images are computed: in float32 they are right to 1e-5 of the brightest pixel.

    With ``focus_parts`` probes lie in planes that come again, and are remembered.
    """

    dtype: torch.dtype = torch.float64
    focus_parts: int = 0


EXACT = Care()

Share = Callable[[Tensor, Sequence[float]], Tensor]
"""From thicknesses (B, M, H, W) and the pixels of the scans in nm to shares of the electrons, (B, H, W)."""


def expected_haadf(
    specimen: Specimen,
    grids: Sequence[Grid],
    column: Column,
    aberrations: Sequence[Aberrations],
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Share of the incident electrons that the HAADF detector counts at each pixel of each scan, (B, H, W)."""

    def share(matter: Tensor, pixels_nm: Sequence[float]) -> Tensor:
        return haadf_fraction(matter, specimen.materials, column, pixels_nm)

    return incoherent(specimen, grids, column, aberrations, share, Care(dtype))


def incoherent(
    specimen: Specimen,
    grids: Sequence[Grid],
    column: Column,
    aberrations: Sequence[Aberrations],
    share_of: Share,
    care: Care = EXACT,
) -> Tensor:
    """Share of the incident electrons that comes from each pixel of each scan, (B, H, W), seen incoherently.

    What is projected is convolved with the probe's intensity at its height; ``aberrations``, one a scan, hold the C10
    of the column, to which the specimen adds its height. A scan in a batch equals the scan alone: those are imaged
    together whose probes are equally wide, with as much around them as these need.
    """
    cut = planes(specimen, grids, column, [float(each.C10_nm) for each in aberrations], care.focus_parts)
    pixels_nm = [grid.pixel_nm for grid in grids]
    like = torch.empty(0, dtype=care.dtype, device=specimen.device)
    form = remembered if care.focus_parts else kernels_of
    kernels = form(pixels_nm, aberrations, cut.C10_nm, column.probe(), like)
    shape, seen = (len(grids[0].origin_nm), grids[0].columns), worlds_of(grids)
    alike: dict[int, list[int]] = {}
    for n, each in enumerate(kernels):
        alike.setdefault(each.shape[-1], []).append(n)
    images = like.new_empty(len(grids), *shape)
    for some in alike.values():
        blur = blur_of([kernels[n] for n in some], shape)
        matter = specimen.project([replace(widened(grids[n], blur.margin), world=seen[n]) for n in some])
        objects = share_of(matter, [pixels_nm[n] for n in some]).to(care.dtype)
        images[some] = blurred(objects, blur, cut.place[some].to(care.dtype))
    return images.clamp_(0.0, 1.0)


def smeared(image: Tensor, moved_px: Array) -> Tensor:
    """An image (H, W) of what moved while it was exposed: the mean of it moved by each of (T, 2) x, y in pixels."""
    ky, kx = (torch.fft.fftfreq(n, dtype=torch.float64, device=image.device) for n in image.shape)
    x, y = torch.from_numpy(moved_px).to(image.device).T[:, :, None, None]
    turned = torch.exp(-2j * math.pi * (kx[: image.shape[1] // 2 + 1].abs() * x + ky[:, None] * y)).mean(dim=0)
    result: Tensor = torch.fft.irfft2(torch.fft.rfft2(image) * turned, s=image.shape).clamp(min=0.0)
    return result


def expected_spectra(
    specimen: Specimen, grids: Sequence[Grid], spectrometer: Spectrometer, wander_eV: Tensor | None = None
) -> Tensor:
    """Chance of an incident electron to land in each channel at each pixel of each scan, (B, H, W, E).

    Each pixel is scanned evenly; the thicknesses under it are averaged before scattering is computed, which is good
    to the second order in t/lambda of the particles. ``wander_eV`` (B, H) is where the zero loss lies in each row.
    """
    matter = _matter(specimen, grids)
    if wander_eV is None:
        # Where layers are the same so are spectra; some at a time, for the sake of a processor's cache.
        layers, which = torch.unique(matter.flatten(0, 2), dim=0, return_inverse=True)
        spectra = torch.cat([spectrometer.probabilities(some) for some in layers.split(SPECTRA)])
        return spectra[which].view(*matter.shape[:3], -1)
    wander = wander_eV[:, :, None].to(matter.device)
    return torch.stack([spectrometer.probabilities(*each) for each in zip(matter, wander, strict=True)])


def expected_xrays(specimen: Specimen, grids: Sequence[Grid], spectrometer: XraySpectrometer) -> Tensor:
    """X-ray counts of an incident electron in each channel at each pixel of each scan, (B, H, W, E).

    Each pixel is scanned evenly; they are linear in the thicknesses under it, but for absorption on the way out.
    """
    return torch.stack([spectrometer.expected(each) for each in _matter(specimen, grids)])


def _matter(specimen: Specimen, grids: Sequence[Grid]) -> Tensor:
    """Mean thicknesses under each pixel, (B, H, W, M) nm."""
    matter = specimen.project([_refined(grid) for grid in grids])
    height, width = len(grids[0].origin_nm), grids[0].columns
    means = matter.reshape(*matter.shape[:2], height, SUBPIXELS, width, SUBPIXELS).mean(dim=(3, 5))
    return means.movedim(1, -1).contiguous()


def _refined(grid: Grid) -> Grid:
    """The scan with every pixel divided into SUBPIXELS x SUBPIXELS."""
    across, down = grid.across_nm / SUBPIXELS, grid.down_nm / SUBPIXELS
    steps = np.arange(SUBPIXELS)[None, :, None] - (SUBPIXELS - 1) / 2
    origin = (grid.origin_nm[:, None, :] + steps * down).reshape(-1, 2) - (SUBPIXELS - 1) / 2 * across
    return replace(grid, origin_nm=origin, across_nm=across, down_nm=down, columns=grid.columns * SUBPIXELS)
