"""Elastic cross-sections of atoms into annular detectors by abTEM's scattering factors of Lobato and Van Dyck 2014."""

from __future__ import annotations

import numpy as np
from abtem.core.energy import energy2mass, energy2wavelength
from abtem.parametrizations import LobatoParametrization
from ase.data import atomic_numbers

from experiments.validation.stored import Arrays

SYMBOLS = (
    *("H", "Li", "C", "N", "O", "F", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "K", "Ca", "Ti", "V", "Cr", "Mn", "Fe"),
    *("Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Sr", "Y", "Zr", "Nb", "Mo", "Pd", "Ag", "Cd", "In"),
    *("Sn", "Te", "I", "Cs", "Ba", "La", "Ce", "Hf", "Ta", "W", "Pt", "Au", "Pb", "Bi"),
)
NUMBERS = np.array([atomic_numbers[symbol] for symbol in SYMBOLS])


def elastic_nm2(symbol: str, energy_eV: float, low_rad: float, high_rad: float) -> float:
    """Cross-section of an atom between two angles: relativistic first Born approximation on Lobato's factors."""
    theta = np.linspace(low_rad, high_rad, 4001)
    k = theta / energy2wavelength(energy_eV)
    factor = LobatoParametrization().get_function("scattering_factor", symbol)
    relativistic = energy2mass(energy_eV) / energy2mass(0.0)
    # The argument of abTEM's factor is k^2 in 1/A^2 and its value in A.
    strength = (relativistic * factor(k**2)) ** 2
    return float(np.trapezoid(strength * 2 * np.pi * np.sin(theta), theta)) * 1e-2


def arrays() -> Arrays:
    """Cross-sections in nm^2, (elements, annuli), at 200 kV."""
    annuli = np.array([[40.0, 180.0], [60.0, 150.0], [40.0, 100.0], [80.0, 200.0]])
    table = [[elastic_nm2(s, 200e3, *(1e-3 * a)) for a in annuli] for s in SYMBOLS]
    return {"atomic_number": NUMBERS, "annulus_mrad": annuli, "cross_section_nm2": np.array(table)}
