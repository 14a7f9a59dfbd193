"""Shifts between noisy images of one object: right, honest, and refused where there is nothing to match."""

import numpy as np
import pytest

from agent.perception.registration import FLOOR, shared_parts, shift_between


def pair(bench, scatter, seed, *, n=60, incident=40.0, centre=0.0):
    rng = np.random.default_rng(seed)
    spheres = scatter(rng, n, 600.0, (4.0, 14.0))
    offset = centre + rng.uniform(-8.0, 8.0, 2)
    a = rng.poisson(bench.rate(spheres, (0.0, 0.0), 128, 4.0) * incident).astype(float)
    b = rng.poisson(bench.rate(spheres, tuple(offset), 128, 4.0) * incident).astype(float)
    return a, b, (-offset[1] / 4.0, -offset[0] / 4.0)


def z_scores(bench, scatter, seeds, **how):
    scores = []
    for seed in seeds:
        a, b, true = pair(bench, scatter, seed, **how)
        guess = (-how.get("centre", 0.0) / 4.0,) * 2
        shift = shift_between(a, b, guess, 8.0)
        if shift is not None:
            scores.append([(shift.rows - true[0]) / shift.rows_sd, (shift.columns - true[1]) / shift.columns_sd])
    return np.array(scores)


@pytest.mark.parametrize("centre", [0.0, 120.0])
def test_sds_are_honest(bench, scatter, centre) -> None:
    z = z_scores(bench, scatter, range(30), centre=centre)
    assert len(z) >= 28
    for axis in (0, 1):
        assert 0.65 < z[:, axis].std() < 1.35
        assert abs(z[:, axis].mean()) < 0.5


@pytest.mark.slow
def test_sds_are_honest_over_200_seeds(bench, scatter) -> None:
    z = z_scores(bench, scatter, range(200))
    assert len(z) >= 195
    assert 0.8 < z.std() < 1.2


def test_noise_free_images_are_registered_to_the_floor(bench, scatter) -> None:
    a, b, true = pair(bench, scatter, 3, incident=1e5)
    shift = shift_between(a, b)
    assert (shift.rows, shift.columns) == pytest.approx(true, abs=4 * FLOOR)


def test_brightness_does_not_matter(bench, scatter) -> None:
    a, b, true = pair(bench, scatter, 5, incident=200.0)
    shift = shift_between(a, np.random.default_rng(1).binomial(b.astype(int), 0.3).astype(float))
    assert (shift.rows, shift.columns) == pytest.approx(true, abs=5 * shift.rows_sd)


def test_unrelated_images_do_not_match(bench, scatter) -> None:
    matched = 0
    for seed in range(20):
        a, _, _ = pair(bench, scatter, seed)
        _, b, _ = pair(bench, scatter, 1000 + seed)
        matched += shift_between(a, b, (0.0, 0.0), 12.0) is not None
    assert matched <= 1


def test_noise_does_not_match() -> None:
    rng = np.random.default_rng(0)
    assert all(
        shift_between(rng.poisson(5.0, (128, 128)).astype(float), rng.poisson(5.0, (128, 128)).astype(float)) is None
        for _ in range(20)
    )


def test_too_little_overlap_gives_none(bench, scatter) -> None:
    a, b, _ = pair(bench, scatter, 0)
    assert shift_between(a, b, (110.0, 0.0)) is None


def test_black_images_give_none() -> None:
    assert shift_between(np.zeros((64, 64)), np.zeros((64, 64))) is None


def test_shared_parts_show_the_same() -> None:
    image = np.arange(100.0 * 90.0).reshape(100, 90)
    a, b = shared_parts(image[:80, :70], image[5:85, 3:73], (-5, -3))
    assert (a == b).all()
    # All of it but what makes transforms slow: 67 is a prime.
    assert a.shape == (75, 64)
