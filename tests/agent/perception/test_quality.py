"""Quality figures and novelty: what they say of good and bad images."""

import math
from dataclasses import replace

import numpy as np
import pytest

from agent.perception.contrast import linear
from agent.perception.fit import BLUR_LEAST_PX, Blur, Contrast
from agent.perception.particles import find_particles
from agent.perception.quality import Novelty, image_quality, saturated_share, sharpness
from agent.perception.scan import scan_of


def looked_at(bench, spheres, seed=0, **how):
    observation = bench.observe(spheres, np.random.default_rng(seed), incident=300.0, **how)
    scan = scan_of(observation, bench.capabilities, 1.0)
    contrast = Contrast(math.log(bench.per_nm * 300.0 * scan.pixel_nm), 0.4)
    return (
        observation,
        scan,
        find_particles(linear(scan), scan.incident, Blur(math.log(2 * BLUR_LEAST_PX), 0.6), contrast),
    )


def test_figures_say_what_went_in(bench, scatter) -> None:
    observation, scan, found = looked_at(bench, scatter(np.random.default_rng(1), 30, 460.0, (5.0, 12.0)))
    quality = image_quality(observation, scan, found)
    assert quality["incident_per_pixel"] == pytest.approx(300.0)
    assert quality["electrons_per_pixel"] == pytest.approx(observation.data.mean())
    assert quality["background_per_incident"] == pytest.approx(bench.background, rel=0.02)
    assert quality["snr"] > 10.0
    assert quality["rows_missing_share"] == 0.0


def test_missing_rows_and_gaps_are_told(bench) -> None:
    observation, scan, found = looked_at(bench, np.zeros((0, 3)))
    rows = observation.row_seen.copy()
    rows[:64] = False
    quality = image_quality(replace(observation, row_seen=rows, gaps=2), scan, found)
    assert quality["rows_missing_share"] == 0.25
    assert quality["gaps"] == 2.0
    assert quality["snr"] == 0.0


def test_sharpness_falls_with_defocus(bench, scatter) -> None:
    spheres = scatter(np.random.default_rng(1), 30, 460.0, (5.0, 12.0))
    values = [sharpness(*looked_at(bench, spheres, disc_nm=disc)[1:]) for disc in (0.0, 3.0, 8.0)]
    assert 0.8 < values[0] <= 1.0
    assert values[0] > values[1] > values[2]


def test_saturation_counts_the_top_of_the_type(bench) -> None:
    observation, _, _ = looked_at(bench, np.zeros((0, 3)))
    data = observation.data.copy()
    assert saturated_share(observation) == 0.0
    data[:128] = 65535
    assert saturated_share(replace(observation, data=data)) == 0.5
    assert saturated_share(replace(observation, data=data.astype(np.float32))) == 0.0
    assert saturated_share(replace(observation, data=None)) == 0.0


def test_novelty_is_large_for_what_is_new(bench, scatter) -> None:
    novelty = Novelty()
    spheres = scatter(np.random.default_rng(1), 30, 460.0, (5.0, 12.0))
    usual = [novelty.of(*looked_at(bench, spheres, seed)[1:]) for seed in range(5)]
    strange = novelty.of(*looked_at(replace(bench, background=0.3), spheres, 9, disc_nm=8.0)[1:])
    assert usual[0] == usual[1] == 0.0
    assert max(usual) < 3.0
    assert strange > 1.5 * max(1.0, *usual)
