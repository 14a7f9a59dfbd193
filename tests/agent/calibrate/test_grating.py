"""The period of a grating as the reference of length."""

import math

import numpy as np
import pytest

from agent.calibrate.bench import NotCalibrated
from agent.calibrate.grating import pixel_over_stated


def grating(random, period_px, angle_deg, size=192, lines=0.8):
    rows, columns = np.indices((size, size)).astype(float)
    angle = math.radians(angle_deg)
    along = math.cos(angle) * columns + math.sin(angle) * rows
    aside = -math.sin(angle) * columns + math.cos(angle) * rows
    bars = np.maximum(*(np.cos(math.pi * each / period_px) ** 8 for each in (along, aside)))
    return random.poisson(5.0 * (1 + lines * bars)).astype(float)


def test_the_pixel_size_is_found_with_an_honest_error():
    z = []
    for seed in range(10):
        random = np.random.default_rng(seed)
        true_pixel = random.uniform(0.9, 1.1) * 2.0
        image = grating(random, 60.0 / true_pixel, random.uniform(0, 90))
        found = pixel_over_stated(image, 2.0, 60.0)
        z.append((found.value - true_pixel / 2.0) / found.sd)
    assert np.std(z) == pytest.approx(1.0, abs=0.4)
    assert abs(np.mean(z)) < 1.0


def test_no_grating_and_too_few_periods_are_refused():
    random = np.random.default_rng(0)
    with pytest.raises(NotCalibrated, match="no wave of the given period"):
        pixel_over_stated(random.poisson(5.0, (192, 192)).astype(float), 2.0, 60.0)
    with pytest.raises(NotCalibrated, match=r"shows 1\.9 periods of 200 nm"):
        pixel_over_stated(grating(random, 100.0, 0.0), 2.0, 200.0)
