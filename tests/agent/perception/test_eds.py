"""Atoms from X-rays against the twin's spectrometer, which absorbs and scatters on its own account."""

import numpy as np
import pytest
import torch

from agent.perception.eds import LineTable, XrayReader, fwhm_eV
from digital_twin.materials import COPPER, NITRIDE, WATER, ZINC
from digital_twin.xrays import XrayDetector, XraySpectrometer
from experiments.seeing_spectra.xrays import line_table

DETECTOR = XrayDetector()
AXIS = DETECTOR.energy_axis_eV()
LAYERS_NM = (30.0, 12.0, 80.0, 60.0)
MATERIALS = (COPPER, ZINC, WATER, NITRIDE)


@pytest.fixture(scope="module")
def reader() -> XrayReader:
    table = line_table((7, 8, 14, 29, 30), DETECTOR, 200.0)
    return XrayReader(AXIS, table, DETECTOR.efficiency(np.maximum(AXIS, 100.0)))


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    return XraySpectrometer(DETECTOR, MATERIALS, 200.0).expected(torch.tensor(LAYERS_NM, dtype=torch.float64)).numpy()


@pytest.mark.parametrize("electrons", [1e7, 1e9])
def test_atoms_are_counted_honestly(reader, expected, electrons) -> None:
    counts = np.random.default_rng(3).poisson(electrons * expected, (40, AXIS.size)).astype(float)
    fits = [reader(each, electrons) for each in counts]
    for name, true in (("Cu", 30.0 * COPPER.formula_per_nm3), ("Zn", 12.0 * ZINC.formula_per_nm3)):
        told = [f.told(name) for f in fits]
        z = np.array([(each.value - true) / each.sd for each in told])
        assert 0.6 < z.std() < 1.4, name
        assert abs(z.mean()) < 0.8, name
    zinc = 12.0 * ZINC.formula_per_nm3
    true, share = zinc / (zinc + 30.0 * COPPER.formula_per_nm3), [f.share("Zn", "Cu") for f in fits]
    assert np.mean([abs(s.value - true) < 1.645 * s.sd for s in share]) > 0.7
    assert np.median([f.misfit for f in fits]) == pytest.approx(1.0, abs=0.25)


def test_what_is_absorbed_is_put_back(reader, expected) -> None:
    true = 80.0 * WATER.formula_per_nm3
    found = reader(1e12 * expected, 1e12)
    assert found.told("O").value == pytest.approx(true, rel=0.05)
    bare = LineTable(**{**vars(reader.table), "absorbed": 0.0 * reader.table.absorbed})
    without = XrayReader(AXIS, bare, DETECTOR.efficiency(np.maximum(AXIS, 100.0)))(1e12 * expected, 1e12)
    assert without.told("O").value < 0.93 * true


def test_a_spectrum_without_counts_tells_nothing(reader) -> None:
    assert reader(np.zeros(AXIS.size), 1e9) is None
    assert reader(np.ones(AXIS.size), 0.0) is None


def test_lines_are_as_wide_as_the_twin_has_them() -> None:
    energy = np.array([525.0, 5895.0, 8040.0])
    assert fwhm_eV(energy, DETECTOR.resolution_eV) == pytest.approx(DETECTOR.fwhm_eV(energy), rel=1e-6)
