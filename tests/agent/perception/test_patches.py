"""Patches: where they are, how large, what divides them, and that noise makes none."""

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.perception.patches import find_patches, noise_sd

Array = NDArray[np.float64]


def boxes(
    *corners: tuple[int, int, int, int], noise: float = 0.3, gain: float = 1.0, offset: float = 0.0, seed: int = 0
) -> Array:
    """An image of 128 x 128 with boxes (top, left, rows, columns) of one layer each, in units of ``gain``."""
    image = np.zeros((128, 128))
    for top, left, rows, columns in corners:
        image[top : top + rows, left : left + columns] += 1.0
    return offset + gain * (image + noise * np.random.default_rng(seed).normal(size=image.shape))


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (1e-3, 0.0), (400.0, -70.0)])
def test_a_box_is_one_patch_at_its_middle_in_any_unit(gain: float, offset: float) -> None:
    (patch,) = find_patches(boxes((30, 50, 20, 40), gain=gain, offset=offset))
    assert patch.row == pytest.approx(39.5, abs=0.3)
    assert patch.column == pytest.approx(69.5, abs=0.3)
    assert patch.radius == pytest.approx(np.sqrt(800 / np.pi), rel=0.03)
    assert patch.brightness == pytest.approx(gain, rel=0.05)


def test_boxes_that_overlap_are_told_apart_by_brightness() -> None:
    found = sorted(find_patches(boxes((20, 20, 40, 40), (40, 40, 40, 40))), key=lambda p: p.brightness)
    assert [round(p.brightness) for p in found] == [1, 1, 2]
    assert (found[2].row, found[2].column) == pytest.approx((49.5, 49.5), abs=0.5)


def test_a_middle_lies_in_its_patch() -> None:
    image = boxes((20, 20, 60, 10), (70, 30, 10, 50))
    (patch,) = find_patches(image)
    assert boxes((20, 20, 60, 10), (70, 30, 10, 50), noise=0.0)[round(patch.row), round(patch.column)] == 1.0


def test_what_the_field_cuts_is_left_to_another_one() -> None:
    assert find_patches(boxes((0, 30, 20, 20), (60, 108, 20, 20))) == []


def test_noise_makes_no_patch() -> None:
    assert sum(len(find_patches(boxes(seed=seed))) for seed in range(10)) == 0
    assert find_patches(np.ones((64, 64))) == []


def test_noise_is_measured_beside_edges_and_slopes() -> None:
    slope = 0.2 * np.arange(128)[:, None]
    assert noise_sd(boxes((10, 10, 50, 50), (40, 60, 60, 30)) + slope) == pytest.approx(0.3, rel=0.05)
