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
    kernel_pixels,
    source_envelope,
    wavelength_nm,
)


def probe_kernels(pixel_nm: float, aberrations: Aberrations, column: Column, device: torch.device) -> Tensor:
    """Probes on an image's pixels, (B, K, K) float64, K odd, centred, sum 1, as ``optics.probe_kernel`` gives them.

    ``aberrations`` holds one coefficient at least per probe, (B,). The grid is only as fine as it must be for nothing
    of the intensity's spectrum, which is twice as wide as the aperture, to fold into the band of the image.
    """
    pixels, _ = kernel_pixels(pixel_nm, aberrations, column)
    size, inside, polynomials, damping = _grid(pixels, pixel_nm, column, device)
    half = pixels // 2
    weights = torch.from_numpy(np.atleast_2d(chi_coefficients_nm(aberrations))).to(device)
    phase = weights @ polynomials
    pupil = torch.zeros(len(weights), size * size, dtype=torch.complex128, device=device)
    # Sine and cosine apart: torch.polar computes them one number at a time.
    pupil[:, inside] = torch.complex(phase.cos(), phase.sin().neg_())
    wave = torch.fft.ifft2(pupil.view(-1, size, size))
    spectrum = torch.fft.rfft2(wave.real**2 + wave.imag**2)
    band = torch.cat([spectrum[:, : half + 1, : half + 1], spectrum[:, size - half :, : half + 1]], dim=1)
    current = band[:, :1, :1].real
    kernel = torch.fft.irfft2(band * damping / current, s=(pixels, pixels))
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
