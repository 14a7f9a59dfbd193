"""Elastic cross-sections of atoms into annular detectors by abTEM, with the factors of Lobato and Van Dyck 2014.

In first order from the scattering factors of all elements, and to all orders from plane waves through single atoms.
"""

from __future__ import annotations

import numpy as np
from abtem import PlaneWave, Potential
from abtem.core.energy import energy2mass, energy2wavelength
from abtem.parametrizations import LobatoParametrization
from ase import Atoms
from ase.data import atomic_numbers

from experiments.validation import objects
from experiments.validation.stored import Arrays

SYMBOLS = (
    *("H", "Li", "C", "N", "O", "F", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "K", "Ca", "Ti", "V", "Cr", "Mn", "Fe"),
    *("Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Sr", "Y", "Zr", "Nb", "Mo", "Pd", "Ag", "Cd", "In"),
    *("Sn", "Te", "I", "Cs", "Ba", "La", "Ce", "Hf", "Ta", "W", "Pt", "Au", "Pb", "Bi"),
)
NUMBERS = np.array([atomic_numbers[symbol] for symbol in SYMBOLS])
ANNULI_mrad = np.array([[40.0, 180.0], [60.0, 150.0], [40.0, 100.0], [80.0, 200.0]])
ENERGIES_eV = (80e3, 200e3)


def elastic_nm2(symbol: str, energy_eV: float, low_rad: float, high_rad: float) -> float:
    """Cross-section of an atom between two angles: relativistic first Born approximation on Lobato's factors."""
    theta = np.linspace(low_rad, high_rad, 4001)
    k = theta / energy2wavelength(energy_eV)
    factor = LobatoParametrization().get_function("scattering_factor", symbol)
    relativistic = energy2mass(energy_eV) / energy2mass(0.0)
    # The argument of abTEM's factor is k^2 in 1/A^2 and its value in A.
    strength = (relativistic * factor(k**2)) ** 2
    return float(np.trapezoid(strength * 2 * np.pi * np.sin(theta), theta)) * 1e-2


def all_orders_nm2(number: int, energy_eV: float) -> list[float]:
    """Cross-sections of an atom into the annuli: what a plane wave has there after the atom as one slice."""
    size = objects.LONE_SIZE
    box = 10 * objects.LONE_PIXEL_nm * size
    atom = Atoms(numbers=[number], positions=[(box / 2, box / 2, 1.0)], cell=[box, box, 2.0], pbc=True)
    potential = Potential(atom, gpts=size, slice_thickness=2.0, parametrization="lobato", projection="infinite").build(
        lazy=False
    )
    wave = PlaneWave(energy=energy_eV, normalize=False)
    wave.grid.match(potential)
    passed = np.fft.fft2(np.asarray(wave.multislice(potential, lazy=False).array)) / size**2
    k = np.fft.fftfreq(size, box / size)
    theta_mrad = 1e3 * energy2wavelength(energy_eV) * np.hypot(k[:, None], k)
    shares = [(np.abs(passed[(theta_mrad >= low) & (theta_mrad < high)]) ** 2).sum() for low, high in ANNULI_mrad]
    return [float(share) * 1e-2 * box**2 for share in shares]


def arrays() -> Arrays:
    """Cross-sections in nm^2: first order at 200 kV (elements, annuli), all orders (energies, LONE, annuli)."""
    table = [[elastic_nm2(s, 200e3, *(1e-3 * a)) for a in ANNULI_mrad] for s in SYMBOLS]
    return {
        "atomic_number": NUMBERS,
        "annulus_mrad": ANNULI_mrad,
        "cross_section_nm2": np.array(table),
        "energy_keV": 1e-3 * np.array(ENERGIES_eV),
        "lone": np.array(objects.LONE),
        "all_orders_nm2": np.array([[all_orders_nm2(z, energy) for z in objects.LONE] for energy in ENERGIES_eV]),
    }
