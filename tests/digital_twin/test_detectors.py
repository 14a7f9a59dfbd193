"""What matter does to detectors, against closed forms."""

import math

import numpy as np
import pytest
import torch

from digital_twin.detectors import COPPER_PER_NM3, Column, PLASMONS_eV, Spectrometer, elastic_per_nm, haadf_fraction
from digital_twin.elastic import annular_nm2
from digital_twin.specimen import Layers
from digital_twin.spectra import CU_L3, N_K, O_K, SI_L3, SpectrumModel, drude, edge_nm2_per_eV

COLUMN = Column()


def layers(copper=0.0, debris=0.0, water=0.0, nitride=0.0) -> Layers:
    return Layers(*(torch.tensor([[[nm]]], dtype=torch.float64) for nm in (copper, debris, water, nitride)))


def test_vacuum_scatters_nothing():
    assert haadf_fraction(layers(), COLUMN).item() == 0.0


def test_thin_copper_scatters_atoms_times_cross_section():
    sigma = annular_nm2(29, 200.0, COLUMN.haadf_inner_mrad, COLUMN.haadf_outer_mrad)
    assert haadf_fraction(layers(copper=0.1), COLUMN).item() == pytest.approx(0.1 * 84.9 * sigma, rel=1e-3)


def test_number_densities_follow_from_densities_and_molar_masses():
    # rho N_A / M with N_A = 602.2 per nm^3 and (g/cm^3)/(g/mol).
    assert pytest.approx(8.96 * 602.2 / 63.546, rel=1e-3) == COPPER_PER_NM3


@pytest.mark.parametrize(
    ("name", "density", "molar_mass"),
    [("WATER_PER_NM3", 1.0, 18.015), ("NITRIDE_PER_NM3", 3.17, 140.28), ("ZIRCONIA_PER_NM3", 5.68, 123.22)],
)
def test_formula_units_per_volume(name, density, molar_mass):
    from digital_twin import detectors

    assert getattr(detectors, name) == pytest.approx(density * 602.2 / molar_mass, rel=5e-3)


def test_thick_matter_saturates():
    thin, thick, thicker = (haadf_fraction(layers(copper=nm), COLUMN).item() for nm in (10.0, 1000.0, 2000.0))
    assert thick < 100 * thin
    assert thicker < 1.0


def test_layers_multiply_what_passes():
    single = [haadf_fraction(layers(**{name: 50.0}), COLUMN).item() for name in ("copper", "water", "nitride")]
    together = haadf_fraction(layers(copper=50.0, water=50.0, nitride=50.0), COLUMN).item()
    assert 1 - together == pytest.approx(math.prod(1 - share for share in single))


def test_copper_shines_out_of_water_and_debris_lies_between():
    water, debris, copper = (
        haadf_fraction(layers(**{name: 20.0}), COLUMN).item() for name in ("water", "debris", "copper")
    )
    assert water < debris < copper
    assert copper > 10 * water


@pytest.fixture(scope="module")
def spectrometer():
    return Spectrometer(COLUMN)


def spectrum(spectrometer: Spectrometer, thickness_nm: np.ndarray) -> np.ndarray:
    return spectrometer.probabilities(torch.from_numpy(thickness_nm)).numpy()


def test_spectrum_tells_the_thickness(spectrometer):
    thickness = np.array([10.0, 0.0, 140.0, 60.0])
    shares = spectrum(spectrometer, thickness)
    t_over_lambda = float((thickness / spectrometer.free_path_nm).sum())
    zero = shares[np.abs(spectrometer.axis_eV) < 3.5].sum()
    assert math.log(shares.sum() / zero) == pytest.approx(t_over_lambda, abs=0.02)


def test_no_electron_is_both_collected_and_on_the_annulus(spectrometer):
    copper = np.array([40.0, 0.0, 0.0, 0.0])
    collected = spectrum(spectrometer, copper).sum()
    sigma = annular_nm2(29, 200.0, COLUMN.collection_mrad, 1000.0)
    assert collected == pytest.approx(math.exp(-40.0 * COPPER_PER_NM3 * sigma), rel=2e-3)
    assert collected + haadf_fraction(layers(copper=40.0), COLUMN).item() < 1.0


@pytest.mark.parametrize(
    ("onset_eV", "index"), [(931.0, 0), (532.0, 1), (532.0, 2), (401.0, 3), (99.2, 3)], ids=lambda v: str(v)
)
def test_edges_belong_to_their_materials(spectrometer, onset_eV, index):
    axis = spectrometer.axis_eV

    def jump(thickness):
        shares = spectrum(spectrometer, thickness)
        after = shares[(axis > onset_eV + 2) & (axis < onset_eV + 12)].sum()
        return after / shares[(axis > onset_eV - 12) & (axis < onset_eV - 2)].sum()

    # Thin enough that a second loss does not smear the edge.
    for material in range(4):
        thickness = np.zeros(4)
        thickness[material] = 5.0
        has_it = material == index or {material, index} == {1, 2}
        assert (jump(thickness) > 1.2) == has_it


def test_spectra_are_those_of_the_pure_formulae(spectrometer):
    thickness = np.random.default_rng(4).uniform(0.0, 120.0, (3, 5, 4))
    thickness[0, 0] = 0.0
    copper, debris, water, nitride = np.moveaxis(thickness, -1, 0)
    axis = spectrometer.axis_eV
    single = np.array([drude(axis, *plasmon) for plasmon in PLASMONS_eV])
    edges = np.array([edge_nm2_per_eV(edge, axis, 200.0, 20.0) for edge in (CU_L3, O_K, N_K, SI_L3)])
    atoms = [84.9 * copper, 33.4 * water + 2 * 27.8 * debris, 4 * 13.6 * nitride, 3 * 13.6 * nitride]
    formula = SpectrumModel(axis, COLUMN.energy_fwhm_eV, single, edges)
    shares = formula.probabilities(thickness / spectrometer.free_path_nm, np.stack(atoms, axis=-1))
    passed = np.exp(-thickness @ elastic_per_nm(COLUMN, COLUMN.collection_mrad, 1000.0))
    assert spectrum(spectrometer, thickness) == pytest.approx(passed[..., None] * shares, abs=1e-14)
