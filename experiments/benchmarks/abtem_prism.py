"""HAADF of a thin crystal by abTEM's PRISM algorithm: run by a Python that has abTEM, which needs nothing else of ours.

    PYTHONPATH=. PYTHON -m experiments.benchmarks.abtem_prism image.npy

writes the image, (64, 64) of (y, x), and prints the best time in seconds and the version.
"""

from __future__ import annotations

import sys
import time

import abtem
import numpy as np
from abtem import AnnularDetector, GridScan, Potential, SMatrix
from ase import Atoms

from experiments.validation import objects

PLACES, INTERPOLATION, RUNS = 64, 2, 3


def main(path: str) -> None:
    """Scan the crystal a few times; the potential is made before, and its time not counted."""
    edge = 10 * objects.EDGE_nm
    cell = Atoms(
        numbers=[z for z, *_ in objects.CELL],
        positions=[(edge * x, edge * y, edge * z) for _, x, y, z in objects.CELL],
        cell=[edge] * 3,
        pbc=True,
    )
    matter = cell * (objects.HAADF_ACROSS, objects.HAADF_ACROSS, objects.HAADF_DEEP)
    potential = Potential(
        matter, gpts=objects.HAADF_SIZE, slice_thickness=edge / 2, parametrization="lobato", projection="infinite"
    ).build(lazy=False)
    waves = SMatrix(potential=potential, energy=200e3, semiangle_cutoff=20.0, interpolation=INTERPOLATION)
    width = objects.HAADF_ACROSS * edge
    scan = GridScan(start=(0, 0), end=(width, width), gpts=PLACES, endpoint=False)
    detector = AnnularDetector(*objects.HAADF_ANNULUS_mrad)
    best = float("inf")
    for run in range(RUNS):
        begun = time.perf_counter()
        # With and without threads: the faster of the two counts.
        image = waves.scan(scan=scan, detectors=detector).compute(
            scheduler="single-threaded" if run % 2 else "threads", progress_bar=False
        )
        best = min(best, time.perf_counter() - begun)
    np.save(path, np.asarray(image.array).T.astype(np.float64))
    print(best, abtem.__version__)


if __name__ == "__main__":
    main(sys.argv[1])
