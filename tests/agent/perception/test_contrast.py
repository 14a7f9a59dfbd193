"""Brightness: theory against published numbers, learned from resolved particles, and telling materials apart."""

import math
from dataclasses import replace

import numpy as np
import pytest

from agent.perception.contrast import Brightness, ContrastSettings, haadf_cross_section_nm2, linear
from agent.perception.fit import BLUR_LEAST_PX, Blur
from agent.perception.particles import find_particles
from agent.perception.scan import scan_of


def seen(bench, spheres, seed, brightness, incident=300.0):
    observation = bench.observe(spheres, np.random.default_rng(seed), incident=incident)
    scan = scan_of(observation, bench.capabilities, 1.0)
    found = find_particles(linear(scan), scan.incident, Blur(math.log(BLUR_LEAST_PX), 0.3), brightness.contrast(scan))
    return scan, found, brightness.size(scan, found.blobs)


def test_unscreened_limit_is_rutherford(bench) -> None:
    """Far outside theta_0, sigma = 4 pi (Z gamma / a_H)^2 / k^4 (1/theta_1^2 - 1/theta_2^2), k = 2 pi / lambda."""
    far = bench.capabilities.__class__(
        **{f: getattr(bench.capabilities, f) for f in bench.capabilities.__struct_fields__}
        | {"haadf_inner_mrad": 300.0, "haadf_outer_mrad": 900.0}
    )
    k, gamma = 2.0 * math.pi / 0.00250793, 1.0 + 200.0 / 510.99895
    rutherford = 4.0 * math.pi * (6.0 * gamma / 0.0529177) ** 2 / k**4 * (1 / 0.3**2 - 1 / 0.9**2)
    assert haadf_cross_section_nm2(6.0, far) == pytest.approx(rutherford, rel=0.02)


def test_exponent_of_the_atomic_number(bench) -> None:
    """Between 1.5 and 2 at these angles, as multislice finds (1.64 at 40-100 mrad)."""
    light, heavy = (haadf_cross_section_nm2(z, bench.capabilities) for z in (14.0, 47.0))
    assert 1.5 < math.log(heavy / light) / math.log(47.0 / 14.0) < 2.0


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_brightness_is_learned(bench, scatter, factor) -> None:
    dim = replace(bench, per_nm=bench.per_nm * factor)
    brightness = Brightness(ContrastSettings(), bench.capabilities)
    for seed in range(4):
        spheres = scatter(np.random.default_rng(seed), 25, 460.0, (8.0, 20.0))
        _, found, sized = seen(dim, spheres, seed, brightness)
        brightness.learn(sized, np.ones(found.blobs.count))
    assert math.exp(brightness.mean) == pytest.approx(dim.per_nm, rel=0.04)
    assert brightness.var < 0.02**2


def test_radii_are_honest_with_known_brightness(bench, scatter) -> None:
    z = []
    for seed in range(8):
        spheres = scatter(np.random.default_rng(seed), 25, 460.0, (6.0, 16.0))
        brightness = Brightness(ContrastSettings(spread=0.005), bench.capabilities)
        brightness.mean, brightness.var = math.log(bench.per_nm), 1e-6
        _, found, sized = seen(bench, spheres, seed, brightness, incident=100.0)
        x = (found.blobs.values[:, 1] + 0.5 - 128) * 2.0
        y = (found.blobs.values[:, 0] + 0.5 - 128) * 2.0
        for sx, sy, radius in spheres:
            nearest = int(np.hypot(x - sx, y - sy).argmin())
            if math.hypot(x[nearest] - sx, y[nearest] - sy) < 2.0:
                z.append((sized.radius_nm[nearest] - radius) / sized.radius_sd_nm[nearest])
    assert len(z) > 150
    assert 0.8 < np.std(z) < 1.25
    assert abs(np.mean(z)) < 0.3


def test_another_material_looks_different(bench, scatter) -> None:
    brightness = Brightness(ContrastSettings(), bench.capabilities)
    spheres = scatter(np.random.default_rng(1), 25, 460.0, (10.0, 20.0))
    odds = []
    for per_nm in (bench.per_nm, 0.6 * bench.per_nm):
        _, _, sized = seen(replace(bench, per_nm=per_nm), spheres, 2, brightness)
        odds.append(np.median([brightness.odds(*look) for look in sized.look]))
    assert odds[0] > 0.5
    assert odds[1] < -2.0


def test_an_unknown_look_says_nothing(bench) -> None:
    assert abs(Brightness(ContrastSettings(), bench.capabilities).odds(0.3, 1e6)) < 1e-3


def test_counts_are_made_linear(bench) -> None:
    observation = bench.observe(np.zeros((0, 3)), np.random.default_rng(0), pixels=64)
    scan = scan_of(observation, bench.capabilities, 1.0)
    thick = replace(scan, counts=np.full((64, 64), 1000.0 * -math.expm1(-0.4)))
    assert linear(thick) == pytest.approx(np.full((64, 64), 400.0))
    # More counts than electrons: the dose is not to be trusted, nothing is done.
    assert linear(replace(scan, counts=np.full((64, 64), 2000.0))).max() == 2000.0
