"""HAADF image of 2 nm of strontium titanate by abTEM: multislice, mean of eight frozen phonon configurations."""

from __future__ import annotations

import numpy as np
from abtem import AnnularDetector, FrozenPhonons, GridScan, Potential, Probe
from ase import Atoms

from experiments.validation import objects
from experiments.validation.stored import Arrays

CONFIGURATIONS = 8


def arrays() -> Arrays:
    """Share of the electrons in the annulus over one unit cell, (y, x), first probe on strontium."""
    edge = 10 * objects.EDGE_nm
    cell = Atoms(
        numbers=[z for z, *_ in objects.CELL],
        positions=[(edge * x, edge * y, edge * z) for _, x, y, z in objects.CELL],
        cell=[edge] * 3,
        pbc=True,
    )
    matter = cell * (objects.HAADF_ACROSS, objects.HAADF_ACROSS, objects.HAADF_DEEP)
    phonons = FrozenPhonons(matter, num_configs=CONFIGURATIONS, sigmas=10 * objects.THERMAL_nm, seed=1)
    potential = Potential(
        phonons, gpts=objects.HAADF_SIZE, slice_thickness=edge / 2, parametrization="lobato", projection="infinite"
    )
    probe = Probe(energy=200e3, semiangle_cutoff=20.0, soft=False)
    probe.grid.match(potential)
    scan = GridScan(start=(edge, edge), end=(2 * edge, 2 * edge), gpts=objects.HAADF_PLACES, endpoint=False)
    inner, outer = objects.HAADF_ANNULUS_mrad
    image = probe.scan(potential, scan=scan, detectors=AnnularDetector(inner, outer)).compute(
        scheduler="single-threaded"
    )
    return {"haadf": np.asarray(image.array).T.astype(np.float64)}
