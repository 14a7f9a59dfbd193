"""How acquisitions are cut into parts, and what they say that they hold."""

import math

import pytest

from digital_twin.acquisition import CHUNK_VALUES, Plan, axes_of, check_able, check_blur, dtype_of, kind_of
from digital_twin.column import capabilities
from digital_twin.detectors import Column
from hardware_bridge.errors import Rejected
from hardware_bridge.messages import SCANNED_MODES, Acquire, Optics

COLUMN = Column()
ABLE = capabilities(COLUMN)


def acquire(mode, pixels=64, dwell_s=1e-3, fov_nm=64.0, rows=None) -> Acquire:
    return Acquire(mode=mode, fov_nm=fov_nm, pixels_x=pixels, pixels_y=rows or pixels, dwell_s=dwell_s)


@pytest.mark.parametrize("mode", ABLE.modes)
def test_parts_follow_each_other_and_add_up(mode):
    asked = acquire(mode, rows=50)
    plan = Plan.of(asked, COLUMN, flyback_s=1e-4)
    end, time_s = 0, 0.0
    for top, rows, beam_s in plan.chunks():
        assert top == end
        end, time_s = top + rows, time_s + beam_s
    assert end == 50
    assert time_s == pytest.approx(50 * (64 * 1e-3 + 1e-4) if mode in SCANNED_MODES else 1e-3)


def test_parts_are_short_in_time_and_in_values():
    assert Plan.of(acquire("HAADF", dwell_s=1e-2), COLUMN, 0.0).chunk_rows == 1
    plan = Plan.of(acquire("CBED", pixels=256, dwell_s=1e-7), COLUMN, 0.0)
    assert plan.chunk_rows * 256 * 128**2 <= CHUNK_VALUES or plan.chunk_rows == 1


def test_a_broad_beam_spreads_its_electrons_over_the_lit_disc():
    plan = Plan.of(acquire("HRTEM", pixels=128, fov_nm=256.0), COLUMN, 0.0)
    assert plan.pixel_share == pytest.approx(4.0 / (math.pi * 500.0**2))
    assert Plan.of(acquire("HAADF"), COLUMN, 0.0).pixel_share == 1.0


@pytest.mark.parametrize("mode", ABLE.modes)
def test_axes_hold_as_many_values_as_capabilities_say(mode):
    axes = axes_of(acquire(mode), COLUMN)
    assert [axis.size for axis in axes[:2]] == [64, 64]
    assert math.prod(axis.size for axis in axes[2:]) == ABLE.values_per_pixel.get(mode, 1)
    assert {"spectrum": 3, "pattern": 4, "frame": 2}[kind_of(mode)] == len(axes)
    assert dtype_of(mode) == ("uint32" if kind_of(mode) == "spectrum" else "uint16")


def test_patterns_are_centred_on_the_axis():
    ky = axes_of(acquire("CBED"), COLUMN)[2]
    assert ky.offset + ky.scale * (ky.size // 2) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (acquire("HRTEM", fov_nm=900.0), "acquire.fov_nm = 1272.79 nm across corners .*1000 nm"),
        (acquire("4DSTEM", pixels=256), "acquire.pixels_x = 268435456 values in a frame .*134217728"),
    ],
)
def test_what_there_is_no_room_for_is_refused(asked, told):
    with pytest.raises(Rejected, match=told):
        check_able(asked, ABLE)


def test_pixels_too_fine_for_a_probe_far_out_of_focus_are_refused():
    far = Optics(C10_nm=4000.0)
    with pytest.raises(Rejected, match=r"acquire\.fov_nm = 0\.01 nm a pixel .*at least 0\.0\d+ nm, the probe is 8\d"):
        check_blur(acquire("BF", pixels=100, fov_nm=1.0), far, COLUMN)
    check_blur(acquire("BF", pixels=100, fov_nm=1.0), Optics(C10_nm=100.0), COLUMN)
    check_blur(acquire("BF", pixels=100, fov_nm=10.0), far, COLUMN)
    check_blur(acquire("CBED", pixels=100, fov_nm=1.0), far, COLUMN)


def test_a_probe_too_wide_to_be_formed_is_refused_and_one_within_a_pixel_never():
    with pytest.raises(Rejected, match=r"set\.optics = a probe .* nm wide .*85\.6 nm, or a pixel"):
        check_blur(acquire("HAADF", pixels=100, fov_nm=100.0), Optics(C10_nm=5000.0), COLUMN)
    check_blur(acquire("HAADF", pixels=100, fov_nm=1e6), Optics(C10_nm=5000.0), COLUMN)
