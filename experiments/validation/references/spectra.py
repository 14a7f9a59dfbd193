"""Onsets, hydrogenic cross-sections, free paths, X-ray lines and resolution by eXSpy, which is GPL: numbers alone."""

from __future__ import annotations

import numpy as np
from exspy._misc.eds.utils import get_FWHM_at_Energy
from exspy._misc.eels.electron_inelastic_mean_free_path import iMFP_angular_correction, iMFP_Iakoubovskii
from exspy._misc.eels.hydrogenic_gos import HydrogenicGOS
from exspy.material import elements

from experiments.validation.stored import Arrays

EDGES = ("C_K", "N_K", "O_K", "Si_L3", "Mn_L3", "Fe_L3", "Cu_L3")
DENSITIES = np.array([1.0, 2.2, 3.17, 4.5, 8.96, 19.3])
ENERGIES_keV = np.array([0.5, 1.0, 1.74, 4.0, 5.895, 8.0, 15.0, 20.0])
KA = ("C", "N", "O", "F", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ca", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu")
LA = ("Zr", "Mo", "Ag", "W", "Pt", "Au")
BARN_nm2 = 1e-10


def free_path_nm(density_g_per_cm3: float) -> float:
    """At 200 kV, 10 mrad convergence and 20 mrad collection, as estimate_thickness uses it."""
    whole = iMFP_Iakoubovskii(density_g_per_cm3, 200.0)
    return float(whole * iMFP_angular_correction(density_g_per_cm3, 200.0, 10.0, 20.0))


def line_eV(symbol: str, line: str) -> float:
    """Energy of an X-ray line."""
    return 1e3 * float(elements[symbol]["Atomic_properties"]["Xray_lines"][line]["energy_keV"])


def arrays() -> Arrays:
    """At 200 kV, edges with 20 mrad collection."""
    made: Arrays = {}
    for name in EDGES:
        shell = HydrogenicGOS(name)
        shell.integrateq(shell.onset_energy, 0.020, 200)
        near = shell.energy_axis < shell.onset_energy + 300.0
        made[f"{name}_onset_eV"] = np.array(shell.onset_energy)
        made[f"{name}_energy_eV"] = shell.energy_axis[near]
        made[f"{name}_nm2_per_eV"] = shell.qint[near] * BARN_nm2
    made["density_g_per_cm3"] = DENSITIES
    made["free_path_nm"] = np.array([free_path_nm(density) for density in DENSITIES])
    made["fwhm_at_keV"] = ENERGIES_keV
    made["fwhm_eV"] = np.array([1e3 * get_FWHM_at_Energy(130.0, energy) for energy in ENERGIES_keV])
    for family, symbols in (("Ka", KA), ("La", LA)):
        made[f"{family}_atomic_number"] = np.array([elements[s]["General_properties"]["Z"] for s in symbols])
        made[f"{family}_eV"] = np.array([line_eV(s, family) for s in symbols])
    return made
