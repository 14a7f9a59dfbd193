"""The filter over drift and stage errors: centres found again, sds honest, false matches refused."""

import numpy as np
import pytest

from agent.perception.drift import Drift, DriftSettings
from agent.perception.scan import scan_of


def seen(bench, spheres, rng, at, offset, start_s, **how):
    observation = bench.observe(spheres, rng, at=at, offset=offset, start_s=start_s, pixels=128, **how)
    return scan_of(observation, bench.capabilities, 1.0)


def walk(bench, scatter, seed, places):
    """Visit places in turn while the specimen drifts; returns z-scores of the centres, (n, 2)."""
    rng = np.random.default_rng(seed)
    spheres = scatter(rng, 60, 900.0, (4.0, 14.0))
    drift, scores = Drift(DriftSettings(stage_sd_nm=10.0)), []
    start = rng.normal(0.0, 5.0, 2)
    speed = rng.normal(0.0, 0.1, 2)
    error, last = np.zeros(2), None
    for i in range(12):
        at = places[i % len(places)]
        if last is not None and at != last:
            error = rng.normal(0.0, 10.0, 2)
        last = at
        true = start + speed * 4.0 * i + error
        scan = seen(bench, spheres, rng, at, tuple(true), 4.0 * i, incident=60.0)
        drift.advance(scan.mid_s, scan.stage_nm, 5.0)
        placed = drift.register(scan)
        scores.append(
            [
                (placed.offset_x_nm.value - true[0]) / placed.offset_x_nm.sd,
                (placed.offset_y_nm.value - true[1]) / placed.offset_y_nm.sd,
            ]
        )
    return np.array(scores), placed


@pytest.mark.parametrize("places", [[(0.0, 0.0)], [(0.0, 0.0), (150.0, 0.0), (0.0, 150.0)]])
def test_sds_are_honest(bench, scatter, places) -> None:
    z = np.concatenate([walk(bench, scatter, seed, places)[0] for seed in range(8)])
    assert 0.6 < z.std() < 1.3


def test_one_place_is_followed_closely(bench, scatter) -> None:
    z, placed = walk(bench, scatter, 0, [(0.0, 0.0)])
    assert placed.matched == 1
    # What stays unknown is where the first image was.
    assert placed.offset_x_nm.sd == pytest.approx(5.8, abs=0.9)
    assert np.ptp(z[:, 0]) < 1.0


def test_a_jump_that_cannot_be_is_not_believed(bench, scatter) -> None:
    rng = np.random.default_rng(2)
    spheres = scatter(rng, 60, 900.0, (4.0, 14.0))
    drift = Drift(DriftSettings())
    for i, offset in enumerate(((0.0, 0.0), (60.0, 0.0))):
        scan = seen(bench, spheres, rng, (0.0, 0.0), offset, 4.0 * i, incident=100.0)
        drift.advance(scan.mid_s, scan.stage_nm, 1.0)
        placed = drift.register(scan)
    assert placed.matched == 0
    assert abs(placed.offset_x_nm.value) < 5.0


def test_without_images_doubt_grows() -> None:
    drift = Drift(DriftSettings())
    drift.advance(0.0, (0.0, 0.0, 0.0), 3.0)
    before = drift.place((0.0, 0.0)).offset_x_nm.sd
    drift.advance(60.0, (500.0, 0.0, 0.0), 3.0)
    assert before == pytest.approx(3.0)
    assert drift.place((7.0, 0.0)).centre_nm == (7.0, 0.0)
    assert drift.place((0.0, 0.0)).offset_x_nm.sd > np.hypot(3.0, 10.0)


def test_pixels_of_other_sizes_are_matched(bench, scatter) -> None:
    rng = np.random.default_rng(4)
    spheres = scatter(rng, 80, 900.0, (4.0, 14.0))
    drift = Drift(DriftSettings())
    first = seen(bench, spheres, rng, (0.0, 0.0), (0.0, 0.0), 0.0, incident=200.0, fov_nm=512.0)
    second = seen(bench, spheres, rng, (40.0, -30.0), (6.0, 3.0), 4.0, incident=200.0, fov_nm=320.0)
    for scan in (first, second):
        drift.advance(scan.mid_s, scan.stage_nm, 1.0)
        placed = drift.register(scan)
    assert placed.matched == 1
    assert (placed.offset_x_nm.value, placed.offset_y_nm.value) == pytest.approx((6.0, 3.0), abs=2.5)
    assert placed.offset_x_nm.sd < 2.0


def test_anchors_are_bounded(bench, scatter) -> None:
    rng = np.random.default_rng(5)
    drift = Drift(DriftSettings(anchors=3))
    for i in range(6):
        scan = seen(bench, np.zeros((0, 3)), rng, (600.0 * i, 0.0), (0.0, 0.0), 4.0 * i)
        drift.advance(scan.mid_s, scan.stage_nm, 1.0)
        placed = drift.register(scan)
    assert placed.matched == 0
    assert len(drift._anchors) == 3
