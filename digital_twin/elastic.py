"""Elastic scattering of single atoms into an annular detector, from tabulated scattering factors.

Factors f(g) = sum_i a_i (2 + b_i g^2) / (1 + b_i g^2)^2 in Angstrom with g = theta / lambda in 1/Angstrom:
I. Lobato and D. Van Dyck, Acta Crystallographica A 70 (2014) 636, for neutral atoms.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from digital_twin.optics import REST_ENERGY_keV, wavelength_nm

NODES = 64

# Coefficients a, then b, by atomic number: H, N, O, Si, Cu, Zr.
FACTORS: dict[int, tuple[tuple[float, ...], tuple[float, ...]]] = {
    1: (
        (0.00647384848835291, -0.490192576780229, 0.573284160390876, -0.37940330148399, 0.554426474774079),
        (2.78519885379148, 2.77620428330644, 2.77538591050625, 2.76759302867258, 2.76511897642927),
    ),
    7: (
        (58.1327150702556, -147.542409087812, 130.143065649639, -39.6195674084154, 0.010595776333148),
        (1.70044856413471, 1.5590385260174, 1.41576827473146, 1.27841818205455, 0.0565587798474805),
    ),
    8: (
        (29.9474045242362, -77.6101266255278, 99.8817764623144, -51.2127005505673, 0.00819618954446032),
        (1.3028398788001, 1.15794105258309, 1.00988549338025, 0.943327971433266, 0.0433197611321825),
    ),
    14: (
        (2.87189142611612, -2.06173501195173, 2.17114024204478, -0.0663073633058801, 0.00301070709670513),
        (5.08487103642989, 0.429178185305126, 0.366485434192162, 0.119710611296903, 0.0143994536128397),
    ),
    29: (
        (1.75207145212145, -43.0410523492124, 44.0705915543573, 0.0186876154088144, 0.00020172732479162),
        (6.18750497986187, 1.00266263628976, 0.98538431135303, 0.0302984703916117, 0.00255855598748879),
    ),
    40: (
        (4.31175453406871, 1.49331578039339, 0.281236050128884, 0.00309337738455747, 2.5802444851e-07),
        (9.4589658051749, 1.33063622845245, 0.156506871444453, 0.00682410523811735, 0.0002498188791107),
    ),
}


@cache
def annular_nm2(atomic_number: int, beam_energy_keV: float, inner_mrad: float, outer_mrad: float) -> float:
    """Cross-section of one atom for scattering between two angles, in nm^2.

    First Born approximation with the relativistic mass, |gamma f|^2 over the solid angle of the annulus. Atoms
    scatter incoherently at high angles, so cross-sections of atoms add up.

    Raises:
        KeyError: there is no scattering factor for this element.
    """
    a, b = (np.array(numbers)[:, None] for numbers in FACTORS[atomic_number])
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    half = 5e-4 * (outer_mrad - inner_mrad)
    theta = 1e-3 * inner_mrad + half * (nodes + 1)
    g2 = (theta / (10 * wavelength_nm(beam_energy_keV))) ** 2
    factor_nm = 0.1 * (a * (2 + b * g2) / (1 + b * g2) ** 2).sum(axis=0)
    gamma = 1 + beam_energy_keV / REST_ENERGY_keV
    return float(half * weights @ ((gamma * factor_nm) ** 2 * 2 * np.pi * np.sin(theta)))
