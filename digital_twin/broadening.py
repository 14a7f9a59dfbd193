"""How matter above the plane that is looked at widens a focused beam."""

from __future__ import annotations

import math
from collections.abc import Sequence

from digital_twin.materials import Material

Layers = Sequence[tuple[Material, float]]
"""Materials and their thicknesses in nm, in the order in which the beam meets them."""

GOLDSTEIN = 6.25e5
MOLE_PER_CM3 = 1e21 / 6.02214076e23
"""Of one particle per nm^3."""

FWHM_SHARE = math.sqrt(math.log(2) / math.log(10))
"""Full width at half maximum of a round Gaussian over the diameter that holds 90 % of it."""


def broadening_fwhm_nm(above: Layers, beam_energy_keV: float) -> float:
    """Full width at half maximum in nm that layers give to a thin beam on the plane below them.

    Goldstein's formula, b = 6.25e5 (Z / E0) sqrt(rho / A) t^1.5 with lengths in cm and E0 in eV, is the diameter that
    holds 90 % of the electrons below one element. Its square adds up over atoms as n Z^2, and over depths: what is
    scattered a distance z above the plane counts with 3 z^2 dz. It is not relativistic, and its original (Scanning
    Electron Microscopy 1977) could not be opened. That the widened beam is a Gaussian is an assumption: in thin layers
    some electrons are not scattered at all and stay in a sharp core.
    """
    square, height_nm = 0.0, 0.0
    for material, thickness_nm in reversed(above):
        below_nm, height_nm = height_nm, height_nm + thickness_nm
        strength = material.formula_per_nm3 * sum(number * z**2 for z, number in material.atoms)
        square += strength * MOLE_PER_CM3 * ((1e-7 * height_nm) ** 3 - (1e-7 * below_nm) ** 3)
    return 1e7 * FWHM_SHARE * GOLDSTEIN / (1e3 * beam_energy_keV) * math.sqrt(square)
