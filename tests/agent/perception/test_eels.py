"""Spectra read: thickness and atoms against what went in, sds honest, and silence on empty spectra."""

import math

import numpy as np
import pytest
import torch

from agent.perception.eels import Core, SpectrumReader, presence_odds
from digital_twin.detectors import Column, Spectrometer
from digital_twin.materials import COPPER, NITRIDE, WATER, ZIRCONIA
from digital_twin.spectra import CU_L3, O_K, SpectrumModel, drude, edge_nm2_per_eV, energy_axis_eV
from hardware_bridge.report import Estimate

AXIS = energy_axis_eV(-20.0, 1.0, 1200)


@pytest.fixture(scope="module")
def model():
    edges = np.array([edge_nm2_per_eV(edge, AXIS, 200.0, 20.0) for edge in (O_K, CU_L3)])
    return SpectrumModel(AXIS, 1.5, drude(AXIS, 21.0, 12.0)[None, :], edges)


@pytest.fixture
def reader(bench):
    return SpectrumReader(bench.capabilities, AXIS)


def read_many(model, reader, electrons, thickness, oxygen, copper, n=30):
    shares = model.probabilities(np.array([thickness]), np.array([oxygen, copper]))
    return [reader.read(np.random.default_rng(s).poisson(electrons * shares).astype(float)) for s in range(n)]


@pytest.mark.parametrize("thickness", [0.2, 0.8, 1.5])
def test_thickness_is_honest(model, reader, thickness) -> None:
    fits = read_many(model, reader, 3e5, thickness, 0.0, 0.0)
    z = [(f.t_over_lambda.value - thickness) / f.t_over_lambda.sd for f in fits]
    assert 0.6 < np.std(z) < 1.35
    assert abs(np.mean(z)) < 0.6
    assert fits[0].t_over_lambda.sd < 3.0 * math.sqrt((math.exp(thickness) - 1.0) / 3e5) + 0.005


def test_zero_loss_is_found_where_it_is(bench, model) -> None:
    shares = model.probabilities(np.array([0.5]), np.zeros(2))
    for shift in (0.0, 2.3, -1.4):
        reader = SpectrumReader(bench.capabilities, AXIS + shift)
        z = []
        for seed in range(20):
            fit = reader.read(np.random.default_rng(seed).poisson(1e5 * shares).astype(float))
            z.append((fit.zero_loss_eV.value - shift) / fit.zero_loss_eV.sd)
        assert 0.5 < np.std(z) < 1.5
        assert abs(np.mean(z)) < 0.7


@pytest.mark.parametrize(("oxygen", "copper"), [(5000.0, 0.0), (5000.0, 400.0), (4500.0, 1700.0)])
def test_atoms_are_counted_honestly(model, reader, oxygen, copper) -> None:
    fits = read_many(model, reader, 3e7, 0.9, oxygen, copper)
    for name, true in (("oxygen", oxygen), ("copper", copper)):
        found = [getattr(f, name).per_nm2 for f in fits]
        z = [(e.value - true) / e.sd for e in found]
        assert 0.7 < np.std(z) < 1.3, name
        assert abs(np.mean(z)) < 0.7, name
    assert np.median([f.copper.misfit for f in fits]) == pytest.approx(1.0, abs=0.1)


@pytest.fixture(scope="module")
def spectrometer():
    return Spectrometer((COPPER, ZIRCONIA, WATER, NITRIDE), Column())


@pytest.mark.parametrize(
    ("electrons", "most_bias"),
    # 3 % of the oxygen in the cell; at the lowest dose no more can be told from 40 spectra.
    [(1e6, 0.08), (1e7, 0.03), (1e8, 0.03)],
)
@pytest.mark.parametrize("layers_nm", [(0.0, 0.0, 150.0, 60.0), (20.0, 0.0, 130.0, 60.0), (0.0, 15.0, 135.0, 60.0)])
def test_atoms_between_nitride_windows_are_counted_honestly(bench, spectrometer, layers_nm, electrons, most_bias):
    """Copper, debris, water, nitride in nm: N K of the windows lies right below O K."""
    shares = spectrometer.probabilities(torch.tensor(layers_nm, dtype=torch.float64)).numpy()
    reader = SpectrumReader(bench.capabilities, spectrometer.axis_eV)
    rng = np.random.default_rng([int(electrons), int(layers_nm[0]), int(layers_nm[1])])
    fits = [reader.read(rng.poisson(electrons * shares).astype(float)) for _ in range(40)]
    copper, debris, water, _ = layers_nm
    oxygen = WATER.formula_per_nm3 * water + 2.0 * ZIRCONIA.formula_per_nm3 * debris
    values = np.array([f.oxygen.per_nm2.value for f in fits])
    assert values.mean() == pytest.approx(oxygen, rel=most_bias)
    for found, true in (("oxygen", oxygen), ("copper", COPPER.formula_per_nm3 * copper)):
        z = [(getattr(f, found).per_nm2.value - true) / getattr(f, found).per_nm2.sd for f in fits]
        # The sd of 40 numbers is itself known to 11 %.
        assert 0.65 < np.std(z) < 1.35, found
        assert abs(np.mean(z)) < 0.9, found


@pytest.mark.parametrize("counts", [np.zeros(1200), np.ones(1200), np.full(1200, 1e6), 1e4 * np.eye(1200)[5]])
def test_no_spectrum_is_an_error(reader, counts) -> None:
    fit = reader.read(counts)
    assert fit.copper is None or fit.copper.per_nm2.sd > 0.0
    if counts.sum() < 500.0:
        assert fit.t_over_lambda is None


@pytest.mark.parametrize("step_eV", [0.25, 0.5, 1.0])
def test_peaks_of_no_spectrometer_have_no_position_or_an_honest_one(bench, step_eV) -> None:
    axis_eV = -20.0 + step_eV * np.arange(1024)
    reader, random, zero = SpectrumReader(bench.capabilities, axis_eV), np.random.default_rng(0), int(20.0 / step_eV)
    for _ in range(300):
        counts, height = np.zeros(1024), 10.0 ** random.uniform(1.5, 7.0)
        counts[zero + random.integers(-8, 9, size=random.integers(1, 9))] = height * random.uniform()
        counts += random.poisson(0.001 * height * random.uniform(), 1024)
        with np.errstate(invalid="raise", divide="raise", over="raise"):
            at = reader.zero_loss_eV(counts)
            reader.read(counts)
        assert at is None or (math.isfinite(at.value) and 0.0 < at.sd < math.inf)


def test_presence_follows_bayes() -> None:
    def odds(value, sd, missed=0.05):
        return presence_odds(Core(Estimate(value=value, sd=sd), 1.0), 800.0, 200.0, missed)

    assert odds(800.0, 50.0) > 50.0
    # Absence is never surer than the aim.
    assert odds(0.0, 50.0) == pytest.approx(math.log(0.05), abs=0.05)
    assert abs(odds(400.0, 5000.0)) < 0.1
