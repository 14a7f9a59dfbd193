"""Probes as convolution kernels in torch: ``optics.probe_kernel`` for many probes on any device."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from digital_twin.optics import (
    Aberrations,
    Column,
    aperture,
    chi_coefficients_nm,
    chi_polynomials,
    kernel_pixels,
    source_envelope,
    wavelength_nm,
)


def probe_kernels(pixel_nm: float, aberrations: Aberrations, column: Column, device: torch.device) -> Tensor:
    """Probes on an image's pixels, (B, K, K) float64, K odd, centred, sum 1, as ``optics.probe_kernel`` gives them.

    ``aberrations`` holds one coefficient at least per probe, (B,). The source is multiplied in and the band cut in
    one and the same transform.
    """
    pixels, fine = kernel_pixels(pixel_nm, aberrations, column)
    size, half = pixels * fine, pixels // 2
    inside, polynomials, damping = _grid(pixels, fine, pixel_nm, column, device)
    weights = torch.from_numpy(np.atleast_2d(chi_coefficients_nm(aberrations))).to(device)
    phase = weights @ polynomials
    pupil = torch.zeros(len(weights), size * size, dtype=torch.complex128, device=device)
    pupil[:, inside] = torch.polar(torch.ones_like(phase), -phase)
    wave = torch.fft.ifft2(pupil.view(-1, size, size))
    spectrum = torch.fft.rfft2(wave.real**2 + wave.imag**2)
    band = torch.cat([spectrum[:, : half + 1, : half + 1], spectrum[:, size - half :, : half + 1]], dim=1)
    current = band[:, :1, :1].real
    kernel = torch.fft.irfft2(band * damping / current, s=(pixels, pixels))
    centred: Tensor = torch.fft.fftshift(kernel, dim=(-2, -1))
    return centred


@lru_cache(maxsize=32)
def _grid(
    pixels: int, fine: int, pixel_nm: float, column: Column, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """What kernels of a size share: flat indices of the aperture (P,), phases per nm (8, P), damping of the source."""
    size, half = pixels * fine, pixels // 2
    inside, x, y = aperture(size, pixel_nm / fine, column)
    polynomials = 2 * math.pi / wavelength_nm(column.beam_energy_keV) * chi_polynomials(x, y)
    envelope = source_envelope(size, pixel_nm / fine, column)
    kept = np.concatenate([envelope[: half + 1], envelope[size - half :]])
    damping = kept[:, None] * envelope[: half + 1]
    flat = inside[0] * size + inside[1]
    return tuple(torch.from_numpy(part).to(device) for part in (flat, polynomials, damping))  # type: ignore[return-value]
