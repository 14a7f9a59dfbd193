"""A whole calibration of a twin with hidden errors: what it costs, what it finds, and what it refuses to begin."""

import math

import numpy as np
import pytest
from msgspec.structs import replace

from agent.calibrate.bench import Bench, NotCalibrated
from agent.calibrate.procedure import CalibrateSettings, calibrate, price, settings_of
from agent.calibrate.table import table
from digital_twin.instrument import Twin
from digital_twin.misalignment import Misalignment
from digital_twin.standard import Standard
from hardware_bridge.guard import Guard

HIDDEN = Misalignment.drawn(2)


def seen(matrix, angle_deg):
    """A true map as the image sees it, which is turned by the hidden error of the scan rotation."""
    angle = math.radians(-angle_deg)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return (turn @ np.reshape(matrix, (2, 2))).ravel()


def test_everything_hidden_is_found(evidence):
    found = evidence.calibration
    assert not found.not_measured
    for matrix, true in (
        (found.stage_to_specimen, seen(HIDDEN.stage_to_specimen, HIDDEN.scan_rotation_deg)),
        (found.beam_shift_to_specimen, seen(HIDDEN.beam_shift_to_specimen, HIDDEN.scan_rotation_deg)),
    ):
        assert np.abs((np.array(matrix.value) - true) / matrix.sd).max() < 4.0
        assert max(matrix.sd) < 0.03
    for estimate, true, worst in (
        (found.pixel_size, HIDDEN.pixel_size, 0.02),
        (found.backlash_x_nm, HIDDEN.backlash_nm[0], 5.0),
        (found.backlash_y_nm, HIDDEN.backlash_nm[1], 5.0),
        (found.pixel_size_ratio, 1.0, 0.01),
        (found.scan_rotation_gain, 1.0, 0.01),
        (found.defocus_gain, HIDDEN.defocus_gain, 0.05),
        (found.zero_loss_eV, HIDDEN.zero_loss_eV, 0.01),
    ):
        assert abs(estimate.value - true) < 4.0 * estimate.sd
        assert estimate.sd < worst


def test_the_price_is_told_first_and_kept(evidence, said, config):
    settings = CalibrateSettings(pixels=128, rounds=2, grating_nm=463.0)
    asked = price(Bench(Guard(Twin(Standard(2), 2), config.limits), config.limits), settings)
    assert said[0].startswith(f"up to {asked.images} images and spectra at 50 pA: {asked.electrons:.3g} electrons")
    assert 0.9 * asked.electrons < evidence.calibration.electrons <= asked.electrons
    assert 0.8 * asked.time_s < evidence.calibration.duration_s < 1.1 * asked.time_s


@pytest.mark.parametrize("limit", ["max_electrons", "max_fluence_e_per_A2"])
def test_what_passes_a_limit_is_not_begun(config, limit):
    limits = replace(config.limits, **{limit: 10.0})
    microscope = Guard(Twin(Standard(2), 2), limits)
    with pytest.raises(NotCalibrated, match=rf"limits\.{limit} = 10: nothing was begun"):
        calibrate(microscope, limits, CalibrateSettings())
    assert microscope.state().clock_s == 0.0


def test_settings_name_what_is_wrong():
    assert settings_of({"fov_nm": 100.0}).fov_nm == 100.0
    with pytest.raises(ValueError, match=r"--fov-nm: .*got float -1"):
        settings_of({"fov_nm": -1.0})


def test_the_table_tells_units_errors_and_what_was_stated(evidence, config):
    text = table(evidence.calibration, Twin(Standard(2), 2).describe())
    rows = {line.split("  ")[0]: line for line in text.splitlines()}
    assert "+-" in rows["backlash x"]
    assert " nm " in rows["backlash x"]
    assert "deg" in rows["stage against image"]
    assert rows["zero loss on the energy axis"].endswith("0")
    assert "the given period of the grating" in text
    missing = replace(evidence.calibration, defocus_gain=None, not_measured={"defocus_gain": "no range"})
    assert "not measured: defocus_gain: no range" in table(missing, Twin(Standard(2), 2).describe())
