"""The study of hidden instruments: its truth is what images can tell, and it runs."""

import numpy as np
import pytest
from msgspec.structs import replace

from digital_twin.misalignment import Misalignment
from experiments.calibrate_instrument import foreign
from experiments.calibrate_instrument.__main__ import at_home
from experiments.calibrate_instrument.hidden import errors, truth
from experiments.calibrate_instrument.pointing import misses_nm
from experiments.calibrate_instrument.study import configured
from hardware_bridge.calibration import Calibration, MatrixEstimate
from hardware_bridge.report import Estimate


def known(hidden: Misalignment, reference: str = "stage") -> Calibration:
    """The calibration that somebody would write who knows the truth."""
    true = truth(hidden, reference)
    (a, b, c, d), exact = true["stage_to_specimen"].tolist(), (0.1,) * 4
    return Calibration(
        instrument="adaptem-twin",
        version="1",
        reference="stage",
        fov_nm=512.0,
        stage_to_specimen=MatrixEstimate(value=(a, b, c, d), sd=exact),
        pixel_size=Estimate(value=float(true["pixel_size"][0]), sd=0.1),
        backlash_x_nm=Estimate(value=hidden.backlash_nm[0], sd=0.1),
    )


@pytest.mark.parametrize("reference", ["stage", "grating"])
def test_who_knows_the_truth_points_right(reference: str) -> None:
    hidden, limits = Misalignment.drawn(5), configured().limits
    blind = misses_nm(5, hidden, None, limits, 1000.0)
    seeing = misses_nm(5, hidden, known(hidden, reference), limits, 1000.0)
    # Left are drift and creep, which a wait would take away.
    assert seeing.max() < 25.0 < blind.mean()


def test_errors_are_measured_less_true() -> None:
    hidden = Misalignment.drawn(5)
    found = errors(known(hidden), truth(hidden, "stage"))
    assert set(found) == {"stage_to_specimen", "pixel_size", "backlash_x_nm"}
    assert all(np.allclose(error, 0.0) for error, _ in found.values())
    # On the scale of the stage's encoder, unit moves span one nm^2.
    a, b, c, d = truth(hidden, "stage")["stage_to_specimen"]
    assert a * d - b * c == pytest.approx(1.0)


def test_a_foreign_instrument_stands_beside_its_truth() -> None:
    found = replace(known(Misalignment()), not_measured={"defocus_gain": "its images do not answer to it"})
    told = foreign.table(found, {"stage_to_specimen": (1.0, 0.0, 0.0, 1.0), "pixel_size": (0.75,)})
    assert "| stage to specimen xx | +1.00 ± 0.10 | +1.00 | +0.0 |" in told
    assert "| pixel size over stated | +1.00 ± 0.10 | +0.75 | +2.5 |" in told
    assert "| backlash x, nm | +12.00 ± 0.10 | not known | |" in told
    assert "- not measured: defocus_gain: its images do not answer to it" in told


def test_angles_are_apart_by_the_smaller_way_round() -> None:
    turned = replace(
        known(Misalignment()), stage_to_specimen=MatrixEstimate(value=(-1.0, 0.0, -1e-9, -1.0), sd=(0.1,) * 4)
    )
    assert "| stage against image, deg | -180.0 ± 4.1 | +180.0 | +0.0 |" in foreign.table(
        turned, {"stage_to_specimen": (-1.0, 0.0, 0.0, -1.0)}
    )


def test_the_foreign_part_of_the_page_replaces_the_one_before() -> None:
    page = foreign.HEAD + "old\n"
    assert at_home("twins\n" + page) + foreign.HEAD == "twins\n" + foreign.HEAD
    assert at_home("twins\n") == "twins\n"
