"""Focus from pairs: the transfer against wave optics, sds honest, silence where a pair tells nothing."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import j1

from agent.perception.focus import Lens, Shot, in_focus, in_focus_by_blur
from agent.perception.scan import scan_of
from digital_twin.optics import Aberrations, Column, probe_intensity


@pytest.mark.parametrize(("C10_nm", "C30_um"), [(300.0, 0.0), (-300.0, 0.0), (250.0, 1200.0), (-250.0, 1200.0)])
def test_transfer_is_that_of_wave_optics(C10_nm, C30_um) -> None:
    size, pixel = 512, 0.05
    probe = probe_intensity(size, pixel, Aberrations(C10_nm=C10_nm, C30_um=C30_um), Column(200.0, 10.0))
    wave = np.fft.fft2(probe)[0, :12].real
    k = np.fft.fftfreq(size, pixel)[:12]
    ray = Lens(10.0, C30_um).transfer(np.array([C10_nm]), k)[0]
    assert np.abs(ray - wave).max() < 0.05


def test_without_C30_it_is_a_disc() -> None:
    k = np.linspace(0.01, 0.4, 20)
    x = 2.0 * math.pi * k * 0.01 * 250.0
    assert Lens(10.0).transfer(np.array([250.0]), k)[0] == pytest.approx(2.0 * j1(x) / x, abs=1e-6)
    assert Lens(10.0).blur_nm(400.0) == pytest.approx(0.01 * 400.0 / 2.0)


def test_the_sharpest_C10_balances_C30() -> None:
    lens = Lens(10.0, 1200.0)
    around = [lens.blur_nm(lens.sharpest_C10_nm + step) for step in (-20.0, 0.0, 20.0)]
    assert around[1] == min(around)
    assert lens.sharpest_C10_nm == pytest.approx(-80.0)


def shots(bench, scatter, seed, C10_nm, focus_nm, incident=60.0, n=60):
    rng = np.random.default_rng(seed)
    spheres = scatter(rng, n, 600.0, (4.0, 14.0))
    offset = rng.uniform(-3.0, 3.0, 2)
    made = []
    for C10, off in zip(C10_nm, ((0.0, 0.0), tuple(offset)), strict=True):
        observation = bench.observe(
            spheres, rng, C10_nm=C10, disc_nm=0.01 * abs(C10 - focus_nm), incident=incident, offset=off
        )
        made.append(Shot(scan_of(observation, bench.capabilities, 1.0), 0.0, 50.0))
    return made, (-offset[1] / 2.0, -offset[0] / 2.0)


def z_scores(bench, scatter, seeds, half_nm=200.0):
    z = []
    for seed in seeds:
        focus = np.random.default_rng(seed).uniform(-150.0, 150.0)
        (a, b), shift = shots(bench, scatter, seed, (half_nm, -half_nm), focus)
        estimate = in_focus(a, b, shift, Lens(10.0))
        if estimate is not None:
            z.append((estimate.value - focus) / estimate.sd)
    return np.array(z)


def test_sds_are_honest(bench, scatter) -> None:
    z = z_scores(bench, scatter, range(24))
    assert len(z) >= 20
    assert 0.55 < z.std() < 1.3
    assert abs(z.mean()) < 0.5


@pytest.mark.slow
def test_sds_are_honest_over_200_seeds(bench, scatter) -> None:
    z = z_scores(bench, scatter, range(200))
    assert len(z) >= 170
    # 1.21 was measured: these pairs say nothing by their blur, unlike those of a run (experiments/calibration: 0.95).
    assert 0.8 < z.std() < 1.25


def test_the_pair_tells_the_sign(bench, scatter) -> None:
    for focus in (-300.0, 300.0):
        (a, b), shift = shots(bench, scatter, 1, (200.0, -200.0), focus, incident=500.0)
        assert in_focus(a, b, shift, Lens(10.0)).value == pytest.approx(focus, abs=40.0)


def test_blur_alone_knows_the_size_but_not_the_sign(bench, scatter) -> None:
    (a, _), _ = shots(bench, scatter, 1, (0.0, 0.0), 0.0)
    blurred = Shot(a.scan, math.log(math.hypot(2.0 / math.sqrt(12.0), 1.5)), 0.1)
    misfit = blurred.misfit(np.array([-300.0, 0.0, 300.0]), Lens(10.0))
    assert misfit[0] == pytest.approx(misfit[2])
    assert misfit[1] > misfit[0] + 1.0


def test_nothing_is_said_where_nothing_is_known(bench, scatter) -> None:
    (a, b), shift = shots(bench, scatter, 2, (200.0, -200.0), 0.0, n=0)
    assert in_focus(a, b, shift, Lens(10.0)) is None
    (a, b), shift = shots(bench, scatter, 2, (200.0, 195.0), 0.0)
    assert in_focus(a, b, shift, Lens(10.0)) is None
    assert in_focus(a, b, (250.0, 0.0), Lens(10.0)) is None


def blurred(bench, scatter, C10_nm, focus_nm, ln_sd, rng):
    """A pair whose particles show the blur that geometry says, with errors of that sd in its logarithm."""
    (a, b), _ = shots(bench, scatter, 0, C10_nm, focus_nm, n=1)
    lens = Lens(10.0)
    blur_nm = [math.hypot(shot.scan.pixel_nm / 12.0**0.5, lens.blur_nm(shot.scan.C10_nm - focus_nm)) for shot in (a, b)]
    return [
        replace(shot, ln_blur=math.log(nm) + rng.normal(0.0, ln_sd), ln_blur_sd=ln_sd)
        for shot, nm in zip((a, b), blur_nm, strict=True)
    ]


def test_blur_alone_tells_focus_and_its_sign(bench, scatter) -> None:
    rng, z, sds = np.random.default_rng(0), [], []
    for focus in np.linspace(-250.0, 250.0, 40):
        estimate = in_focus_by_blur(*blurred(bench, scatter, (400.0, -400.0), focus, 0.15, rng), Lens(10.0))
        if estimate is not None:
            z.append((estimate.value - focus) / estimate.sd)
            sds.append(estimate.sd)
    assert len(z) > 35
    assert np.median(sds) < 180.0
    # It allows for particles that are no balls, which these are: errors are smaller than said.
    assert 0.3 < np.std(z) < 1.1


def test_blur_that_is_not_known_tells_nothing(bench, scatter) -> None:
    rng = np.random.default_rng(0)
    assert in_focus_by_blur(*blurred(bench, scatter, (400.0, -400.0), 0.0, 0.7, rng), Lens(10.0)) is None
    assert in_focus_by_blur(*blurred(bench, scatter, (10.0, 0.0), 0.0, 0.1, rng), Lens(10.0)) is None
