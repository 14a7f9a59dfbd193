"""A measured micrograph as a specimen: what the twin shows of it, and files that are none."""

import json

import numpy as np
import pytest

from digital_twin.instrument import Twin
from digital_twin.measured import THICKEST_NM, MeasuredSpecimen, measured_card, read_micrograph
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
    image, pixel_nm = read_micrograph(ramp)
    assert pixel_nm == 2.0
    assert specimen.project([grid]).copper_nm[0].numpy() == pytest.approx(THICKEST_NM * image[:, :20])


def test_units_are_taken_from_the_file(tmp_path):
    image = [[0, 1], [2, 3]]
    assert read_micrograph(write(tmp_path / "a.npz", image, "pm", 50.0))[1] == pytest.approx(0.05)
    assert read_micrograph(write(tmp_path / "b.npz", image, "um", 0.5))[1] == pytest.approx(500.0)


@pytest.mark.parametrize("image", [[[1, 1], [1, 1]], [1, 2, 3]])
def test_an_image_without_contrast_or_shape_is_told(tmp_path, image):
    with pytest.raises(ValueError, match="one image with contrast"):
        read_micrograph(write(tmp_path / "bad.npz", image))


def test_files_that_are_none_are_told_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"instrument\.specimen = .*nothing\.npz"):
        read_micrograph(tmp_path / "nothing.npz")
    np.savez(tmp_path / "other.npz", something=np.zeros(3))
    with pytest.raises(ValueError, match="haadf"):
        read_micrograph(tmp_path / "other.npz")
    (tmp_path / "text.npz").write_text("not an archive")
    with pytest.raises(ValueError, match=r"text\.npz"):
        read_micrograph(tmp_path / "text.npz")
    with pytest.raises(ValueError, match="no calibrated"):
        read_micrograph(write(tmp_path / "unit.npz", [[0, 1]], units="parsec"))


def test_the_card_has_an_extent_and_no_targets(ramp):
    card = measured_card(ramp, 60.0, 1e8)
    assert card.extent_nm == 60.0
    assert card.targets == ()
    assert card.budget_electrons == 1e8


def test_the_twin_shows_the_measured_micrograph(shared_data, command):
    path = shared_data / NAME
    twin = Twin(MeasuredSpecimen(path), 1)
    image, pixel_nm = read_micrograph(path)
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
