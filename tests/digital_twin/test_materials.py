"""Materials against chemistry, and their potentials against measured ones."""

import pytest
import torch

from digital_twin import materials
from digital_twin.materials import COPPER, NITRIDE, WATER, ZIRCONIA, Material, edges_of, mean_potential_V_nm
from digital_twin.spectra import CU_L3, N_K, O_K, SI_L3

MOLAR_MASS_G = {
    1: 1.008, 3: 6.94, 6: 12.011, 7: 14.007, 8: 15.999, 9: 18.998, 12: 24.305, 13: 26.982, 14: 28.085, 15: 30.974,
    16: 32.06, 22: 47.867, 23: 50.942, 25: 54.938, 26: 55.845, 27: 58.933, 28: 58.693, 29: 63.546, 30: 65.38,
    34: 78.971, 38: 87.62, 40: 91.224, 42: 95.95, 47: 107.87, 74: 183.84, 78: 195.08, 79: 196.97,
}  # fmt: skip
ALL = [value for value in vars(materials).values() if isinstance(value, Material)]


@pytest.mark.parametrize("material", ALL, ids=lambda m: m.name)
def test_formula_units_follow_from_density_and_molar_mass(material):
    # rho N_A / M with N_A = 602.2 per nm^3 and (g/cm^3)/(g/mol).
    mass = sum(number * MOLAR_MASS_G[z] for z, number in material.atoms)
    assert material.formula_per_nm3 == pytest.approx(602.2 * material.density_g_per_cm3 / mass, rel=5e-3)


@pytest.mark.parametrize("material", ALL, ids=lambda m: m.name)
def test_edges_belong_to_atoms_that_are_there(material):
    present = dict(material.atoms)
    assert all(number <= present[edge.atomic_number] for edge, number in material.edges)


def test_edges_come_once_and_in_order():
    assert edges_of((COPPER, ZIRCONIA, WATER, NITRIDE)) == (CU_L3, O_K, N_K, SI_L3)


def test_inner_potentials_bound_measured_ones_from_above():
    # Copper 20.1 to 23.5 V by holography and refraction; independent atoms give up to a fifth more than bonded ones.
    assert 20.0 < COPPER.inner_potential_V < 28.0
    thickness = torch.tensor([2.0, 3.0], dtype=torch.float64).view(1, 2, 1, 1)
    expected = 2.0 * COPPER.inner_potential_V + 3.0 * WATER.inner_potential_V
    assert mean_potential_V_nm(thickness, (COPPER, WATER)).item() == pytest.approx(expected)
