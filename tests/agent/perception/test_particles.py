"""Particles found in whole images: recall, false ones, crowds and bounded time."""

import math

import numpy as np
import pytest

from agent.perception import fit
from agent.perception.fit import BLUR_LEAST_PX, Blur, Contrast
from agent.perception.particles import LEAST_SNR, find_particles


def found_in(bench, spheres, seed, *, incident=100.0, disc_nm=0.0):
    counts = np.random.default_rng(seed).poisson(bench.rate(spheres, (0.0, 0.0), 256, 2.0, disc_nm) * incident)
    contrast = Contrast(math.log(bench.per_nm * incident * 2.0), 0.4)
    return find_particles(counts.astype(float), 1e12, Blur(math.log(2 * BLUR_LEAST_PX), 0.5), contrast)


def matched(found, spheres):
    """Share of spheres found (within half a radius), and number of blobs that are near none."""
    x, y = (found.blobs.values[:, 1] + 0.5 - 128) * 2.0, (found.blobs.values[:, 0] + 0.5 - 128) * 2.0
    apart = np.hypot(spheres[:, None, 0] - x[None, :], spheres[:, None, 1] - y[None, :])
    near = apart < 0.5 * spheres[:, 2, None] + 2.0
    return near.any(axis=1).mean(), int((~near.any(axis=0)).sum())


@pytest.mark.parametrize(("incident", "radii"), [(50.0, (8.0, 20.0)), (300.0, (4.0, 12.0))])
@pytest.mark.parametrize("disc_nm", [0.0, 4.0])
def test_nearly_all_are_found_and_nothing_else(bench, scatter, incident, radii, disc_nm) -> None:
    shares, false = [], 0
    for seed in range(4):
        spheres = scatter(np.random.default_rng(seed), 40, 470.0, radii)
        share, extra = matched(found_in(bench, spheres, seed, incident=incident, disc_nm=disc_nm), spheres)
        shares.append(share)
        false += extra
    assert np.mean(shares) > 0.93
    assert false <= 2


def test_empty_fields_are_empty(bench) -> None:
    none = np.zeros((0, 3))
    assert sum(found_in(bench, none, seed, incident=50.0).blobs.count for seed in range(12)) <= 1


def test_what_is_kept_is_significant(bench, scatter) -> None:
    found = found_in(bench, scatter(np.random.default_rng(1), 60, 500.0, (3.0, 8.0)), 1, incident=80.0)
    assert found.significance.min() > 0.8 * LEAST_SNR


def test_touching_pairs_count_as_two(bench) -> None:
    places = [(-150.0, -150.0), (150.0, -100.0), (-100.0, 140.0), (120.0, 150.0)]
    pairs = [(x + s * 16.5, y + s * 3.0, 16.0) for x, y in places for s in (-1.0, 1.0)]
    share, extra = matched(found_in(bench, np.array(pairs), 2, incident=60.0), np.array(pairs))
    assert share == 1.0
    assert extra == 0


@pytest.fixture
def fitted_px(monkeypatch) -> list[int]:
    """Pixels of the patches in each set of equations that is solved: what the time of a fit goes with."""
    sizes: list[int] = []
    solve = fit._Group.equations

    def counted(group: fit._Group, canvas: fit.Canvas, image: np.ndarray) -> fit._Equations:
        sizes.append(group.distance.size)
        return solve(group, canvas, image)

    monkeypatch.setattr(fit._Group, "equations", counted)
    return sizes


@pytest.mark.parametrize("kind", ["crowd", "noise", "white", "black", "stripes"])
def test_no_image_takes_many_steps_or_fails(bench, scatter, fitted_px, kind) -> None:
    rng = np.random.default_rng(0)
    contrast, blur = Contrast(0.0, 0.4), Blur(math.log(0.5), 0.5)
    if kind == "crowd":
        spheres = scatter(rng, 500, 512.0, (6.0, 12.0))
        counts = rng.poisson(bench.rate(spheres, (0.0, 0.0), 256, 2.0) * 300.0).astype(float)
    else:
        noise = rng.exponential(50.0, (256, 256))
        stripes = np.where(np.arange(256)[:, None] % 16 < 8, 10.0, 90.0) * np.ones((1, 256))
        counts = {"noise": noise, "white": np.full((256, 256), 6e4), "black": 0.0 * noise, "stripes": stripes}[kind]
    found = find_particles(counts, 300.0, blur, contrast)
    assert sum(fitted_px) < 64 * counts.size
    assert np.isfinite(found.blobs.values).all()


def test_a_usual_image_takes_two_pixels_fitted_for_one_seen(bench, scatter, fitted_px) -> None:
    spheres = scatter(np.random.default_rng(3), 40, 500.0, (4.0, 14.0))
    found_in(bench, spheres, 0)
    assert 0 < sum(fitted_px) < 2 * 256 * 256
