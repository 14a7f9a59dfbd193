"""What matter does to detectors, against closed forms."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from digital_twin.detectors import Column, Spectrometer, elastic_per_nm, haadf_fraction
from digital_twin.elastic import annular_nm2
from digital_twin.materials import COPPER, MN2O3, MNO2, NITRIDE, WATER, ZIRCONIA
from digital_twin.spectra import CU_L3, N_K, O_K, SI_L3, SpectrumModel, drude, edge_nm2_per_eV

COLUMN = Column()


MATERIALS = (COPPER, ZIRCONIA, WATER, NITRIDE)


def haadf(copper=0.0, debris=0.0, water=0.0, nitride=0.0) -> float:
    thickness = torch.tensor([copper, debris, water, nitride], dtype=torch.float64).view(1, 4, 1, 1)
    return haadf_fraction(thickness, MATERIALS, COLUMN).item()


def test_vacuum_scatters_nothing():
    assert haadf() == 0.0


def test_thin_copper_scatters_atoms_times_cross_section():
    sigma = annular_nm2(29, 200.0, COLUMN.haadf_inner_mrad, COLUMN.haadf_outer_mrad)
    assert haadf(copper=0.1) == pytest.approx(0.1 * 84.9 * sigma, rel=1e-3)


def test_thick_matter_saturates():
    thin, thick, thicker = (haadf(copper=nm) for nm in (10.0, 1000.0, 2000.0))
    assert thick < 100 * thin
    assert thicker < 1.0


def test_layers_multiply_what_passes():
    single = [haadf(**{name: 50.0}) for name in ("copper", "water", "nitride")]
    together = haadf(copper=50.0, water=50.0, nitride=50.0)
    assert 1 - together == pytest.approx(math.prod(1 - share for share in single))


def test_copper_shines_out_of_water_and_debris_lies_between():
    water, debris, copper = (haadf(**{name: 20.0}) for name in ("water", "debris", "copper"))
    assert water < debris < copper
    assert copper > 10 * water


def test_an_atom_is_not_thick_however_small_its_pixel():
    # One atom of copper in each square of 0.3 nm, all of it in one pixel of 0.02 nm, and the same spread evenly.
    sigma = annular_nm2(29, 200.0, COLUMN.haadf_inner_mrad, COLUMN.haadf_outer_mrad)
    atoms = torch.zeros(1, 1, 45, 45, dtype=torch.float64)
    atoms[:, :, 7::15, 7::15] = 1 / (84.9 * 0.02**2)
    shares = haadf_fraction(atoms, (COPPER,), COLUMN, [0.02])
    even = haadf_fraction(atoms[..., :1, :1] + 1 / (84.9 * 0.3**2), (COPPER,), COLUMN)
    assert shares.sum().item() * 0.02**2 == pytest.approx(9 * even.item() * 0.3**2)
    assert shares.max().item() * 0.02**2 == pytest.approx(sigma, rel=1e-3)
    assert haadf_fraction(atoms, (COPPER,), COLUMN).max().item() * 0.02**2 < 0.95 * sigma


def test_large_pixels_saturate_each_by_itself():
    matter = torch.rand(2, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 500
    plain = haadf_fraction(matter, (COPPER,), COLUMN)
    mixed = haadf_fraction(matter, (COPPER,), COLUMN, [0.2, 0.05])
    assert torch.equal(mixed[0], plain[0])
    assert not torch.allclose(mixed[1], plain[1])


FOUR = Spectrometer(MATERIALS, COLUMN)


@pytest.fixture(scope="module")
def spectrometer():
    return FOUR


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
    assert collected == pytest.approx(math.exp(-40.0 * COPPER.formula_per_nm3 * sigma), rel=2e-3)
    assert collected + haadf(copper=40.0) < 1.0


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
    single = np.array([drude(axis, m.plasmon_eV, m.plasmon_width_eV) for m in MATERIALS])
    edges = np.array([edge_nm2_per_eV(edge, axis, 200.0, 20.0) for edge in (CU_L3, O_K, N_K, SI_L3)])
    atoms = [84.9 * copper, 33.4 * water + 2 * 27.8 * debris, 4 * 13.6 * nitride, 3 * 13.6 * nitride]
    formula = SpectrumModel(axis, COLUMN.energy_fwhm_eV, single, edges)
    shares = formula.probabilities(thickness / spectrometer.free_path_nm, np.stack(atoms, axis=-1))
    passed = np.exp(-thickness @ elastic_per_nm(MATERIALS, COLUMN, COLUMN.collection_mrad, 1000.0))
    assert spectrum(spectrometer, thickness) == pytest.approx(passed[..., None] * shares, abs=1e-14)


def test_every_electron_is_accounted_for():
    short = Column(energy_channels=500)
    spectrometer = Spectrometer(MATERIALS, short)
    layers = np.random.default_rng(5).uniform(0.0, 80.0, (6, 4))
    layers[0] = 0.0
    n_sigma = [m.formula_per_nm3 * sum(n * annular_nm2(z, 200.0, 20.0, 1000.0) for z, n in m.atoms) for m in MATERIALS]
    everywhere = spectrometer._transformed(torch.from_numpy(layers)).numpy()
    beyond = everywhere[:, short.energy_channels :].sum(axis=-1)
    past = 1 - np.exp(-layers @ np.array(n_sigma))
    assert spectrum(spectrometer, layers).sum(axis=-1) + beyond + past == pytest.approx(1.0, abs=1e-12)
    assert (beyond[1:] > 1e-5).all()


@pytest.mark.parametrize("wander_eV", [0.0, 0.3, -2.0, 7.0])
def test_a_zero_loss_that_wanders_takes_everything_along(spectrometer, wander_eV):
    thickness = torch.tensor([[20.0, 5.0, 100.0, 50.0]], dtype=torch.float64)
    moved = spectrometer.probabilities(thickness, torch.tensor([wander_eV], dtype=torch.float64))
    there = Spectrometer(MATERIALS, COLUMN, zero_loss_eV=wander_eV).probabilities(thickness)
    assert moved.numpy() == pytest.approx(there.numpy(), abs=1e-15)
    axis, zero = spectrometer.axis_eV, moved[0].numpy() * (np.abs(spectrometer.axis_eV - wander_eV) < 3.5)
    assert zero @ axis / zero.sum() == pytest.approx(wander_eV, abs=0.05)


def test_each_row_has_a_zero_loss_of_its_own(spectrometer):
    thickness = torch.tensor([10.0, 0.0, 100.0, 20.0], dtype=torch.float64).expand(3, 2, 4)
    wander = torch.tensor([[0.0], [1.0], [-1.0]], dtype=torch.float64)
    rows = spectrometer.probabilities(thickness, wander).numpy()
    assert (rows[:, 0] == rows[:, 1]).all()
    assert [spectrometer.axis_eV[row.argmax()] for row in rows[:, 0]] == [0.0, 1.0, -1.0]


def test_valence_shows_in_the_edge():
    fine = Column(energy_offset_eV=-20.0, energy_step_eV=0.5, energy_channels=1640, energy_fwhm_eV=1.0)
    spectrometer = Spectrometer((MN2O3, MNO2), fine)
    three, four = spectrum(spectrometer, np.array([[30.0, 0.0], [0.0, 30.0]]))
    near = (fine.energy_axis_eV() > 630.0) & (fine.energy_axis_eV() < 650.0)
    peaks = [fine.energy_axis_eV()[near][shares[near].argmax()] for shares in (three, four)]
    assert peaks == [pytest.approx(641.8, abs=0.5), pytest.approx(643.1, abs=0.5)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("beam_energy_keV", 0.0),
        ("convergence_mrad", -1.0),
        ("collection_mrad", math.nan),
        ("collection_mrad", 1500.0),
        ("haadf_inner_mrad", 200.0),
        ("haadf_outer_mrad", 2000.0),
        ("energy_step_eV", 0.0),
        ("energy_fwhm_eV", math.inf),
        ("energy_offset_eV", 100.0),
        ("energy_offset_eV", -20.5),
        ("energy_channels", 10),
    ],
)
def test_a_column_that_cannot_be_is_refused(field, value):
    named = "energy_offset_eV" if field == "energy_channels" else field
    with pytest.raises(ValueError, match=named):
        Column(**{field: value})


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(0.0, 1e6), min_size=4, max_size=4),
    st.floats(-15.0, 15.0),
)
def test_spectra_are_finite_and_never_hold_more_than_came_in(thickness, wander_eV):
    layers = torch.tensor([thickness], dtype=torch.float64)
    shares = FOUR.probabilities(layers, torch.tensor([wander_eV], dtype=torch.float64))
    assert torch.isfinite(shares).all()
    assert 0.0 <= shares.sum() < 1.0 + 1e-9


def test_a_spread_of_focus_counts_where_it_takes_something_off_the_peak():
    assert Column().probe().focal_spread_nm == 0.0
    wide = Column(beam_energy_keV=80.0, convergence_mrad=30.0, gun_fwhm_eV=0.3)
    assert wide.probe().focal_spread_nm == wide.coherent_probe().focal_spread_nm == pytest.approx(2.9, abs=0.1)
    assert Column(beam_energy_keV=80.0, convergence_mrad=30.0, chromatic_mm=0.0).probe().focal_spread_nm == 0.0


@pytest.mark.parametrize("wrong", [{"gun_fwhm_eV": 1.6}, {"gun_fwhm_eV": -0.1}, {"chromatic_mm": -1.0}])
def test_a_beam_less_sharp_than_its_spectra_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Column(**wrong)
