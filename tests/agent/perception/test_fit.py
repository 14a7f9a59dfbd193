"""Fitted balls: unbiased, with sds that hold for position, radius, flux and the common blur."""

import math

import numpy as np
import pytest

from agent.perception.fit import BALL, BLUR_LEAST_PX, Blobs, Blur, Canvas, Contrast, blobs_at, fit, model

IN_FOCUS = Blur(math.log(BLUR_LEAST_PX), 0.3)


def fitted(bench, spheres, seed, *, incident=60.0, disc_nm=0.0, blur=IN_FOCUS, contrast_sd=0.5):
    """Fit spheres from start values that are off, on the true background; pixels of 2 nm."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(bench.rate(spheres, (0.0, 0.0), 128, 2.0, disc_nm) * incident).astype(float)
    canvas = Canvas(
        counts,
        np.full_like(counts, bench.background * incident),
        0.0,
        1e12,
        blur,
        Contrast(math.log(bench.per_nm * incident * 2.0), contrast_sd),
    )
    rows, columns = spheres[:, 1] / 2.0 + 63.5, spheres[:, 0] / 2.0 + 63.5
    flux = bench.per_nm * incident * BALL * spheres[:, 2] ** 3 / 4.0
    n = len(spheres)
    start = blobs_at(
        rows + rng.uniform(-0.7, 0.7, n), columns + rng.uniform(-0.7, 0.7, n), spheres[:, 2] / 2.0 * 1.2, 0.8 * flux
    )
    blobs, found = fit(canvas, start, blur, 8)
    true = np.stack([rows, columns, np.log(spheres[:, 2] / 2.0), np.log(flux), np.zeros(n)], axis=1)
    return (blobs.values - true)[:, :4], blobs, found


GRID = np.array([(x, y) for x in (-90.0, -30.0, 30.0, 90.0) for y in (-90.0, -30.0, 30.0, 90.0)])


def spheres_of(radius, rng):
    return np.column_stack([GRID + rng.uniform(-3.0, 3.0, GRID.shape), np.full(len(GRID), radius)])


@pytest.mark.parametrize(("radius", "incident"), [(12.0, 60.0), (8.0, 200.0), (5.0, 1000.0)])
def test_sds_are_honest(bench, radius, incident) -> None:
    z = []
    for seed in range(14):
        spheres = spheres_of(radius, np.random.default_rng(1000 + seed))
        error, blobs, _ = fitted(bench, spheres, seed, incident=incident)
        z.append(error / np.sqrt(np.diagonal(blobs.cov, axis1=1, axis2=2))[:, :4])
    spread = np.concatenate(z).std(axis=0)
    assert (spread > 0.8).all()
    assert (spread < 1.2).all()
    assert (np.abs(np.concatenate(z).mean(axis=0)) < 0.35).all()


@pytest.mark.parametrize("disc_nm", [0.0, 3.0, 6.0])
def test_blur_is_measured(bench, disc_nm) -> None:
    """A disc of confusion of radius rho spreads by rho / 2 along an axis; a pixel by 12^-1/2."""
    true = math.hypot(BLUR_LEAST_PX, disc_nm / 4.0)
    spheres = spheres_of(9.0, np.random.default_rng(3))
    _, _, blur = fitted(bench, spheres, 4, incident=2000.0, disc_nm=disc_nm, blur=Blur(math.log(0.8), 0.7))
    # A disc is no Gaussian: its sharp rim counts as a little more or less blur.
    assert blur.px == pytest.approx(true, rel=0.12, abs=0.05)


def test_flux_does_not_mind_blur(bench) -> None:
    spheres = spheres_of(7.0, np.random.default_rng(5))
    for disc_nm in (0.0, 5.0):
        error, _, _ = fitted(bench, spheres, 6, incident=5000.0, disc_nm=disc_nm, blur=Blur(math.log(0.8), 0.7))
        assert abs(error[:, 3].mean()) < 0.04


def test_neighbours_are_told_apart(bench) -> None:
    spheres = np.array([(-9.0, 0.0, 8.0), (9.0, 0.0, 8.0)])
    error, _, _ = fitted(bench, spheres, 7, incident=2000.0)
    assert np.abs(error[:, :2]).max() < 0.2
    assert np.abs(error[:, 2]).max() < 0.05


def test_what_is_not_resolved_leans_on_contrast(bench) -> None:
    spheres = spheres_of(1.5, np.random.default_rng(8))
    tight, loose = (fitted(bench, spheres, 9, incident=20000.0, contrast_sd=sd)[1] for sd in (0.05, 0.5))
    assert np.median(tight.cov[:, 2, 2]) < 0.3 * np.median(loose.cov[:, 2, 2])


def test_variance_of_saturating_counts() -> None:
    """Counts n ~ Poisson(N (1 - exp(-m/N))), m' = -N ln(1 - n/N): the spread of m' by simulation."""
    incident, m = 400.0, 160.0
    canvas = Canvas(np.zeros((1, 1)), np.zeros((1, 1)), 0.0, incident, IN_FOCUS, Contrast(0.0, 1.0))
    n = np.random.default_rng(0).poisson(incident * -np.expm1(-m / incident), 200_000)
    spread = (-incident * np.log1p(-n / incident)).var()
    assert canvas.variance(np.array([m]))[0] == pytest.approx(spread, rel=0.05)


def test_nothing_to_fit_is_no_trouble() -> None:
    canvas = Canvas(np.ones((32, 32)), np.ones((32, 32)), 0.0, 100.0, IN_FOCUS, Contrast(0.0, 1.0))
    none = Blobs(np.zeros((0, 5)), np.zeros((0, 5, 5)))
    blobs, blur = fit(canvas, none, IN_FOCUS, 3)
    assert blobs.count == 0
    assert blur == IN_FOCUS
    assert (model(canvas, none, IN_FOCUS) == 1.0).all()
