"""Probes as convolution kernels in torch: ``optics.probe_kernel`` for many probes on any device."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import scipy.fft
import torch
from torch import Tensor

from digital_twin.optics import (
    Aberrations,
    Column,
    aperture,
    chi_coefficients_nm,
    chi_polynomials,
    foci,
    kernel_pixels,
    source_envelope,
    wavelength_nm,
)

MOST_POINTS = 2**22
"""Points of all probes, each focus of them, that are formed at a time."""


def probe_kernels(
    pixel_nm: float,
    aberrations: Aberrations,
    column: Column,
    device: torch.device,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Probes on an image's pixels, (B, K, K), K odd, centred, sum 1, as ``optics.probe_kernel`` gives them.

    ``aberrations`` holds one coefficient at least per probe, (B,).
    """
    pixels, _ = kernel_pixels(pixel_nm, aberrations, column)
    weights = torch.from_numpy(np.atleast_2d(chi_coefficients_nm(aberrations))).to(device)
    return formed_kernels(pixels, pixel_nm, weights, column, dtype)


def formed_kernels(pixels: int, pixel_nm: float, weights_nm: Tensor, column: Column, dtype: torch.dtype) -> Tensor:
    """Probes on so many pixels, (B, K, K), of coefficients of chi (B, 8); in float32 right to 1e-5 of their maximum.

    The grid is only as fine as it must be for nothing of the intensity's spectrum, which is twice as wide as the
    aperture, to fold into the band of the image. A probe that lies within one pixel needs none.
    """
    if pixels == 1:
        return torch.ones(len(weights_nm), 1, 1, dtype=dtype, device=weights_nm.device)
    size, inside, polynomials, damping = _grid(pixels, pixel_nm, column, weights_nm.device)
    together = max(1, MOST_POINTS // size**2)
    if len(weights_nm) > together:
        some = torch.split(weights_nm, together)
        return torch.cat([formed_kernels(pixels, pixel_nm, each, column, dtype) for each in some])
    half = pixels // 2
    C10_nm, shares = foci(column)
    spread = torch.zeros(len(shares), weights_nm.shape[-1], dtype=weights_nm.dtype)
    spread[:, 0] = torch.from_numpy(C10_nm)
    # All foci of a probe, one after the other.
    phase = (weights_nm[:, None] + spread.to(weights_nm.device)).flatten(0, 1) @ polynomials
    if dtype != phase.dtype:
        # Many turns are too much for the digits of a float32.
        phase = phase.div_(2 * math.pi).frac_().to(dtype).mul_(2 * math.pi)
    pupil = torch.zeros(len(phase), size * size, dtype=dtype.to_complex(), device=phase.device)
    # Sine and cosine apart: torch.polar computes them one number at a time.
    pupil.index_copy_(1, inside, torch.complex(phase.cos(), phase.sin().neg_()))
    squares = torch.view_as_real(torch.fft.ifft2(pupil.view(-1, size, size))).square_()
    intensity = squares[..., 0] + squares[..., 1]
    if len(shares) > 1:
        weight = torch.from_numpy(shares).to(intensity)
        intensity = torch.einsum("bjyx,j->byx", intensity.view(-1, len(shares), size, size), weight)
    spectrum = torch.fft.rfft2(intensity)
    band = torch.cat([spectrum[:, : half + 1, : half + 1], spectrum[:, size - half :, : half + 1]], dim=1)
    current = band[:, :1, :1].real
    kernel = torch.fft.irfft2(band * damping.to(dtype) / current, s=(pixels, pixels))
    centred: Tensor = torch.fft.fftshift(kernel, dim=(-2, -1))
    return centred


@lru_cache(maxsize=32)
def _grid(pixels: int, pixel_nm: float, column: Column, device: torch.device) -> tuple[int, Tensor, Tensor, Tensor]:
    """What kernels of a width share.

    Size of the grid on which they are formed, the aperture's flat indices (P,) in it, phases per nm (8, P), and the
    damping of the source in the band of the image.
    """
    half, wavelength = pixels // 2, wavelength_nm(column.beam_energy_keV)
    diameter = 2e-3 * column.semi_angle_mrad / wavelength * pixels * pixel_nm
    size = scipy.fft.next_fast_len(max(math.floor(diameter) + half + 2, pixels))
    fine_nm = pixels * pixel_nm / size
    inside, x, y = aperture(size, fine_nm, column)
    polynomials = 2 * math.pi / wavelength * chi_polynomials(x, y)
    envelope = source_envelope(size, fine_nm, column)
    kept = np.concatenate([envelope[: half + 1], envelope[size - half :]])
    damping = kept[:, None] * envelope[: half + 1]
    flat = inside[0] * size + inside[1]
    indices, phases, kept_share = (torch.from_numpy(part).to(device) for part in (flat, polynomials, damping))
    return size, indices, phases, kept_share
