"""The scanned image of a single gold atom by abTEM, with a probe that leans: which way round aberrations are seen."""

from __future__ import annotations

import numpy as np
from abtem import AnnularDetector, CustomScan, Potential, Probe
from ase import Atoms

from experiments.validation.stored import Arrays

BOX_A, PIXELS = 32.0, 64
ANNULUS_mrad = (60.0, 120.0)
PROBE = {"C10": 20.0, "C12": 40.0, "phi12": 0.4, "C21": 8000.0, "phi21": 0.6, "C23": 4000.0, "phi23": -0.5, "C30": 1e5}
"""In A and rad, as abTEM names them."""


def arrays() -> Arrays:
    """Counts (rows, columns) along y and x, of an atom in the middle of pixel (32, 32); 300 kV and 20 mrad."""
    atom = Atoms("Au", positions=[(BOX_A / 2, BOX_A / 2, 1.0)], cell=(BOX_A, BOX_A, 2.0))
    potential = Potential(atom, sampling=0.08, slice_thickness=2.0, parametrization="lobato").build(lazy=False)
    probe = Probe(energy=300e3, semiangle_cutoff=20.0, **PROBE)
    probe.grid.match(potential)
    detector, along = AnnularDetector(*ANNULUS_mrad), np.arange(PIXELS) * BOX_A / PIXELS
    rows = [
        probe.scan(potential, scan=CustomScan([(x, y) for x in along]), detectors=detector, lazy=False).array
        for y in along  # a row at a time: all places at once ask for gigabytes
    ]
    return {"image": np.stack(rows), "pixel_nm": np.array(0.1 * BOX_A / PIXELS)}
