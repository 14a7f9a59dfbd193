"""Sensors: what cameras and scanned detectors of a twin make of expected electrons."""

import numpy as np
import pytest

from digital_twin.camera import PERFECT, Camera
from digital_twin.readout import IDEAL, Readout
from digital_twin.sensors import CAMERA_MODES, Sensors
from hardware_bridge.messages import Acquire, Mode

CCD = Camera()


def sensors(mode: Mode, camera: Camera = CCD, readout: Readout = IDEAL, frame: int = 0) -> Sensors:
    acquire = Acquire(mode=mode, fov_nm=10.0, pixels_x=64, pixels_y=64, dwell_s=0.1)
    return Sensors(camera, readout, acquire, (3, 1, frame))


@pytest.mark.parametrize("mode", ["HAADF", "BF", "EELS"])
def test_scanned_detectors_know_no_camera_and_count_as_numpy_does(mode: Mode):
    expected = np.linspace(0.0, 30.0, 4096).reshape(64, 64)
    seen = sensors(mode).record(expected, 0)
    assert np.array_equal(seen, np.random.default_rng([3, 5, 1, 0]).poisson(expected))
    assert seen.dtype == (np.uint32 if mode == "EELS" else np.uint16)


@pytest.mark.parametrize("mode", sorted(CAMERA_MODES))
def test_a_perfect_camera_counts_whole_electrons(mode: Mode):
    seen = sensors(mode, PERFECT).record(np.full((256, 256), 4.0), 0).astype(float)
    assert seen.mean() == pytest.approx(4.0, rel=0.01)
    assert seen.var() == pytest.approx(4.0, rel=0.03)


@pytest.mark.parametrize("electrons", [0.02, 0.2, 2.0, 200.0])
def test_numbers_have_the_right_mean_however_few_electrons_there_are(electrons: float):
    seen = sensors("HRTEM").record(np.full((512, 512), electrons), 0).astype(float)
    assert seen.mean() == pytest.approx(electrons, abs=4 * np.sqrt(electrons / 0.7) / 512 + 1e-3 * electrons)


def test_a_camera_blurs_and_correlates_and_fills_up():
    edge = np.zeros((64, 64))
    edge[:, 32:] = 1000.0
    seen = sensors("HRTEM").record(edge, 0).astype(float)
    assert 20.0 < seen[:, 31].mean() < 450.0
    noise = sensors("HRTEM").record(np.full((256, 256), 200.0), 0) - 200.0
    assert (noise[:, 1:] * noise[:, :-1]).mean() / noise.var() > 0.2
    assert sensors("HRTEM").record(np.full((64, 64), 6e3), 0).max() == 5000


def test_every_pattern_frame_and_row_has_noise_of_its_own():
    expected = np.full((2, 3, 16, 16), 20.0)
    one = sensors("4DSTEM").record(expected, 0)
    assert np.array_equal(one, sensors("4DSTEM").record(expected, 0))
    assert not np.array_equal(one, sensors("4DSTEM").record(expected, 2))
    assert not np.array_equal(one, sensors("4DSTEM", frame=1).record(expected, 0))
    assert not np.array_equal(one[0, 0], one[1, 0])


def test_readout_comes_after_the_camera():
    readout = Readout(gain_counts_per_electron=8.0, offset_counts=100.0, read_noise_counts=5.0)
    dark = sensors("CBED", readout=readout).record(np.zeros((4, 4, 64, 64)), 0).astype(float)
    assert dark.mean() == pytest.approx(100.0, abs=0.1)
    # Rounding twice over, once evenly spread, adds a sixth.
    assert dark.std() == pytest.approx(np.sqrt(25 + 1 / 6), rel=0.02)
    lit = sensors("CBED", readout=readout).record(np.full((4, 4, 64, 64), 50.0), 0).astype(float)
    assert lit.mean() == pytest.approx(500.0, rel=0.005)
