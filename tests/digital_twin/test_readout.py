"""Electronics of detectors against the photon transfer curve."""

from __future__ import annotations

import numpy as np
import pytest

from digital_twin.apparatus import Apparatus
from digital_twin.instrument import Twin
from digital_twin.liquid_cell import LiquidCell
from digital_twin.readout import IDEAL, Readout
from hardware_bridge.messages import Acquire, Command
from hardware_bridge.microscope import execute

REAL = Readout(gain_counts_per_electron=8.5, offset_counts=100.0, dark_counts_per_s=2e6, read_noise_counts=6.0)
DWELL_S = 1e-5


def test_the_photon_transfer_curve_has_the_gain_as_slope_and_the_read_noise_as_foot() -> None:
    random = np.random.default_rng(1)
    means, variances = [], []
    for dose in (2.0, 10.0, 50.0, 200.0):
        counts = REAL.read(random.poisson(dose, 200_000), DWELL_S, np.uint16, random).astype(np.float64)
        means.append(counts.mean())
        variances.append(counts.var())
    gain, foot = np.polyfit(means, variances, 1)
    assert gain == pytest.approx(8.5, rel=0.01)
    dark = 100.0 + 2e6 * DWELL_S
    assert foot + gain * dark == pytest.approx(6.0**2 + 1 / 12, abs=8.0)
    assert means[0] == pytest.approx(dark + 8.5 * 2.0, rel=0.005)


def test_an_ideal_detector_counts() -> None:
    electrons = np.array([0, 1, 7, 70_000])
    counts = IDEAL.read(electrons, DWELL_S, np.uint16, np.random.default_rng(1))
    np.testing.assert_array_equal(counts, [0, 1, 7, 65535])


def test_a_dark_reference_shows_the_detector_and_leaves_the_specimen_alone() -> None:
    beam: list[bool] = []
    twin = Twin(LiquidCell(3), seed=3, on_beam=beam.append, apparatus=Apparatus(readout=REAL))
    acquire = Acquire(mode="HAADF", fov_nm=256.0, pixels_x=128, pixels_y=128, dwell_s=DWELL_S, blanked=True)
    dark = execute(twin, Command(id="dark", acquire=acquire), 5.0)
    assert dark.data is not None
    assert dark.data.mean() == pytest.approx(120.0, abs=0.2)
    assert dark.data.std() == pytest.approx(6.0, rel=0.03)
    assert dark.electrons == 0.0
    assert not any(beam)
    assert twin.dose.electrons.sum() == 0.0
