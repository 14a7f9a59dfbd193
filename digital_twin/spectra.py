"""Pure formulae of electron energy-loss spectra. No state, no twin: policies and perception may use them too.

Energies in eV on a uniform axis, lengths in nm, cross-sections in nm^2, angles in mrad, beam energy in keV.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RYDBERG_eV = 13.605693
BOHR_NM = 0.0529177210903
REST_keV = 510.99895


@dataclass(frozen=True)
class Plasmon:
    """A Drude plasmon: energy and width in eV."""

    energy_eV: float
    width_eV: float


WATER = Plasmon(energy_eV=21.0, width_eV=12.0)
NITRIDE = Plasmon(energy_eV=23.0, width_eV=10.0)
COPPER = Plasmon(energy_eV=19.0, width_eV=15.0)


@dataclass(frozen=True)
class Edge:
    """A core edge of the hydrogenic model: atomic number, shell and onset; ``rise`` is the L-shell exponent."""

    name: str
    z: int
    shell: str
    onset_eV: float
    upper_onset_eV: float = 0.0
    rise: float = 0.0


OXYGEN_K = Edge(name="O_K", z=8, shell="K", onset_eV=532.0)
COPPER_L = Edge(name="Cu_L3", z=29, shell="L", onset_eV=931.0, upper_onset_eV=1096.0, rise=0.14)


def mean_free_path_nm(density_g_per_cm3: float, beam_energy_keV: float, angles_mrad: tuple[float, float]) -> float:
    """Inelastic mean free path, Iakoubovskii et al. 2008 (Microsc. Res. Tech. 71, 626), eq. 9.

    ``angles_mrad`` are the convergence and the collection semi-angle.
    """
    alpha2, beta2 = angles_mrad[0] ** 2, angles_mrad[1] ** 2
    factor = (1 + beam_energy_keV / 1022) / (1 + beam_energy_keV / 511) ** 2
    theta_e2 = (5.5 * density_g_per_cm3**0.3 / (factor * beam_energy_keV)) ** 2
    theta_c2 = 20.0**2
    apart = abs(alpha2 - beta2)
    ratio = (alpha2 + beta2 + 2 * theta_e2 + apart) / (alpha2 + beta2 + 2 * theta_c2 + apart) * theta_c2 / theta_e2
    return 200 * factor * beam_energy_keV / (11 * density_g_per_cm3**0.3) / math.log(ratio)


def single_scattering(energy_eV: Array, plasmon: Plasmon) -> Array:
    """Drude energy-loss function of unit sum on the axis: E G Ep^2 / ((E^2 - Ep^2)^2 + (E G)^2); zero at E <= 0."""
    e, ep, width = np.clip(energy_eV, 0, None), plasmon.energy_eV, plasmon.width_eV
    loss = e * width * ep**2 / ((e**2 - ep**2) ** 2 + (e * width) ** 2)
    result: Array = loss / loss.sum()
    return result


def low_loss(energy_eV: Array, zero_loss_fwhm_eV: float, layers: Sequence[tuple[float, Plasmon]]) -> Array:
    """Low-loss distribution of unit total with plural scattering: ZLP (*) F^-1 exp(sum t/lambda (S - 1)).

    ``layers`` are (t/lambda, plasmon) pairs. The axis must be uniform and hold zero; what is scattered past its end
    is lost, as on a spectrometer.
    """
    n, step = len(energy_eV), float(energy_eV[1] - energy_eV[0])
    padded = step * np.arange(4 * n)
    exponent = np.zeros(4 * n // 2 + 1, dtype=complex)
    for thickness, plasmon in layers:
        exponent += thickness * (np.fft.rfft(single_scattering(padded, plasmon)) - 1)
    sigma = zero_loss_fwhm_eV / 2.3548200450309493
    signed = step * np.fft.fftfreq(4 * n, 1 / (4 * n))
    peak = np.exp(-(signed**2) / (2 * sigma**2))
    spread = np.fft.irfft(np.fft.rfft(peak / peak.sum()) * np.exp(exponent), 4 * n)
    below = round(-float(energy_eV[0]) / step)
    result: Array = np.clip(np.roll(spread, below)[:n], 0, None)
    return result


def cross_section_nm2_per_eV(energy_eV: Array, edge: Edge, beam_energy_keV: float, collection_mrad: float) -> Array:
    """Differential cross-section of an edge from hydrogenic oscillator strengths (Egerton 1979, SIGMAK and SIGMAL).

    Zero below the onset. Bethe theory, small-angle: 4 pi a0^2 R^2 / (E T) integral of df/dE over ln (q a0)^2.
    """
    gamma = 1 + beam_energy_keV / REST_keV
    kinetic_eV = 1e3 * REST_keV * (1 - 1 / gamma**2) / 2
    result = np.zeros_like(energy_eV)
    above = np.flatnonzero(energy_eV >= edge.onset_eV)
    e = energy_eV[above][:, None]
    low = e**2 / (4 * RYDBERG_eV * kinetic_eV) + e**3 / (8 * gamma**3 * RYDBERG_eV * kinetic_eV**2)
    high = low + 4 * gamma**2 * kinetic_eV / RYDBERG_eV * math.sin(5e-4 * collection_mrad) ** 2
    grid = np.linspace(0, 1, 65)[None, :]
    q2 = np.exp(np.log(low) + grid * np.log(high / low))
    strength = _strength_k(e, q2, edge.z) if edge.shell == "K" else _strength_l(e, q2, edge)
    integral = np.trapezoid(strength, np.log(q2), axis=1)
    result[above] = 4 * math.pi * BOHR_NM**2 * RYDBERG_eV**2 / (e[:, 0] * kinetic_eV) * integral
    return result


def _strength_k(e: Array, q2: Array, z: int) -> Array:
    """Generalised oscillator strength of the K shell per eV; screened charge z - 0.5."""
    zs = z - 0.5
    q = q2 / zs**2
    k2 = e / (RYDBERG_eV * zs**2) - 1
    k = np.maximum(np.sqrt(np.abs(k2)), 0.1)
    angle = np.arctan2(2 * k, q - k2 + 1)
    bound = -1 / k * np.log(np.maximum((q + 1 - k2 + 2 * k) / np.maximum(q + 1 - k2 - 2 * k, 1e-12), 1e-12))
    c = np.where(k2 >= 0, np.exp(-2 / k * angle), np.exp(bound))
    d = np.where(k2 >= 0, 1 - np.exp(-2 * math.pi / k), 1.0)
    a = ((q - k2 + 1) ** 2 + 4 * np.maximum(k2, 0)) ** 3
    a = np.where(k2 >= 0, a, ((q - k2 + 1) ** 2 + 4 * k2) ** 3)
    result: Array = 256 * e / (RYDBERG_eV * zs**4) * c / d * (q + k2 / 3 + 1 / 3) / (a * RYDBERG_eV)
    return result


def _strength_l(e: Array, q2: Array, edge: Edge) -> Array:
    """Generalised oscillator strength of the L shell per eV; screened charge z - 4.15, Egerton's onset correction."""
    zs = edge.z - 4.15
    q = q2 / zs**2
    k2 = e / (RYDBERG_eV * zs**2) - 0.25
    k = np.maximum(np.sqrt(np.abs(k2)), 0.1)
    angle = np.arctan2(k, q - k2 + 0.25)
    bound = -1 / k * np.log(np.maximum((q + 0.25 - k2 + k) / np.maximum(q + 0.25 - k2 - k, 1e-12), 1e-12))
    c = np.where(k2 >= 0, np.exp(-2 / k * angle), np.exp(bound))
    d = np.where(k2 >= 0, 1 - np.exp(-2 * math.pi / k), 1.0)
    only_l23 = (
        2.25 * q**4
        - (0.75 + 3 * k2) * q**3
        + (0.59375 - 0.75 * k2 - 0.5 * k2**2) * q**2
        + (0.11146 + 0.85417 * k2 + 1.8833 * k2**2 + k2**3) * q
        + 0.0035807
        + k2 / 21.333
        + k2**2 / 4.5714
        + k2**3 / 2.4
        + k2**4 / 4
    ) / ((q - k2 + 0.25) ** 2 + k2) ** 5
    with_l1 = (
        q**3
        - (5 / 3 * k2 + 11 / 12) * q**2
        + (k2**2 / 3 + 1.5 * k2 + 65 / 48) * q
        + k2**3 / 3
        + 0.75 * k2**2
        + 23 / 48 * k2
        + 5 / 64
    ) / ((q - k2 + 0.25) ** 2 + k2) ** 4
    shape = np.where(e - edge.upper_onset_eV <= 0, only_l23, with_l1)
    onset = (np.maximum(e + 0.1 - edge.onset_eV, 0.1) / 1.8 / edge.z**2) ** edge.rise
    result: Array = onset * 32 * shape * c / d * e / RYDBERG_eV**2 / zs**4
    return result
