"""A driver behind its calibration acts as one that has no errors, for all who use it."""

from collections.abc import Callable

import numpy as np
import pytest
from bench import LIMITS, scan
from contract import CHECKS, Acquisition

from digital_twin.apparatus import Apparatus
from digital_twin.instrument import Twin
from digital_twin.misalignment import Misalignment
from digital_twin.standard import Standard
from hardware_bridge.calibrated import Calibrated
from hardware_bridge.calibration import Calibration, MatrixEstimate
from hardware_bridge.errors import Rejected
from hardware_bridge.guard import Guard
from hardware_bridge.messages import Acquire, Command, Go, Optics, Settings
from hardware_bridge.microscope import Microscope, execute
from hardware_bridge.report import Estimate

# Powers of two, so that nothing is rounded on the way there and back.
HIDDEN = Misalignment(pixel_size=2.0, defocus_gain=-0.5, zero_loss_eV=3.0)
KNOWN = Calibration(
    instrument="adaptem-twin",
    version="1",
    reference="grating",
    fov_nm=512.0,
    stage_to_specimen=MatrixEstimate(value=(1.0, 0.25, 0.0, 1.0), sd=(0.0,) * 4),
    pixel_size=Estimate(value=2.0, sd=0.01),
    scan_rotation_gain=Estimate(value=1.0, sd=0.01),
    backlash_x_nm=Estimate(value=12.0, sd=1.0),
    defocus_gain=Estimate(value=-0.5, sd=0.01),
    zero_loss_eV=Estimate(value=3.0, sd=0.01),
)
LOOK = Command(
    id="look",
    go=Go(scan_rotation_deg=5.0),
    set=Settings(optics=Optics(C10_nm=400.0)),
    acquire=Acquire(mode="HAADF", fov_nm=256.0, pixels_x=64, pixels_y=64, dwell_s=2e-6),
)


def test_it_is_a_microscope_that_shows_what_a_perfect_one_shows() -> None:
    plain, corrected = Twin(Standard(1), 1), Calibrated(Twin(Standard(1), 1, apparatus=Apparatus(hidden=HIDDEN)), KNOWN)
    assert isinstance(corrected, Microscope)
    one, other = execute(plain, LOOK, 5.0), execute(corrected, LOOK, 5.0)
    assert one.data is not None
    assert np.array_equal(one.data, other.data)  # type: ignore[arg-type]
    assert one.axes == other.axes
    assert one.state == other.state
    assert other.command == LOOK
    assert corrected.state().optics.C10_nm == 400.0


def test_the_energy_axis_begins_where_the_zero_loss_says() -> None:
    corrected = Calibrated(Twin(Standard(1), 1, apparatus=Apparatus(hidden=HIDDEN)), KNOWN)
    look = Command(id="s", acquire=Acquire(mode="EELS", fov_nm=32.0, pixels_x=4, pixels_y=4, dwell_s=1e-3))
    seen = execute(corrected, look, 5.0)
    energy = seen.axes[2]
    assert energy.offset == corrected.describe().energy_offset_eV == -23.0
    assert seen.data is not None
    assert energy.offset + energy.scale * int(seen.data.sum(axis=(0, 1)).argmax()) == 0.0


def test_maps_and_backlash_are_described() -> None:
    told = Calibrated(Twin(Standard(1), 1), KNOWN).describe()
    assert told.stage_to_specimen == (1.0, 0.25, 0.0, 1.0)
    assert told.beam_shift_to_specimen == Twin(Standard(1), 1).describe().beam_shift_to_specimen
    assert told.backlash_nm == 12.0


def test_the_calibration_of_another_instrument_is_refused() -> None:
    other = Calibration(instrument="another", version="2", reference="stage", fov_nm=1.0)
    with pytest.raises(ValueError, match="was measured on another 2, this is adaptem-twin 1"):
        Calibrated(Twin(Standard(1), 1), other)


def test_nothing_submitted_is_idle() -> None:
    with pytest.raises(Rejected, match="a command must be submitted first"):
        Calibrated(Twin(Standard(1), 1), KNOWN).gather(1.0)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check: Callable[[Microscope, Acquisition], None]) -> None:
    microscope = Guard(Calibrated(Twin(Standard(1), 1, apparatus=Apparatus(hidden=HIDDEN)), KNOWN), LIMITS)
    check(microscope, lambda name, frames: scan(name, rows=256, frames=frames))
