"""Peaks in noise: hardly any where there is nothing, half of them at the stated limit."""

import numpy as np
import pytest

from agent.perception.detection import THRESHOLD, detect, detectable_radius


@pytest.mark.parametrize("level", [2.0, 30.0])
def test_noise_gives_next_to_nothing(level) -> None:
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(20):
        counts = rng.poisson(level, (256, 256)).astype(float)
        found += detect(counts - level, np.full_like(counts, level), 0.3).rows.size
    # Poisson tails at 2 counts are longer than Gaussian ones.
    assert found <= (12 if level < 10.0 else 4)


def test_places_and_sizes_of_bright_balls(bench, scatter) -> None:
    rng = np.random.default_rng(1)
    spheres = scatter(rng, 25, 440.0, (4.0, 20.0))
    rate = bench.rate(spheres, (0.0, 0.0), 256, 2.0) * 500.0
    counts = rng.poisson(rate).astype(float)
    found = detect(counts - 50.0, np.full_like(counts, 50.0), 0.3)
    for x, y, radius in spheres:
        apart = np.hypot((found.columns + 0.5 - 128) * 2.0 - x, (found.rows + 0.5 - 128) * 2.0 - y)
        nearest = int(apart.argmin())
        assert apart[nearest] < 0.5 * radius + 2.0
        assert found.radius[nearest] * 2.0 == pytest.approx(radius, rel=0.6)
    assert (np.diff(found.height) <= 0).all()


def test_limit_is_where_half_are_found(bench) -> None:
    incident, pixel = 100.0, 2.0
    contrast = bench.per_nm * incident * pixel
    limit = detectable_radius(bench.background * incident, contrast, 12.0**-0.5) * pixel
    shares = []
    for radius in (0.85 * limit, 1.25 * limit):
        spheres = np.array([(x, y, radius) for x in range(-210, 211, 60) for y in range(-210, 211, 60)], dtype=float)
        counts = np.random.default_rng(2).poisson(bench.rate(spheres, (0.0, 0.0), 256, pixel) * incident).astype(float)
        found = detect(counts - 10.0, np.full_like(counts, 10.0), 12.0**-0.5)
        x, y = (found.columns + 0.5 - 128) * pixel, (found.rows + 0.5 - 128) * pixel
        shares.append(np.mean([np.hypot(x - s[0], y - s[1]).min(initial=99.0) < limit for s in spheres]))
    assert shares[0] < 0.5 < 0.75 < shares[1]


def test_limit_falls_with_dose() -> None:
    limits = [detectable_radius(0.1 * n, 0.0132 * n, 0.3) for n in (10.0, 100.0, 1000.0)]
    assert limits[0] > limits[1] > limits[2]
    # A ball much larger than the blur: |ball|^2 = 2 pi R^4.
    large = detectable_radius(100.0, 0.05, 0.01)
    assert 0.05 * np.sqrt(2.0 * np.pi * large**4 / 100.0) == pytest.approx(THRESHOLD, rel=0.02)
