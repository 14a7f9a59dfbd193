"""What specimens are made of: composition, density, plasmon and core edges of each material.

Number densities follow from density and molar mass. Plasmons: R. F. Egerton, Electron Energy-Loss Spectroscopy in the
Electron Microscope, 3rd edition, appendix C, broad for copper; that of platinum, far broader still, is an
assumption.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from digital_twin.lobato import FACTORS
from digital_twin.optics import ELEMENTARY_CHARGE_C, PLANCK_J_S, ELECTRON_MASS_kg
from digital_twin.spectra import C_K, CU_L3, FE2_L3, FE3_L3, MN3_L3, MN4_L3, N_K, O_K, SI_L3, ZN_L3, Edge

POTENTIAL_V_nm2 = 1e18 * PLANCK_J_S**2 / (2 * math.pi * ELECTRON_MASS_kg * ELEMENTARY_CHARGE_C)
"""h^2 / (2 pi m e): what turns a scattering factor in nm into the volume integral of a potential, V nm^3."""


@dataclass(frozen=True)
class Material:
    """One material: formula units per nm^3, density, atoms, plasmon, and edges.

    ``atoms`` holds pairs (atomic number, atoms per formula unit), ``edges`` pairs (core edge, atoms per formula unit
    that have it).
    """

    name: str
    formula_per_nm3: float
    density_g_per_cm3: float
    atoms: tuple[tuple[int, float], ...]
    plasmon_eV: float
    plasmon_width_eV: float
    edges: tuple[tuple[Edge, float], ...] = ()

    @property
    def inner_potential_V(self) -> float:
        """Mean inner potential of independent neutral atoms, h^2 / (2 pi m e) n f(0): an upper bound; bonds lower it.

        J. C. H. Spence, Ultramicroscopy 52 (1993) 385.
        """
        forward_nm = sum(number * 0.1 * 2 * sum(FACTORS[z][0]) for z, number in self.atoms)
        return POTENTIAL_V_nm2 * self.formula_per_nm3 * forward_nm


COPPER = Material("copper", 84.9, 8.96, ((29, 1),), 19.0, 15.0, ((CU_L3, 1),))
ZINC = Material("zinc", 65.8, 7.14, ((30, 1),), 17.2, 12.0, ((ZN_L3, 1),))
PLATINUM = Material("platinum", 66.2, 21.45, ((78, 1),), 30.0, 25.0)
CARBON = Material("amorphous carbon", 100.3, 2.00, ((6, 1),), 24.0, 15.0, ((C_K, 1),))
ZIRCONIA = Material("zirconia", 27.8, 5.68, ((40, 1), (8, 2)), 25.0, 12.0, ((O_K, 2),))
WATER = Material("water", 33.4, 1.00, ((8, 1), (1, 2)), 21.0, 12.0, ((O_K, 1),))
NITRIDE = Material("silicon nitride", 13.6, 3.17, ((14, 3), (7, 4)), 23.0, 10.0, ((N_K, 4), (SI_L3, 3)))
GOLD = Material("gold", 59.0, 19.3, ((79, 1),), 25.0, 15.0)
CARBON = Material("amorphous carbon", 100.3, 2.00, ((6, 1),), 24.0, 15.0, ((C_K, 1),))
# Cells of 0.04095 and 0.0747 nm^3 with one and four formula units. Brucite's plasmon is that of 16 free electrons.
BRUCITE = Material("brucite", 24.42, 2.36, ((12, 1), (8, 2), (1, 2)), 23.2, 12.0, ((O_K, 2),))
PERICLASE = Material("periclase", 53.55, 3.58, ((12, 1), (8, 1)), 22.3, 8.0, ((O_K, 1),))
# Twelve formula units in a cube of 1.6991 nm; its plasmon is that of 64 free electrons per formula unit.
ZIF_8 = Material(
    "ZIF-8", 2.446, 0.924, ((30, 1), (7, 4), (6, 8), (1, 10)), 14.7, 10.0, ((C_K, 8), (N_K, 4), (ZN_L3, 1))
)

# Pairs for oxidation that spreads. Densities are those of handbooks (bixbyite 4.5, pyrolusite 5.03, triphylite and
# heterosite from cells of 291 and 272 cubic Angstrom); plasmons those of free valence electrons, 28.816 eV sqrt(z rho /
# A), with a width that is an assumption.
MN2O3 = Material("manganese(III) oxide", 17.17, 4.50, ((25, 2), (8, 3)), 27.5, 12.0, ((MN3_L3, 2), (O_K, 3)))
MNO2 = Material("manganese(IV) oxide", 34.84, 5.03, ((25, 1), (8, 2)), 30.2, 12.0, ((MN4_L3, 1), (O_K, 2)))
LIFEPO4 = Material(
    "lithium iron phosphate", 13.74, 3.60, ((3, 1), (26, 1), (15, 1), (8, 4)), 26.8, 12.0, ((FE2_L3, 1), (O_K, 4))
)
FEPO4 = Material("iron phosphate", 14.71, 3.68, ((26, 1), (15, 1), (8, 4)), 27.4, 12.0, ((FE3_L3, 1), (O_K, 4)))


def edges_of(materials: Sequence[Material]) -> tuple[Edge, ...]:
    """The core edges that materials have, each once, in the order in which they come."""
    return tuple(dict.fromkeys(edge for material in materials for edge, _ in material.edges))


def mean_potential_V_nm(thickness_nm: Tensor, materials: Sequence[Material]) -> Tensor:
    """Projected mean inner potential, (B, H, W) V nm, of thicknesses (B, M, H, W) of materials."""
    # One by one: a matrix product may round otherwise in a batch.
    drawn = materials[0].inner_potential_V * thickness_nm[:, 0]
    for material, layer in zip(materials[1:], thickness_nm[:, 1:].unbind(1), strict=True):
        drawn += material.inner_potential_V * layer
    return drawn
