"""Atoms knocked out of a thin crystal by single electrons: pure formulae.

An electron that is thrown straight back gives an atom of mass M at most E_max = 2 E (E + 2 m c^2) / (M c^2). Where that
is more than the displacement energy, cross-sections are those of W. A. McKinley and H. Feshbach, Phys. Rev. 74 (1948)
1759, integrated by F. Banhart, Rep. Prog. Phys. 62 (1999) 1181, equation 5. An atom that happens to move along with the
beam takes more, so that vibrations smear the threshold out: J. C. Meyer et al., Phys. Rev. Lett. 108 (2012) 196102, and
T. Susi et al., Nat. Commun. 7 (2016) 13040. Of these two the abstracts were read and the kinematics derived anew.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from digital_twin.optics import ELEMENTARY_CHARGE_C, Array, LIGHT_m_per_s, REST_ENERGY_keV
from digital_twin.spectra import BOHR_nm, REST_ENERGY_eV, RYDBERG_eV, SQUARE_nm_PER_BARN

FINE_STRUCTURE = 7.2973525693e-3
DALTON_eV = 931494102.42
DALTON_kg = 1.66053906660e-27
BOLTZMANN_J_per_K = 1.380649e-23
NODES = 48
WIDEST = 8.0
"""Atoms faster than this many standard deviations are left out."""


def threshold_keV(displacement_eV: float, mass_u: float) -> float:
    """Beam energy at which an atom at rest is given just its displacement energy."""
    return 1e-3 * (math.sqrt(REST_ENERGY_eV**2 + displacement_eV * mass_u * DALTON_eV / 2) - REST_ENERGY_eV)


def largest_transfer_eV(beam_energy_keV: float, mass_u: float, velocity_m_per_s: ArrayLike = 0.0) -> Array:
    """Energy of an atom after a head-on collision, eV, of the shape of its velocity along the beam before it.

    Momentum is conserved; the little energy that the electron loses changes its momentum in the order of m / M.
    """
    electron_eV, mass_eV = 1e3 * beam_energy_keV, mass_u * DALTON_eV
    drift_eV = mass_eV * np.asarray(velocity_m_per_s, dtype=np.float64) / LIGHT_m_per_s
    arriving_eV = math.sqrt(electron_eV * (electron_eV + 2 * REST_ENERGY_eV))
    # What is not in the atom is in the electron on its way back; two rounds are exact to (m / M)^2.
    given_eV = (2 * arriving_eV + drift_eV) ** 2 / (2 * mass_eV)
    for _ in range(2):
        left_eV = electron_eV - given_eV + drift_eV**2 / (2 * mass_eV)
        leaving_eV = np.sqrt(left_eV * (left_eV + 2 * REST_ENERGY_eV))
        given_eV = (arriving_eV + leaving_eV + drift_eV) ** 2 / (2 * mass_eV)
    return np.asarray(given_eV)


def cross_section_barn(
    atomic_number: int, beam_energy_keV: float, transfer_eV: ArrayLike, displacement_eV: float
) -> Array:
    """Cross-section for giving an atom more than the displacement energy, in barn; 0 where no electron can.

    ``transfer_eV`` is the largest energy that it can be given, of any shape.

    Raises:
        ValueError: the displacement energy is not positive.
    """
    if not displacement_eV > 0.0:
        raise ValueError(f"displacement_eV = {displacement_eV:g} must be above 0")
    energy = beam_energy_keV / REST_ENERGY_keV
    beta2 = energy * (energy + 2) / (energy + 1) ** 2
    spin = math.pi * atomic_number * FINE_STRUCTURE * math.sqrt(beta2)
    ratio = np.maximum(np.asarray(transfer_eV, dtype=np.float64) / displacement_eV, 1.0)
    brace = 1 + 2 * spin / np.sqrt(ratio) - (1 + 2 * spin + (beta2 + spin) * np.log(ratio)) / ratio
    scale_nm2 = 4 * math.pi * (BOHR_nm * atomic_number * RYDBERG_eV / REST_ENERGY_eV) ** 2 * (1 - beta2) / beta2**2
    return np.asarray(scale_nm2 / SQUARE_nm_PER_BARN * ratio * brace)


def sideways_cross_section_barn(
    atomic_number: int, beam_energy_keV: float, transfer_eV: float, barrier_eV: float
) -> float:
    """Cross-section for giving an atom at rest more than a barrier by its motion across the beam, in barn.

    An atom that is given T of at most E_max flies off at cos^2 = T / E_max to the beam, so that its motion across has
    T (1 - T / E_max) of it, E_max / 4 at best.

    Raises:
        ValueError: the barrier is not positive.
    """
    if not barrier_eV > 0.0:
        raise ValueError(f"barrier_eV = {barrier_eV:g} must be above 0")
    if transfer_eV <= 4 * barrier_eV:
        return 0.0
    spread = math.sqrt(1 - 4 * barrier_eV / transfer_eV)
    least, most = (transfer_eV / 2 * (1 + sign * spread) for sign in (-1, 1))
    low, high = (cross_section_barn(atomic_number, beam_energy_keV, transfer_eV, end) for end in (least, most))
    return float(low - high)


def velocity2_m2_per_s2(mass_u: float, debye_K: float, temperature_K: float) -> float:
    """Mean square velocity of an atom along one direction in Debye's model, zero-point motion included.

    M <v^2> = k T_D [3/8 + 3 (T / T_D)^4 int_0^(T_D / T) x^3 / (e^x - 1) dx]: half of each mode's energy is kinetic.

    Raises:
        ValueError: the Debye temperature is not positive or the temperature negative.
    """
    if not (debye_K > 0.0 and temperature_K >= 0.0):
        raise ValueError(f"debye_K = {debye_K:g} must be above 0, temperature_K = {temperature_K:g} not below 0")
    thermal = 0.0
    if temperature_K > 0.0:
        end = min(debye_K / temperature_K, 50.0)
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        x = end / 2 * (nodes + 1)
        thermal = 3 * (temperature_K / debye_K) ** 4 * end / 2 * float(weights @ (x**3 / np.expm1(x)))
    return BOLTZMANN_J_per_K * debye_K * (0.375 + thermal) / (mass_u * DALTON_kg)


def thermal_cross_section_barn(
    atomic_number: int, mass_u: float, beam_energy_keV: float, displacement_eV: float, velocity2_m2_per_s2: float
) -> float:
    """Cross-section of an atom whose velocity along the beam is normally distributed with this mean square, in barn."""
    sd = math.sqrt(velocity2_m2_per_s2)
    at_rest_eV = float(largest_transfer_eV(beam_energy_keV, mass_u))
    if sd == 0.0:
        return float(cross_section_barn(atomic_number, beam_energy_keV, at_rest_eV, displacement_eV))
    # Energies go as squares of momenta, to which that of the atom is added: the slowest atom that can be displaced.
    joule = 2 * ELEMENTARY_CHARGE_C / (mass_u * DALTON_kg)
    slowest = math.sqrt(joule * displacement_eV) - math.sqrt(joule * at_rest_eV)
    low = max(slowest, -WIDEST * sd)
    high = max(low, 0.0) + WIDEST * sd
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    velocity = low + (high - low) / 2 * (nodes + 1)
    density = np.exp(-(velocity**2) / (2 * velocity2_m2_per_s2)) / math.sqrt(2 * math.pi * velocity2_m2_per_s2)
    transfer_eV = largest_transfer_eV(beam_energy_keV, mass_u, velocity)
    sections = cross_section_barn(atomic_number, beam_energy_keV, transfer_eV, displacement_eV)
    return float((high - low) / 2 * weights @ (density * sections))
