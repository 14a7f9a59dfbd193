"""The probes of many scans at once, and objects correlated with them: the inner loop of everything incoherent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np
import scipy.fft
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from digital_twin.optics import Aberrations, Array, Column, chi_coefficients_nm, kernel_pixels
from digital_twin.probe import formed_kernels, probe_kernels

MOST_PROBES = 2048
"""Probes that are remembered; one in focus on pixels of 4 nm takes a kilobyte, one of a micrometre beside it ten."""

CACHED = 2**17
"""Pixels of objects that are convolved at a time on a processor: what that takes fits into its cache."""


def kernels_of(
    pixels_nm: Sequence[float],
    aberrations: Sequence[Aberrations],
    C10_nm: Sequence[Array],
    column: Column,
    like: Tensor,
) -> list[Tensor]:
    """The probes of each scan, (J, K, K), for its J values of the total C10, on the device and of the type of ``like``.

    Probes on equal grids are formed in one go.
    """
    counts = [len(each) for each in C10_nm]
    rest = {f.name: np.repeat([getattr(each, f.name) for each in aberrations], counts) for f in fields(Aberrations)}
    weights = chi_coefficients_nm(Aberrations(**{**rest, "C10_nm": np.concatenate(C10_nm)}))
    scans = torch.split(torch.from_numpy(weights).to(like.device), counts)
    alike: dict[tuple[float, int], list[int]] = {}
    for n, (pixel_nm, each, levels) in enumerate(zip(pixels_nm, aberrations, C10_nm, strict=True)):
        pixels, _ = kernel_pixels(pixel_nm, replace(each, C10_nm=levels), column)
        alike.setdefault((pixel_nm, pixels), []).append(n)
    kernels: dict[int, Tensor] = {}
    for (pixel_nm, pixels), some in alike.items():
        formed = formed_kernels(pixels, pixel_nm, torch.cat([scans[n] for n in some]), column, like.dtype)
        kernels.update(zip(some, torch.split(formed, [counts[n] for n in some]), strict=True))
    return [kernels[n] for n in range(len(aberrations))]


def remembered(
    pixels_nm: Sequence[float],
    aberrations: Sequence[Aberrations],
    C10_nm: Sequence[Array],
    column: Column,
    like: Tensor,
) -> list[Tensor]:
    """The same as ``kernels_of``, one by one, of which the last MOST_PROBES are kept: for C10 that comes again.

    With zeros around them, so that widths come again too: half of one is a power of two, or one and a half of it.
    """
    found = []
    for pixel_nm, each, levels in zip(pixels_nm, aberrations, C10_nm, strict=True):
        probes = [_probe(pixel_nm, replace(each, C10_nm=float(C10)), column, like.dtype, like.device) for C10 in levels]
        half = _rounded_up(max(probe.shape[-1] for probe in probes) // 2)
        found.append(torch.stack([pad(probe, 4 * (half - probe.shape[-1] // 2,)) for probe in probes]))
    return found


def _rounded_up(half: int) -> int:
    power = 1 << max(half - 1, 1).bit_length()
    return power * 3 // 4 if half <= power * 3 // 4 else power


@lru_cache(maxsize=MOST_PROBES)
def _probe(
    pixel_nm: float, aberrations: Aberrations, column: Column, dtype: torch.dtype, device: torch.device
) -> Tensor:
    return probe_kernels(pixel_nm, aberrations, column, device, dtype)[0]


@dataclass(frozen=True)
class Blur:
    """Probes ready to be correlated with, for images (H, W) of objects ``margin`` pixels larger on every side.

    Scans are imaged some at a time: each part names S of them and holds the transforms of their probes (J, S, h, w),
    one plane after the other.
    """

    shape: tuple[int, int]
    margin: int
    size: tuple[int, int]
    parts: tuple[tuple[list[int], Tensor], ...]


def blur_of(kernels: Sequence[Tensor], shape: tuple[int, int]) -> Blur:
    """Transform the probes (J, K, K) of each scan; J and K may differ among scans."""
    margin = max(each.shape[-1] for each in kernels) // 2
    rows, columns = (scipy.fft.next_fast_len(length + 2 * margin, real=True) for length in shape)
    alike: dict[int, list[int]] = {}
    for n, each in enumerate(kernels):
        alike.setdefault(len(each), []).append(n)
    together = max(1, CACHED // (rows * columns)) if kernels[0].device.type == "cpu" else len(kernels)
    parts = []
    for scans in alike.values():
        for first in range(0, len(scans), together):
            some = scans[first : first + together]
            # The centres of all probes lie where that of the widest does.
            probes = [pad(turned(kernels[n]), 4 * (margin - kernels[n].shape[-1] // 2,)) for n in some]
            parts.append((some, torch.fft.rfft2(torch.stack(probes, dim=1), s=(rows, columns))))
    return Blur(shape, margin, (rows, columns), tuple(parts))


def turned(probes: Tensor) -> Tensor:
    """Probes as scans show them of a point, turned round: from r0, a probe shines on r with what it has at r - r0."""
    return probes.flip(-2, -1)


def blurred(objects: Tensor, blur: Blur, place: Tensor) -> Tensor:
    """Images (B, H, W) of objects (B, h, w): shared out among planes, each convolved with its own probe.

    ``place`` (B, L, L), a coarse grid over the image, tells where between the planes they lie. Plane by plane and in
    place: what one of them needs fits into the cache of a processor, all together do not.

    Raises:
        ValueError: objects of another size than images and margin make.
    """
    (height, width), margin = blur.shape, blur.margin
    if objects.shape[-2:] != (height + 2 * margin, width + 2 * margin):
        raise ValueError(
            f"objects: {tuple(objects.shape[-2:])} for images {blur.shape} and a margin of {margin} pixels"
        )
    images = objects.new_empty(len(objects), height, width)
    for scans, spectra in blur.parts:
        matter = objects[scans] if len(blur.parts) > 1 else objects
        if len(spectra) > 1:
            inner = interpolate(place[scans, None], (height, width), mode="bilinear", align_corners=True)
            where = pad(inner, (margin, margin, margin, margin), mode="replicate")[:, 0]
        total: Tensor | None = None
        for level, probe in enumerate(spectra):
            part = matter
            if len(spectra) > 1:
                part = (where - level).abs_().neg_().add_(1.0).clamp_(min=0.0).mul_(matter)
            plane = torch.fft.rfft2(part, s=blur.size).mul_(probe)
            total = plane if total is None else total.add_(plane)
        wide: Tensor = torch.fft.irfft2(total, s=blur.size)
        images[scans] = wide[:, 2 * margin : 2 * margin + height, 2 * margin : 2 * margin + width]
    return images
