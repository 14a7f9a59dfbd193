"""Numbers of core edges against spectra of the exact model of plural scattering, of which all is known."""

from __future__ import annotations

import numpy as np
import pytest

from agent.perception.edges import KNOWN, CoreLosses
from digital_twin.detectors import Column
from digital_twin.materials import CARBON, COPPER, FEPO4, LIFEPO4, ZINC, Material
from digital_twin.spectra import (
    CU_L3,
    FE2_L3,
    FE3_L3,
    ZN_L3,
    SpectrumModel,
    drude,
    edge_nm2_per_eV,
    inelastic_mean_free_path_nm,
)

COLUMN = Column(energy_step_eV=0.75, energy_offset_eV=-15.0, energy_channels=1600, energy_fwhm_eV=0.9)
AXIS_eV = COLUMN.energy_axis_eV()
LOSSES = CoreLosses(AXIS_eV, COLUMN.beam_energy_keV, COLUMN.collection_mrad)


def spectrum(layers: dict[Material, float], electrons: float, seed: int, zero_loss_eV: float = 0.0) -> np.ndarray:
    """Counts (E,) behind layers of materials, nm each: exact plural scattering, and the noise of counting."""
    energy, collection = COLUMN.beam_energy_keV, COLUMN.collection_mrad
    paths = [
        inelastic_mean_free_path_nm(each.density_g_per_cm3, energy, COLUMN.convergence_mrad, collection)
        for each in layers
    ]
    single = np.array([drude(AXIS_eV, each.plasmon_eV, each.plasmon_width_eV) for each in layers])
    edges = [(each, edge, number) for each in layers for edge, number in each.edges]
    cross = np.array([edge_nm2_per_eV(edge, AXIS_eV, energy, collection) for _, edge, _ in edges])
    atoms = np.array([layers[each] * each.formula_per_nm3 * number for each, _, number in edges])
    model = SpectrumModel(AXIS_eV, COLUMN.energy_fwhm_eV, single, cross, zero_loss_eV)
    thick = np.array([nm / path for nm, path in zip(layers.values(), paths, strict=True)])
    return np.random.default_rng(seed).poisson(electrons * model.probabilities(thick, atoms))


def told(numbers: np.ndarray, edge: object, what: str) -> float:
    """One of the numbers: atoms, how far they stand out, or the share of an edge and the one before."""
    place = KNOWN.index(edge)  # type: ignore[arg-type]
    pairs = [k for k in range(len(KNOWN) - 1) if KNOWN[k + 1].onset_eV - KNOWN[k].onset_eV <= 100.0]
    at = {"atoms": place, "out": len(KNOWN) + place}
    return float(numbers[at[what]] if what in at else numbers[2 * len(KNOWN) + pairs.index(place - 1)])


@pytest.mark.parametrize("zero_loss_eV", [0.0, 0.6])
@pytest.mark.parametrize("oxidised", [0.0, 0.3, 1.0])
def test_the_share_of_fe3_is_read_wherever_the_zero_loss_is(oxidised: float, zero_loss_eV: float) -> None:
    layers = {LIFEPO4: 40.0 * (1 - oxidised), FEPO4: 37.0 * oxidised, CARBON: 20.0}
    shares = [
        told(LOSSES(spectrum(layers, 1e8, seed, zero_loss_eV).astype(float)), FE3_L3, "share") for seed in range(4)
    ]
    iron = LIFEPO4.formula_per_nm3 * layers[LIFEPO4], FEPO4.formula_per_nm3 * layers[FEPO4]
    assert np.mean(shares) == pytest.approx(iron[1] / sum(iron), abs=0.08)


def test_atoms_are_counted_as_they_are_however_often_they_scatter() -> None:
    # Roots of atoms per nm^2, so that 5 % of them are 10 % of the atoms: the background is no sum of powers.
    thick = LOSSES(spectrum({COPPER: 60.0}, 1e9, 0).astype(float))
    assert told(thick, CU_L3, "atoms") == pytest.approx((60.0 * COPPER.formula_per_nm3) ** 0.5, rel=0.05)
    numbers = LOSSES(spectrum({COPPER: 20.0, ZINC: 10.0}, 1e9, 0).astype(float))
    assert told(numbers, ZN_L3, "atoms") == pytest.approx((10.0 * ZINC.formula_per_nm3) ** 0.5, rel=0.05)
    assert told(numbers, ZN_L3, "share") == pytest.approx(658.0 / (658.0 + 1698.0), abs=0.04)


def test_what_few_electrons_cannot_tell_is_told_as_little() -> None:
    shares, out = [], []
    for seed in range(20):
        numbers = LOSSES(spectrum({LIFEPO4: 40.0, CARBON: 20.0}, 3e4, seed).astype(float))
        shares.append(told(numbers, FE3_L3, "share"))
        out.append(told(numbers, FE2_L3, "out"))
    assert 0.3 < np.mean(shares) < 0.6
    assert np.std(shares) < 0.25
    assert np.abs(np.sinh(out)).max() < 6


def test_an_axis_without_a_zero_loss_has_no_numbers() -> None:
    losses = CoreLosses(np.arange(400.0, 1200.0), 200.0, 20.0)
    assert losses.numbers == 0
    assert losses(np.ones(800)).size == 0
    assert LOSSES.numbers == len(LOSSES(np.ones(AXIS_eV.size)))
