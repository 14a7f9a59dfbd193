"""Long blobs are split along their axis, round ones are left alone."""

import math

import numpy as np
import pytest

from agent.perception.fit import BLUR_LEAST_PX, Blur, Canvas, Contrast, blobs_at, fit
from agent.perception.pieces import split

BLUR = Blur(math.log(BLUR_LEAST_PX), 0.2)


def one_blob(bench, spheres, seed):
    """The fit of a single ball to what may be two, with its canvas."""
    counts = np.random.default_rng(seed).poisson(bench.rate(np.array(spheres), (0.0, 0.0), 96, 2.0) * 200.0)
    background = np.full((96, 96), bench.background * 200.0)
    canvas = Canvas(counts.astype(float), background, 0.0, 1e12, BLUR, Contrast(math.log(bench.per_nm * 400.0), 0.5))
    start = blobs_at(np.array([47.5]), np.array([47.5]), np.array([9.0]), np.array([3000.0]))
    return canvas, fit(canvas, start, BLUR, 8)[0]


@pytest.mark.parametrize("angle", [0.0, 0.6, 1.4, 2.6])
def test_a_touching_pair_is_split_along_its_axis(bench, angle) -> None:
    x, y = 14.5 * math.cos(angle), 14.5 * math.sin(angle)
    canvas, blob = one_blob(bench, [(x, y, 14.0), (-x, -y, 14.0)], 1)
    two = split(canvas, blob, BLUR)
    assert two.count == 2
    along = np.diff(two.values[:, :2], axis=0)[0]
    assert abs(along[1] * math.sin(angle) - along[0] * math.cos(angle)) < 0.15 * np.hypot(*along)


@pytest.mark.parametrize("radius", [3.0, 8.0, 20.0])
def test_a_ball_stays_one(bench, radius) -> None:
    for seed in range(6):
        canvas, blob = one_blob(bench, [(0.7, -0.4, radius)], seed)
        assert split(canvas, blob, BLUR).count == 1
