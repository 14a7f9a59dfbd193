"""HAADF, BF and ABF of a doped monolayer of MoS2 by abTEM: multislice with frozen phonons, Lobato's potentials.

A cell of 4 x 2 rectangular units along x and y, with a tungsten atom on a molybdenum site, and one sulfur atom missing
from each of one pair and selenium in place of one of another.
"""

from __future__ import annotations

import abtem
import numpy as np
from abtem.potentials.iam import PotentialArray
from ase import Atoms

from experiments.validation.stored import Arrays

LATTICE_A = 3.16
HEIGHT_A = 1.56
"""From the metal's plane to each of sulfur's."""

ENERGY_eV, CONVERGENCE_mrad, INNER_mrad, OUTER_mrad = 80e3, 30.0, 60.0, 200.0
MIDDLE_mrad = 15.0
"""Between bright field and annular bright field."""

THERMAL_A = 0.07
CONFIGURATIONS = 8
GPTS, TILES = (240, 208), 3


def crystal() -> Atoms:
    """The atoms in a box of 12.64 x 10.95 x 12 A; the first metal atom is the tungsten."""
    row = LATTICE_A * np.sqrt(3) / 2
    metals, pairs = [], []
    for j in range(4):
        for i in range(4):
            x, y = LATTICE_A * (i + j % 2 / 2), row * j
            pairs.append((x, y))
            metals.append((x, y + LATTICE_A / np.sqrt(3)))
    chosen = {5: ("", "S"), 10: ("Se", "S")}
    symbols, places = [], []
    for n, (x, y) in enumerate(metals):
        symbols.append("W" if n == 5 else "Mo")
        places.append((x, y, 6.0))
    for n, (x, y) in enumerate(pairs):
        for symbol, z in zip(chosen.get(n, ("S", "S")), (6.0 - HEIGHT_A, 6.0 + HEIGHT_A), strict=True):
            if symbol:
                symbols.append(symbol)
                places.append((x, y, z))
    atoms = Atoms(symbols, places, cell=(4 * LATTICE_A, 4 * row, 12.0), pbc=True)
    atoms.wrap()
    return atoms


def bright() -> Arrays:
    """BF and ABF, (K,), with the probe on a column of each kind (K, 2) and in a hollow, in parts of those of nothing.

    In a crystal TILES times as wide, whose patterns have pixels fine enough for the rims of the detectors.
    """
    atoms, places = crystal(), []
    for kinds in ([16, 16], [42], [16], [74], [16, 34]):
        for place in np.unique(atoms.positions[:, :2].round(6), axis=0):
            beside = np.linalg.norm(atoms.positions[:, :2] - place, axis=1) < 0.1
            if sorted(atoms.numbers[beside]) == kinds:
                places.append(place)
                break
    places.append(atoms.positions[0, :2] + (0.0, LATTICE_A / np.sqrt(3)))
    phonons = abtem.FrozenPhonons(atoms * (TILES, TILES, 1), num_configs=CONFIGURATIONS, sigmas=THERMAL_A, seed=1)
    gpts = tuple(TILES * each for each in GPTS)
    matter = abtem.Potential(phonons, gpts=gpts, slice_thickness=2.0, parametrization="lobato")
    nothing = PotentialArray(np.zeros((1, *gpts), np.float32), slice_thickness=12.0, extent=matter.extent)
    probe = abtem.Probe(energy=ENERGY_eV, semiangle_cutoff=CONVERGENCE_mrad, soft=False)
    annuli = {"bf": (0.0, MIDDLE_mrad), "abf": (MIDDLE_mrad, CONVERGENCE_mrad)}
    detectors = [abtem.AnnularDetector(*annulus) for annulus in annuli.values()]
    found: Arrays = {}
    for potential in (matter, nothing):
        scan = abtem.CustomScan(np.array(places))
        measured = probe.scan(potential, scan=scan, detectors=detectors).compute(progress_bar=False)
        for name, each in zip(annuli, measured, strict=True):
            seen = np.asarray(each.array, dtype=np.float64)
            found[name] = found[name] / seen if name in found else seen
    return {"bright_A": np.array(places), **found}


def arrays() -> Arrays:
    """Shares of the incident electrons with the probe on each column of atoms and in a hollow, (P,), and the atoms."""
    atoms = crystal()
    places = np.unique(atoms.positions[:, :2].round(6), axis=0)
    hollow = atoms.positions[0, :2] + (0.0, LATTICE_A / np.sqrt(3))
    places = np.concatenate([places, [hollow]])
    phonons = abtem.FrozenPhonons(atoms, num_configs=CONFIGURATIONS, sigmas=THERMAL_A, seed=1)
    potential = abtem.Potential(phonons, gpts=GPTS, slice_thickness=2.0, parametrization="lobato")
    probe = abtem.Probe(energy=ENERGY_eV, semiangle_cutoff=CONVERGENCE_mrad, soft=False)
    detector = abtem.AnnularDetector(INNER_mrad, OUTER_mrad)
    measured = probe.scan(potential, scan=abtem.CustomScan(places), detectors=detector).compute(progress_bar=False)
    return {
        "probe_A": places,
        "haadf": np.asarray(measured.array, dtype=np.float64),
        "place_A": atoms.positions[:, :2],
        "atomic_number": atoms.numbers.astype(np.int64),
        **bright(),
    }
