"""Turned and magnified images: the map is found, with its error, and what does not match is refused."""

import math

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from agent.calibrate.bench import NotCalibrated
from agent.calibrate.warp import warp_between


def blobs(random, places, size=128, radius=3.0):
    rows, columns = np.indices((size, size)) - (size - 1) / 2
    image = np.full((size, size), 10.0)
    for x, y in places:
        image += 80 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * radius**2))
    return random.poisson(image).astype(float)


def turned(angle_deg):
    angle = math.radians(angle_deg)
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def test_a_turn_and_a_factor_are_found_with_honest_errors():
    z = []
    for seed in range(8):
        random = np.random.default_rng(seed)
        places = random.uniform(-75, 75, (60, 2))
        moved = places @ (1.02 * turned(5.0)).T + [3.0, -2.0]
        found = warp_between("turn", blobs(random, places), blobs(random, moved), turned(4.0))
        assert found.alike > 0.9
        z.append(((found.angle_deg.value - 5.0) / found.angle_deg.sd, (found.factor.value - 1.02) / found.factor.sd))
    assert np.std(z) == pytest.approx(1.0, abs=0.4)
    assert np.abs(np.mean(z, axis=0)).max() < 0.9


def test_images_of_other_things_are_refused():
    random = np.random.default_rng(1)
    a, b = (blobs(random, random.uniform(-75, 75, (60, 2))) for _ in range(2))
    with pytest.raises(NotCalibrated, match="turn: the images do not match"):
        warp_between("turn", a, b, np.eye(2))


def test_content_goes_the_way_the_matrix_says():
    random = np.random.default_rng(2)
    a = blobs(random, random.uniform(-75, 75, (60, 2)))
    rows, columns = np.indices(a.shape) - 63.5
    back = np.stack([columns, rows], axis=-1) @ np.linalg.inv(turned(10.0)).T
    b = map_coordinates(a, [back[..., 1] + 63.5, back[..., 0] + 63.5], order=1, mode="nearest")
    assert warp_between("turn", a, b, turned(9.0)).angle_deg.value == pytest.approx(10.0, abs=0.1)
