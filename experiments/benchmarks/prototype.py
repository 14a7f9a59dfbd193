"""The plain prototype that the twin is compared with: forty lines as anybody would write them first.

An object is known on the grid of the image, everything is periodic and float32, noise is ``torch.poisson``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def angles_mrad(pixels: int, pixel_nm: float, wavelength_nm: float) -> tuple[Tensor, Tensor]:
    """Squared angle and azimuth at the points of the transform, (N, N) each."""
    angle = 1e3 * wavelength_nm * torch.fft.fftfreq(pixels, pixel_nm)
    return angle[:, None] ** 2 + angle**2, torch.atan2(angle[:, None], angle.expand(pixels, pixels))


def transfer(angle2: Tensor, azimuth: Tensor, C10_nm: float | Tensor, C12_nm: float, wavelength_nm: float) -> Tensor:
    """exp(-i chi) of defocus (one, or (B, 1, 1) of them) and astigmatism, (N, N) or (B, N, N) complex64."""
    chi = math.pi / wavelength_nm * 1e-6 * angle2 * (C10_nm + C12_nm * torch.cos(2 * azimuth))
    return torch.polar(torch.ones_like(chi), -chi)


def probe_spectrum(pupil: Tensor) -> Tensor:
    """Transform of the probe's intensity, (..., N, N / 2 + 1)."""
    intensity = torch.fft.ifft2(pupil).abs() ** 2
    spectrum: Tensor = torch.fft.rfft2(intensity / intensity.sum(dim=(-2, -1), keepdim=True))
    return spectrum


def haadf(objects: Tensor, probe: Tensor, dose: float) -> Tensor:
    """Images (B, N, N) of objects (B, N, N): blurred by the probe, counted."""
    expected = torch.fft.irfft2(torch.fft.rfft2(objects) * probe, s=objects.shape[-2:])
    return torch.poisson(dose * expected.clamp(min=0))


def hrtem(phases: Tensor, lens: Tensor, dose: float) -> Tensor:
    """Images (B, N, N) of thin objects that shift the phase by (B, N, N): through the lens, counted."""
    wave = torch.fft.ifft2(torch.fft.fft2(torch.polar(torch.ones_like(phases), phases)) * lens)
    return torch.poisson(dose * wave.abs() ** 2)
