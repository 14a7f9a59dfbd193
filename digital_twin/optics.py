"""Pure formulae of the electron-optical column. No state, no twin: policies and perception may use them too.

Units nm, mrad, keV. Krivanek notation; the phase is chi and the transfer A exp(-i chi); ``defocus_nm = -C10_nm``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PLANCK_J_S = 6.62607015e-34
ELECTRON_MASS_KG = 9.1093837015e-31
CHARGE_C = 1.602176634e-19
LIGHT_M_PER_S = 299792458.0


def wavelength_nm(beam_energy_keV: float) -> float:
    """Relativistic electron wavelength in nm: h / sqrt(2 m e E (1 + e E / 2 m c^2)), CODATA 2018."""
    energy_J = beam_energy_keV * 1e3 * CHARGE_C
    rest_J = ELECTRON_MASS_KG * LIGHT_M_PER_S**2
    return 1e9 * PLANCK_J_S / math.sqrt(2 * ELECTRON_MASS_KG * energy_J * (1 + energy_J / (2 * rest_J)))


def interaction_rad_per_V_nm(beam_energy_keV: float) -> float:
    """Interaction parameter sigma = 2 pi m_rel e lambda / h^2 in rad / (V nm)."""
    gamma = 1 + beam_energy_keV * 1e3 * CHARGE_C / (ELECTRON_MASS_KG * LIGHT_M_PER_S**2)
    lam_m = wavelength_nm(beam_energy_keV) * 1e-9
    return 1e-9 * 2 * math.pi * gamma * ELECTRON_MASS_KG * CHARGE_C * lam_m / PLANCK_J_S**2


def beta_squared(beam_energy_keV: float) -> float:
    """(v/c)^2 of the beam."""
    gamma = 1 + beam_energy_keV * 1e3 * CHARGE_C / (ELECTRON_MASS_KG * LIGHT_M_PER_S**2)
    return 1 - 1 / gamma**2


def chi_rad(alpha_x_rad: Array, alpha_y_rad: Array, wavelength: float, aberrations: Mapping[str, float]) -> Array:
    """Aberration phase (rad) at angles (rad), Krivanek et al. 1999.

    chi = 2 pi / lambda sum C_nm alpha^(n+1) cos(m (phi - phi_nm)) / (n + 1), for C10, C12, C21, C23 (nm) and C30 (um);
    missing entries are zero. ``wavelength`` in nm. With m phi_nm folded in as in abTEM: C_a = C cos(m phi_nm).
    """
    alpha2 = alpha_x_rad**2 + alpha_y_rad**2
    alpha = np.sqrt(alpha2)
    phi = np.arctan2(alpha_y_rad, alpha_x_rad)
    c = aberrations.get
    total = c("C10_nm", 0.0) * alpha2 / 2
    total = total + c("C12_nm", 0.0) * alpha2 / 2 * np.cos(2 * (phi - c("phi12_rad", 0.0)))
    total = total + c("C21_nm", 0.0) * alpha**3 / 3 * np.cos(phi - c("phi21_rad", 0.0))
    total = total + c("C23_nm", 0.0) * alpha**3 / 3 * np.cos(3 * (phi - c("phi23_rad", 0.0)))
    total = total + 1e3 * c("C30_um", 0.0) * alpha2**2 / 4
    result: Array = 2 * math.pi / wavelength * total
    return result


def transfer(
    shape: tuple[int, int],
    pixel_nm: float,
    beam_energy_keV: float,
    semi_angle_mrad: float,
    aberrations: Mapping[str, float],
) -> NDArray[np.complex128]:
    """Coherent transfer A exp(-i chi) on the unshifted FFT grid of an image (H, W) with square pixels."""
    lam = wavelength_nm(beam_energy_keV)
    ay = lam * np.fft.fftfreq(shape[0], pixel_nm)[:, None]
    ax = lam * np.fft.fftfreq(shape[1], pixel_nm)[None, :]
    inside = ax**2 + ay**2 <= (1e-3 * semi_angle_mrad) ** 2
    phase = chi_rad(np.broadcast_to(ax, shape), np.broadcast_to(ay, shape), lam, aberrations)
    return np.where(inside, np.exp(-1j * phase), 0)


def probe(
    shape: tuple[int, int],
    pixel_nm: float,
    beam_energy_keV: float,
    semi_angle_mrad: float,
    aberrations: Mapping[str, float],
) -> Array:
    """Probe intensity (H, W) of unit sum, centred on pixel (0, 0) of the FFT grid: |F^-1 A exp(-i chi)|^2."""
    wave = np.fft.ifft2(transfer(shape, pixel_nm, beam_energy_keV, semi_angle_mrad, aberrations))
    intensity: Array = np.abs(wave) ** 2
    return intensity / intensity.sum()


def probe_spread_nm(semi_angle_mrad: float, C10_nm: float) -> float:
    """Geometric radius of a defocused probe, nm: semi-angle x |C10|."""
    return 1e-3 * semi_angle_mrad * abs(C10_nm)


def depth_of_focus_nm(beam_energy_keV: float, semi_angle_mrad: float) -> float:
    """Depth of focus of a STEM probe, nm: 1.77 lambda / alpha^2 (Nellist, in Pennycook & Nellist 2011)."""
    return 1.77 * wavelength_nm(beam_energy_keV) / (1e-3 * semi_angle_mrad) ** 2


def incoherent_transfer(
    shape: tuple[int, int],
    pixel_nm: float,
    beam: tuple[float, float],
    aberrations: Mapping[str, float],
    source_nm: float,
) -> NDArray[np.complex128]:
    """Transfer of an incoherent image on the FFT grid: F(probe) x Gaussian source of standard deviation ``source_nm``.

    ``beam`` is (beam energy in keV, convergence semi-angle in mrad). The probe is computed on a grid fine enough to
    hold its aperture twice, and as wide as the image, so that coarse pixels do not alias it.
    """
    energy, angle = beam
    finest_nm = wavelength_nm(energy) / (1e-3 * angle) / 4
    factor = max(1, math.ceil(pixel_nm / finest_nm))
    fine = (shape[0] * factor, shape[1] * factor)
    spectrum = np.fft.fft2(probe(fine, pixel_nm / factor, energy, angle, aberrations))
    rows, columns = (np.round(np.fft.fftfreq(n) * n).astype(int) for n in shape)
    qy, qx = np.fft.fftfreq(shape[0], pixel_nm)[:, None], np.fft.fftfreq(shape[1], pixel_nm)[None, :]
    source = np.exp(-2 * (math.pi * source_nm) ** 2 * (qx**2 + qy**2))
    result: NDArray[np.complex128] = spectrum[np.ix_(rows % fine[0], columns % fine[1])] * source
    return result
