"""Elastic scattering of single atoms into an annular detector, from tabulated scattering factors."""

from __future__ import annotations

from functools import cache

import numpy as np

from digital_twin.lobato import factor_nm
from digital_twin.optics import REST_ENERGY_keV, wavelength_nm

NODES = 64


@cache
def annular_nm2(atomic_number: int, beam_energy_keV: float, inner_mrad: float, outer_mrad: float) -> float:
    """Cross-section of one atom for scattering between two angles, in nm^2.

    First Born approximation with the relativistic mass, |gamma f|^2 over the solid angle of the annulus. Atoms
    scatter incoherently at high angles, so cross-sections of atoms add up.

    Raises:
        KeyError: there is no scattering factor for this element.
    """
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    half = 5e-4 * (outer_mrad - inner_mrad)
    theta = 1e-3 * inner_mrad + half * (nodes + 1)
    gamma = 1 + beam_energy_keV / REST_ENERGY_keV
    strength = (gamma * factor_nm(atomic_number, theta / wavelength_nm(beam_energy_keV))) ** 2
    return float(half * weights @ (strength * 2 * np.pi * np.sin(theta)))
