"""BF and ABF images of thin specimens: contrast linear in the phase, for whole images at the cost of one convolution.

For a weak phase phi = sigma V the share of electrons on a detector D changes with the place of the probe by
int T(q) phi(q) exp(2 pi i q r) dq, T(q) = i int D(k) [psi*(k) psi(k - q) - psi(k) psi*(k + q)] dk, psi = A exp(-i chi)
normalized to 1 (H. Rose, Ultramicroscopy 2 (1977) 251; by reciprocity the transfer of a partly coherent TEM). Written
in real space, with p the probe and d what of it passes D, it is a convolution of phi with -2 Im(d* p). It is linear: a
detector that lies symmetrically sees nothing of a phase object in focus, where contrast is of second order; whole
patterns (``waves.cbed``) have all orders.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import scipy.fft
import torch
from torch import Tensor

from digital_twin.optics import (
    Aberrations,
    Array,
    aperture,
    chi_rad,
    interaction_rad_per_V_A,
    kernel_pixels,
    source_envelope,
    wavelength_nm,
)
from digital_twin.waves import Probe

Detector = tuple[float, float]
"""Inner and outer angle in mrad."""


def direct_share(detector: Detector, probe: Probe) -> float:
    """Share of the incident electrons that falls on a detector where there is no specimen."""
    inner, outer = (min(angle / probe.semi_angle_mrad, 1.0) for angle in detector)
    return outer**2 - inner**2


def margin_pixels(pixel_nm: float, aberrations: Aberrations, probe: Probe) -> int:
    """How many pixels around an image have to be known, since they blur into it."""
    return kernel_pixels(pixel_nm, aberrations, probe.column())[0] // 2


def phase_contrast(
    potentials_V_nm: Tensor, pixel_nm: float, aberrations: Aberrations, probe: Probe, detector: Detector
) -> Tensor:
    """Share of the incident electrons on a detector, (..., H, W) float64 within 0..1, at each place of a scan.

    ``potentials_V_nm`` (..., H + 2 m, W + 2 m) has the margin m of ``margin_pixels``. What the specimen scatters out of
    the wave is not in it: multiply with what stays.

    Raises:
        ValueError: the detector's angles are not ascending from 0.
    """
    if not 0.0 <= detector[0] < detector[1]:
        raise ValueError(f"detector is {detector}, but angles must ascend from 0")
    kernel = torch.from_numpy(phase_kernel(pixel_nm, aberrations, probe, detector)).to(potentials_V_nm.device)
    field = 10 * interaction_rad_per_V_A(probe.beam_energy_keV) * potentials_V_nm
    width = len(kernel)
    shape = [length - width + 1 for length in field.shape[-2:]]
    if min(shape) < 1:
        raise ValueError(f"potentials of {tuple(field.shape[-2:])} pixels leave nothing after a margin of {width // 2}")
    size = [scipy.fft.next_fast_len(length, real=True) for length in field.shape[-2:]]
    spectrum = torch.fft.rfft2(field, s=size) * torch.fft.rfft2(kernel, s=size)
    linear = torch.fft.irfft2(spectrum, s=size)[..., width - 1 :, width - 1 :][..., : shape[0], : shape[1]]
    share: Tensor = (direct_share(detector, probe) + linear).clamp(0.0, 1.0)
    return share


@lru_cache(maxsize=32)
def phase_kernel(pixel_nm: float, aberrations: Aberrations, probe: Probe, detector: Detector) -> Array:
    """What the phase is convolved with, (K, K), K odd, centred: the share gained per rad in a pixel.

    Formed on a grid that holds twice the aperture and limited to the band of the image, as the probes are.
    """
    column = probe.column()
    pixels, _ = kernel_pixels(pixel_nm, aberrations, column)
    half = pixels // 2
    diameter = 2e-3 * probe.semi_angle_mrad / wavelength_nm(probe.beam_energy_keV) * pixels * pixel_nm
    size = scipy.fft.next_fast_len(max(math.floor(diameter) + half + 2, pixels))
    fine_nm = pixels * pixel_nm / size
    inside, x, y = aperture(size, fine_nm, column)
    angle = 1e3 * np.hypot(x, y)
    seen = (angle >= detector[0]) & (angle < detector[1])
    phase = chi_rad(x, y, aberrations, probe.beam_energy_keV)
    contrast = np.zeros((size, size))
    # Several points of the source have the same focus; its size is in the damping below.
    for weight, focus_nm in probe.points_nm()[:, :2]:
        turned = phase + math.pi * focus_nm / wavelength_nm(probe.beam_energy_keV) * (x**2 + y**2)
        pupil = np.zeros((2, size, size), dtype=np.complex128)
        pupil[0][inside] = np.exp(-1j * turned) / math.sqrt(len(x))
        pupil[1][inside] = pupil[0][inside] * seen
        wave, passed = scipy.fft.ifft2(pupil, norm="ortho")
        contrast += weight * -2 * np.imag(np.conj(passed) * wave)
    # The probe moves over the specimen: a correlation, so the kernel of the convolution is turned round.
    damping = source_envelope(size, fine_nm, column)
    spectrum = np.conj(scipy.fft.fft2(contrast)) * damping[:, None] * damping
    kept = np.r_[0 : half + 1, size - half : size]
    kernel = scipy.fft.ifft2(spectrum[np.ix_(kept, kept)]).real
    return np.asarray(scipy.fft.fftshift(kernel))
