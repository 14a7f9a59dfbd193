"""Sign and gain of the lens: found on the twin, refused where the image does not answer."""

import pytest
from msgspec.structs import replace

from agent.calibrate.bench import Bench, Look, NotCalibrated
from agent.calibrate.defocus import images_needed, measure_defocus
from digital_twin.apparatus import Apparatus
from digital_twin.instrument import Twin
from digital_twin.misalignment import Misalignment
from digital_twin.standard import Standard
from hardware_bridge.guard import Guard
from hardware_bridge.messages import Range

LOOK = Look(fov_nm=256.0, pixels=128, dwell_s=2e-6)


@pytest.mark.parametrize("gain", [0.9, -1.2])
def test_sign_and_gain_are_found(config, gain):
    microscope = Guard(Twin(Standard(4), 4, apparatus=Apparatus(hidden=Misalignment(defocus_gain=gain))), config.limits)
    bench = Bench(microscope, config.limits)
    found = measure_defocus(bench, LOOK)
    assert found.gain.value == pytest.approx(gain, abs=4 * found.gain.sd)
    assert found.gain.sd < 0.05
    assert len(found.series) == images_needed()
    after = microscope.state()
    assert (after.optics.C10_nm, after.go.stage_z_nm) == (0.0, 0.0)


def test_an_image_that_does_not_answer_is_told(bench_on):
    with pytest.raises(NotCalibrated, match="images do not answer to it"):
        measure_defocus(bench_on(None), LOOK)


def test_a_missing_or_narrow_range_is_told(bench):
    without = {name: each for name, each in bench.limits.ranges.items() if name != "stage_z_nm"}
    with pytest.raises(NotCalibrated, match=r"limits\.ranges has no stage_z_nm"):
        measure_defocus(Bench(bench.microscope, replace(bench.limits, ranges=without)), LOOK)
    narrow = {**bench.limits.ranges, "C10_nm": Range(low=-100.0, high=100.0)}
    with pytest.raises(NotCalibrated, match="too short for pixels of 2 nm"):
        measure_defocus(Bench(bench.microscope, replace(bench.limits, ranges=narrow)), LOOK)
