"""The analyst as a whole: deterministic, honest on a run, and calm on bad data."""

import math
from dataclasses import replace

import numpy as np
import pytest

from agent.perception.analyst import Analyst
from hardware_bridge.messages import Command
from hardware_bridge.words import validated


def run(bench, scatter, seed=1, turns=8):
    """Observations of three overlapping places under drift, with where each was and what it showed; all grows."""
    rng = np.random.default_rng(seed)
    spheres = scatter(rng, 90, 900.0, (4.0, 15.0))
    made = []
    for i in range(turns):
        at = ((0.0, 0.0), (120.0, 0.0), (0.0, 120.0))[i % 3]
        offset = (0.15 * 4.0 * i, -0.1 * 4.0 * i)
        C10_nm = (200.0, -200.0)[i % 2]
        grown = np.column_stack([spheres[:, :2], np.sqrt(spheres[:, 2] ** 2 + 1.5 * 4.0 * i)])
        observation = bench.observe(
            grown,
            rng,
            at=at,
            offset=offset,
            incident=300.0,
            C10_nm=C10_nm,
            disc_nm=0.01 * abs(C10_nm - 60.0),
            start_s=4.0 * i,
            name=f"c{i}",
        )
        made.append((observation, (at[0] + offset[0], at[1] + offset[1]), grown))
    return made


def test_a_run_is_perceived(bench, scatter) -> None:
    made = run(bench, scatter)
    analyst = Analyst(bench.capabilities)
    for observation, centre, _ in made:
        percept = validated(analyst(observation))
        sd = math.hypot(percept.estimates["drift_x_nm"].sd, percept.estimates["drift_y_nm"].sd)
        assert math.dist((percept.x_nm, percept.y_nm), centre) < 4.0 * sd
        assert percept.quality["drift_in_frame_nm"] >= 0.0
    inside = (np.abs(made[-1][2][:, :2] - centre) < 248.0).all(axis=1)
    assert len(percept.particles) >= 0.9 * inside.sum()
    assert np.mean([p.real > 0.5 for p in percept.particles]) > 0.9
    drift = percept.estimates["drift_x_nm"]
    # The specimen appears to have moved against the direction in which the field has.
    assert drift.value == pytest.approx(-0.15 * 4.0 * 7, abs=5 * drift.sd)


def test_the_same_observations_give_the_same_percepts(bench, scatter) -> None:
    made = run(bench, scatter, turns=4)
    first, second = Analyst(bench.capabilities), Analyst(bench.capabilities)
    assert [first(o) for o, _, _ in made] == [second(o) for o, _, _ in made]


def test_tracks_live_through_the_run(bench, scatter) -> None:
    made = run(bench, scatter)
    analyst = Analyst(bench.capabilities)
    percepts = [analyst(o) for o, _, _ in made]
    first = {p.track for p in percepts[0].particles}
    again = {p.track for p in percepts[6].particles}
    assert len(first & again) > 0.85 * len(first)


def test_radii_on_a_run_are_honest(bench, scatter) -> None:
    made = run(bench, scatter, seed=3)
    analyst = Analyst(bench.capabilities)
    z = []
    for observation, centre, spheres in made:
        percept = analyst(observation)
        for p in percept.particles:
            x, y = p.x_nm - percept.x_nm + centre[0], p.y_nm - percept.y_nm + centre[1]
            nearest = int(np.hypot(spheres[:, 0] - x, spheres[:, 1] - y).argmin())
            if math.dist((x, y), spheres[nearest, :2]) < 2.0:
                z.append((p.radius_nm - spheres[nearest, 2]) / p.radius_sd_nm)
    assert len(z) > 100
    assert 0.7 < 1.4826 * np.median(np.abs(z - np.median(z))) < 1.4


def test_debris_is_told_by_its_brightness(bench, scatter) -> None:
    rng = np.random.default_rng(5)
    copper, beads = np.array([[-100.0, 0.0, 14.0]]), np.array([[100.0, 0.0, 14.0]])
    analyst = Analyst(bench.capabilities)
    for i in range(3):
        bright = bench.rate(copper, (0.0, 0.0), 256, 2.0) - bench.background
        dim = 0.6 * (bench.rate(beads, (0.0, 0.0), 256, 2.0) - bench.background)
        observation = bench.observe(copper, rng, incident=300.0, start_s=2.0 * i)
        counts = rng.poisson(-300.0 * np.expm1(-(bench.background + bright + dim))).astype(np.uint16)
        percept = analyst(replace(observation, data=counts))
    real = {round(p.x_nm / 100.0): p.real for p in percept.particles}
    assert real[-1] > 0.8
    assert real[1] < 0.2


@pytest.mark.parametrize("kind", ["blank", "saturated", "nan", "shape", "rows", "none", "no_acquire", "tiny", "volume"])
def test_bad_data_give_a_percept_that_says_so(bench, scatter, kind) -> None:
    made = run(bench, scatter, turns=2)
    analyst = Analyst(bench.capabilities)
    analyst(made[0][0])
    good = made[1][0]
    bad = {
        "blank": replace(good, data=np.zeros_like(good.data)),
        "saturated": replace(good, data=np.full_like(good.data, 65535)),
        "nan": replace(good, data=np.full(good.data.shape, np.nan, dtype=np.float32)),
        "shape": replace(good, data=good.data[:, :, None]),
        "rows": replace(good, row_seen=np.zeros_like(good.row_seen)),
        "none": replace(good, data=None, kind=None, row_seen=np.zeros(0, dtype=bool), row_start_s=np.zeros(0)),
        "no_acquire": replace(good, command=Command(id="move"), data=None, kind=None, row_seen=np.zeros(0, dtype=bool)),
        "tiny": replace(good, data=good.data[:4, :4], row_seen=good.row_seen[:4]),
        "volume": replace(good, kind="spectrum"),
    }[kind]
    percept = validated(analyst(bad))
    assert percept.particles == ()
    assert "defocus_error_nm" not in percept.estimates
    if kind == "saturated":
        assert percept.quality["saturated_share"] == 1.0
    elif kind not in ("blank", "no_acquire"):
        assert percept.quality["usable"] == 0.0
    # And the next good image is perceived as if nothing had happened.
    assert analyst(replace(made[1][0], start_s=9.0, end_s=12.0)).particles
