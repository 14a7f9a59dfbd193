"""A measured micrograph as a specimen: what the twin shows of it, and files that are none."""

import json

import numpy as np
import pytest

from digital_twin.apparatus import Apparatus
from digital_twin.conditions import STILL
from digital_twin.image_files import read_image
from digital_twin.instrument import Twin
from digital_twin.measured import THICKEST_NM, MeasuredSpecimen, measured_card
from digital_twin.misalignment import Misalignment
from digital_twin.specimen import Specimen
from hardware_bridge.messages import Optics
from hardware_bridge.microscope import execute

NAME = "nanoparticles_haadf_eds_200kV.npz"


def write(path, image, units="nm", scale=2.0):
    axes = [{"scale": scale, "units": units, "size": n} for n in np.shape(image)]
    np.savez(path, haadf=np.asarray(image), meta=json.dumps({"haadf_axes": axes}))
    return path


@pytest.fixture
def ramp(tmp_path):
    return write(tmp_path / "ramp.npz", np.add.outer(10.0 * np.arange(20), np.arange(30)).astype(np.uint16))


def test_the_micrograph_is_where_its_pixels_are(ramp, square_grid):
    specimen: Specimen = MeasuredSpecimen(ramp)
    assert specimen.extent_nm == 60.0
    grid = square_grid(20, 2.0)
    # The middle of the first pixel lies half a picture, less half a pixel, before the origin.
    grid.origin_nm[:] += np.array([-29.0, -19.0])
    image, pixel_nm = read_image(ramp)
    assert pixel_nm == 2.0
    assert specimen.project([grid])[0, 0].numpy() == pytest.approx(THICKEST_NM * image[:, :20])


def test_a_pixel_size_can_be_given(tmp_path):
    np.save(tmp_path / "plain.npy", np.eye(8))
    assert MeasuredSpecimen(tmp_path / "plain.npy", pixel_nm=0.5).extent_nm == 4.0
    assert measured_card(tmp_path / "plain.npy", 60.0, 1e8, 0.5).extent_nm == 4.0
    with pytest.raises(ValueError, match=r"plain\.npy: .*instrument\.specimen_pixel_nm"):
        MeasuredSpecimen(tmp_path / "plain.npy")


def test_the_card_has_an_extent_and_no_targets(ramp):
    card = measured_card(ramp, 60.0, 1e8)
    assert card.extent_nm == 60.0
    assert card.targets == ()
    assert card.budget_electrons == 1e8


def test_the_twin_shows_the_measured_micrograph(shared_data, command):
    path = shared_data / NAME
    twin = Twin(
        MeasuredSpecimen(path), 1, apparatus=Apparatus(conditions=STILL, hidden=Misalignment(backlash_nm=(0.0, 0.0)))
    )
    image, pixel_nm = read_image(path)
    each = command(
        optics=Optics(beam_current_pA=400.0, C12_nm=0.0, C21_nm=0.0, C23_nm=0.0),
        fov_nm=64 * pixel_nm,
        pixels=64,
        dwell_s=1e-4,
    )
    seen = execute(twin, each, 5.0).data
    inner = slice(8, -8)
    correlation = np.corrcoef(image[inner, inner].ravel(), seen[inner, inner].ravel().astype(float))[0, 1]
    assert correlation > 0.95
