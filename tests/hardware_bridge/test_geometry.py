"""The affine maps: where a pixel lies, and the way back."""

import numpy as np
import pytest
from bench import CAPABILITIES, scan
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from experiments.small_column import ORIGIN
from hardware_bridge.geometry import (
    beam_shift_for,
    field_centre_nm,
    merged,
    pixel_nm,
    pixel_to_specimen,
    stage_for,
)
from hardware_bridge.messages import Go

# A stage that is turned and mirrored, and a beam shift with a scale and a skew of its own.
SKEWED = replace(CAPABILITIES, stage_to_specimen=(0.0, -1.0, -1.0, 0.0), beam_shift_to_specimen=(1.1, 0.2, -0.3, 0.9))
coordinate = st.floats(-1000, 1000)


@given(coordinate, coordinate, coordinate, coordinate)
def test_stage_and_beam_shift_bring_a_point_onto_the_axis(x: float, y: float, dx: float, dy: float) -> None:
    stage_x, stage_y = stage_for((x, y), SKEWED)
    shift_x, shift_y = beam_shift_for((dx, dy), SKEWED)
    go = Go(stage_x_nm=stage_x, stage_y_nm=stage_y, beam_shift_x_nm=shift_x, beam_shift_y_nm=shift_y)
    assert field_centre_nm(go, SKEWED) == pytest.approx((x + dx, y + dy), abs=1e-6)


def test_the_middle_of_the_field_is_its_centre_whatever_the_rotation() -> None:
    acquire = scan("a", rows=16).acquire
    assert acquire is not None
    middle = (acquire.pixels_y / 2 - 0.5, acquire.pixels_x / 2 - 0.5)
    for rotation_deg in (0.0, 37.0, 180.0):
        assert pixel_to_specimen((5.0, -7.0), acquire, rotation_deg, middle) == pytest.approx((5.0, -7.0))


def test_rows_are_y_and_columns_are_x_and_a_quarter_turn_swaps_them() -> None:
    acquire = scan("a").acquire
    assert acquire is not None
    p = pixel_nm(acquire)
    assert p == 8.0
    centre = (0.0, 0.0)

    def step(rotation_deg: float, row: float, column: float) -> np.ndarray:
        here = np.array(pixel_to_specimen(centre, acquire, rotation_deg, (3.0, 4.0)))
        return np.array(pixel_to_specimen(centre, acquire, rotation_deg, (3.0 + row, 4.0 + column))) - here

    np.testing.assert_allclose(step(0.0, 0.0, 1.0), (p, 0.0), atol=1e-9)
    np.testing.assert_allclose(step(0.0, 1.0, 0.0), (0.0, p), atol=1e-9)
    # Right-handed: a positive rotation turns the columns' direction from x towards y.
    np.testing.assert_allclose(step(90.0, 0.0, 1.0), (0.0, p), atol=1e-9)
    np.testing.assert_allclose(step(90.0, 1.0, 0.0), (-p, 0.0), atol=1e-9)


def test_what_is_not_asked_for_stays() -> None:
    after = merged(ORIGIN, Go(stage_x_nm=3.0, tilt_beta_deg=0.0, approach="from_negative"))
    assert after == replace(ORIGIN, stage_x_nm=3.0, approach="from_negative")
