"""The background below particles, on tilted and crowded fields."""

import numpy as np
import pytest

from agent.perception.background import find_background


@pytest.mark.parametrize("level", [1.0, 5.0, 200.0])
def test_tilted_background_is_found(level) -> None:
    y, x = np.mgrid[:128, :128] / 128.0 - 0.5
    true = level * (1.0 + 0.3 * x - 0.2 * y + 0.2 * x * y)
    found = find_background(np.random.default_rng(0).poisson(true).astype(float))
    assert np.abs(found.counts / true - 1.0).max() < max(0.02, 0.25 / np.sqrt(level) / 2)
    assert found.share > 0.9
    assert found.relative_sd < 0.05


def test_crowd_does_not_raise_it(bench, scatter) -> None:
    rng = np.random.default_rng(1)
    spheres = scatter(rng, 90, 512.0, (8.0, 20.0))
    counts = rng.poisson(bench.rate(spheres, (0.0, 0.0), 256, 2.0) * 200.0).astype(float)
    found = find_background(counts)
    assert found.counts.mean() == pytest.approx(20.0, rel=0.02)
    assert found.share < 0.8


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_flat_images_are_no_trouble(value) -> None:
    found = find_background(np.full((64, 64), value))
    assert np.isfinite(found.counts).all()
    assert (found.counts > 0.0).all()
