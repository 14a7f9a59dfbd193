"""Characteristic X-rays of free atoms: how often an electron sets one off, at which energy, and what absorbs it.

Cross-sections for ionising a subshell are those of D. Bote et al., Atomic Data and Nuclear Data Tables 95 (2009) 871
(distorted waves, 1 to 2 % from the calculations that they fit). Yields, Coster-Kronig probabilities, line energies,
shares and photoabsorption are those of W. T. Elam et al., Radiation Physics and Chemistry 63 (2002) 121.
``xray_tables.json`` holds them, and where they were taken from.

Vacancies that a K vacancy leaves in the L shell, and an L vacancy in the M shell, are not followed: far more are made
directly.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from digital_twin.optics import Array
from digital_twin.spectra import BOHR_nm, REST_ENERGY_eV

TABLES = Path(__file__).with_name("xray_tables.json")
SLOW = 16.0
"""Up to this multiple of the edge energy the fit for slow electrons holds."""


@dataclass(frozen=True)
class Line:
    """One line of an element: photons per incident electron, for one atom in each nm^2."""

    element: int
    name: str
    energy_eV: float
    emission_nm2: float


@cache
def element(atomic_number: int) -> dict[str, Any]:
    """What the tables hold of an element.

    Raises:
        KeyError: it is not in the tables.
    """
    tables: dict[str, dict[str, Any]] = _elements()
    if str(atomic_number) not in tables:
        raise KeyError(f"no X-ray table for atomic number {atomic_number}: there are {', '.join(tables)}")
    return tables[str(atomic_number)]


@cache
def _elements() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(TABLES.read_text(encoding="utf-8"))["elements"]
    return found


def ionisation_nm2(atomic_number: int, subshell: str, beam_energy_keV: float) -> float:
    """Cross-section for ionising a subshell ("K", "L3", ...) of one atom, nm^2; zero below its edge (Bote et al.)."""
    fit = element(atomic_number)["subshells"][subshell]
    energy_eV = 1e3 * beam_energy_keV
    over = energy_eV / fit["edge_eV"]
    if over <= 1:
        return 0.0
    if over <= SLOW:
        a1, a2, a3, a4, a5 = fit["low"]
        per = 1 / (1 + over)
        shape = (over - 1) * ((a1 + a2 * over + per * (a3 + per**2 * (a4 + per**2 * a5))) / over) ** 2
    else:
        g1, g2, g3, g4 = fit["high"]
        total = energy_eV + REST_ENERGY_eV
        momentum = math.sqrt(energy_eV * (energy_eV + 2 * REST_ENERGY_eV)) / REST_ENERGY_eV
        speed2 = (momentum * REST_ENERGY_eV / total) ** 2
        rise = (2 * math.log(momentum) - speed2) * (1 + g1 / momentum)
        rise += g2 + g3 * math.sqrt(REST_ENERGY_eV / total) + g4 / momentum
        shape = fit["scale"] / speed2 * over / (over + fit["b"]) * rise
    return 4 * math.pi * BOHR_nm**2 * float(shape)


@cache
def lines(atomic_number: int, beam_energy_keV: float) -> tuple[Line, ...]:
    """All lines of an element; vacancies of lower subshells come in by Coster-Kronig transitions."""
    found: list[Line] = []
    for name, shell in element(atomic_number)["subshells"].items():
        vacancies = ionisation_nm2(atomic_number, name, beam_energy_keV)
        for lower, probability in shell["from"].items():
            vacancies += probability * ionisation_nm2(atomic_number, lower, beam_energy_keV)
        for line, energy_eV, share in shell["lines"]:
            found.append(Line(atomic_number, line, energy_eV, vacancies * shell["yield"] * share))
    return tuple(found)


def absorption_per_nm(atoms: tuple[tuple[int, float], ...], density_g_per_cm3: float, energy_eV: Array) -> Array:
    """Photoabsorption per nm of path in a material of atoms (atomic number, how many), at energies in eV."""
    masses = [number * element(z)["molar_mass"] for z, number in atoms]
    total = np.zeros_like(energy_eV)
    for (z, _), mass in zip(atoms, masses, strict=True):
        table = element(z)["absorption"]
        # Interpolated in logarithms; steps at edges are two entries at one energy.
        logs = np.interp(np.log(np.maximum(energy_eV, 1.0)), np.log(table["energy_eV"]), table["log_cm2_per_g"])
        total = total + mass / sum(masses) * np.exp(logs)
    return np.asarray(1e-7 * density_g_per_cm3 * total)
