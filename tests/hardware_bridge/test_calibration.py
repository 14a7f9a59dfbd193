"""The file of a calibration, and what is derived from it."""

import math
from pathlib import Path

import pytest

from hardware_bridge.calibration import (
    Calibration,
    MatrixEstimate,
    read_calibration,
    rotation_deg,
    write_calibration,
)
from hardware_bridge.report import Estimate

FOUND = Calibration(
    instrument="adaptem-twin",
    version="1",
    reference="stage",
    fov_nm=512.0,
    stage_to_specimen=MatrixEstimate(value=(1.0, 0.1, -0.1, 1.0), sd=(0.01, 0.01, 0.01, 0.01)),
    backlash_x_nm=Estimate(value=-12.0, sd=2.0),
    backlash_y_nm=Estimate(value=30.0, sd=20.0),
    defocus_gain=Estimate(value=-1.02, sd=0.01),
)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_calibration(FOUND, tmp_path / "c.json")
    assert read_calibration(tmp_path / "c.json") == FOUND


def test_backlash_matters_where_it_stands_out_of_its_error() -> None:
    assert FOUND.backlash_nm == 12.0
    assert Calibration(instrument="a", version="1", reference="stage", fov_nm=1.0).backlash_nm == 0.0


@pytest.mark.parametrize(("mirror", "mirrored"), [(1.0, False), (-1.0, True)])
def test_rotation_and_its_error(mirror: float, mirrored: bool) -> None:
    angle = math.radians(30.0)
    cos, sin = math.cos(angle), math.sin(angle)
    matrix = MatrixEstimate(value=(cos, -mirror * sin, sin, mirror * cos), sd=(0.01,) * 4)
    turn, is_mirrored = rotation_deg(matrix)
    assert (turn.value, is_mirrored) == (pytest.approx(30.0), mirrored)
    assert turn.sd == pytest.approx(math.degrees(0.01 / math.sqrt(2)))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not a calibration"),
        ('{"instrument": "a"}', "version"),
        (b"\xff", "not a calibration"),
        (
            '{"instrument":"a","version":"1","reference":"stage","fov_nm":1,"defocus_gain":{"value":0,"sd":1}}',
            "defocus_gain = 0 cannot be divided by",
        ),
        (
            '{"instrument":"a","version":"1","reference":"stage","fov_nm":1,"pixel_size":{"value":-1,"sd":1}}',
            "pixel_size = -1 cannot be divided by",
        ),
        (
            '{"instrument":"a","version":"1","reference":"stage","fov_nm":1,'
            '"stage_to_specimen":{"value":[1,1,1,1],"sd":[0,0,0,0]}}',
            "stage_to_specimen cannot be inverted",
        ),
    ],
)
def test_a_bad_file_is_told_with_its_name(tmp_path: Path, text: str | bytes, told: str) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"c\.json") as caught:
        read_calibration(path)
    assert told in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        read_calibration(tmp_path / "none.json")
