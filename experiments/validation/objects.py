"""Specimens that both the twin and the codes beside it are given, made by formula alone; lengths in nm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PHASE_PIXEL_nm, PHASE_SIZE = 0.04, 256
WEAK_PIXEL_nm, WEAK_SIZE = 0.025, 512
WEAK_PLACES = np.arange(240, 272, 4)
"""Rows and columns at which a probe is put on the weak object."""

EDGE_nm = 0.3905
"""Lattice constant of strontium titanate."""

CELLS = 6
CELL = ((38, 0.0, 0.0, 0.0), (22, 0.5, 0.5, 0.5), (8, 0.5, 0.5, 0.0), (8, 0.5, 0.0, 0.5), (8, 0.0, 0.5, 0.5))
"""Atomic number and place (x, y, z) in parts of the edges of strontium titanate."""

CRYSTAL_SIZE = 264
CRYSTAL_PLACES_nm = ((1.1715, 1.1715), (1.04, 1.31), (1.1, 1.2))
"""Axes of probes (x, y) on the crystal."""

THICK, THICK_STEP = 4, 4
"""Cells along the beam of a strong object, laid into one slice, and pixels between probes over one cell of it."""

ATOMS = ((42, 0.496, 0.608), (16, 1.232, 0.544), (38, 0.928, 1.392), (8, 1.552, 1.504))
"""Atomic number, x and y of a few atoms in a box of ATOMS_SIZE pixels of ATOMS_PIXEL_nm.

They lie on pixels, as all atoms do here: between pixels abTEM shares an atom out among four of them, which blurs it.
"""

ATOMS_PIXEL_nm, ATOMS_SIZE = 0.016, 128

SINGLE = (6, 14, 22, 29, 42, 47, 79)
SINGLE_PIXEL_nm, SINGLE_SIZE = 0.0025, 512
SINGLE_ANNULUS_mrad = (60.0, 150.0)

LONE = (6, 8, 16, 29, 34, 42, 74, 79)
LONE_PIXEL_nm, LONE_SIZE = 0.00125, 2048
"""Atoms that plane waves meet, and the box that each has for itself."""

HAADF_ANNULUS_mrad = (50.0, 100.0)
HAADF_SIZE, HAADF_ACROSS, HAADF_DEEP, HAADF_PLACES = 192, 4, 5, 12
"""Pixels and unit cells across and along the beam; probes along each edge of one cell."""

THERMAL_nm = 0.008


def waves(size: int, orders: tuple[tuple[int, int, float, float], ...]) -> Array:
    """Sum of cosines over a field that repeats, (size, size) of (y, x): waves along x and y, amplitude, phase."""
    place = 2 * np.pi * np.arange(size) / size
    terms = [strength * np.cos(y * place[:, None] + x * place + phase) for x, y, strength, phase in orders]
    return np.asarray(sum(terms))


def strong_phase_rad() -> Array:
    """A phase of more than a radian with fine and coarse detail and no symmetry, (256, 256)."""
    return waves(
        PHASE_SIZE,
        (
            (2, 1, 0.6, 0.3),
            (-5, 7, 0.5, 1.0),
            (11, 19, 0.4, 2.0),
            (31, -4, 0.4, 0.0),
            (8, 43, 0.3, 1.7),
            (52, 29, 0.3, 2.6),
        ),
    )


def weak_phase_rad() -> Array:
    """A phase so weak that contrast is linear in it, (512, 512): detail of 0.3 to 3 nm."""
    return waves(
        WEAK_SIZE,
        ((4, 3, 1e-3, 0.3), (-9, 14, 1e-3, 1.0), (22, 6, 1e-3, 2.0), (25, -31, 1e-3, 0.0), (-3, 41, 1e-3, 1.7)),
    )
