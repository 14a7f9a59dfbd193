"""Drift against the closed forms of its processes; the stage against what it is told."""

import math

import numpy as np
import pytest

from digital_twin.drift import Drift, Stage, Wander


def test_wander_is_an_ornstein_uhlenbeck_process():
    # Ensemble of 3000 independent processes: sd, and correlation exp(-lag / tau).
    sd, tau_s = 4.0, 50.0
    lags = np.array([0.0, 0.5, 1.0, 2.0]) * tau_s
    values = np.array([Wander(sd, tau_s, np.random.default_rng([9, n])).at(100.0 + lags) for n in range(3000)])
    assert values[:, 0].std() == pytest.approx(sd, rel=0.05)
    correlation = (values[:, :1] * values).mean(axis=0) / (values[:, 0] ** 2).mean()
    assert correlation == pytest.approx(np.exp(-lags / tau_s), abs=0.05)


def test_drift_is_the_same_whenever_it_is_asked_for():
    one, other = Drift(5), Drift(5)
    times = np.array([300.0, 1.0, 30.0])
    together = one.specimen_nm(times)
    for t, place in zip(times, together, strict=True):
        assert np.array_equal(other.specimen_nm(np.array([t]))[0], place)
    assert one.C10_nm(77.0) == other.C10_nm(77.0)


def test_drift_begins_at_zero_and_differs_between_seeds():
    assert Drift(1).specimen_nm(np.array([0.0]))[0] == pytest.approx([0.0, 0.0])
    assert Drift(1).C10_nm(0.0) == 0.0
    assert not np.allclose(Drift(1).specimen_nm(np.array([60.0])), Drift(2).specimen_nm(np.array([60.0])))


def test_decaying_drift_has_its_time_constant():
    # Over many seeds the random part cancels and the mean square of the decaying part is what it should be.
    moved = np.array([Drift(seed).specimen_nm(np.array([1e4]))[0] for seed in range(400)])
    # Decayed part 25 nm, a difference of two independent wanders 6 sqrt(2) nm, jitter 0.15 sqrt(2) nm.
    assert moved.std() == pytest.approx(math.sqrt(25.0**2 + 2 * 6.0**2), rel=0.1)


def test_stage_has_backlash_that_approaching_from_the_negative_side_takes_away():
    stage = Stage()
    late = np.array([1e3])
    stage.move(np.array([100.0, 100.0]), 0.0, from_negative=False)
    assert stage.error_nm(late)[0] == pytest.approx([0.0, 0.0])
    stage.move(np.array([50.0, 150.0]), 0.0, from_negative=False)
    assert stage.error_nm(late)[0] == pytest.approx([12.0, 0.0])
    stage.move(np.array([50.0, 120.0]), 0.0, from_negative=False)
    assert stage.error_nm(late)[0] == pytest.approx([12.0, 12.0])
    stage.move(np.array([0.0, 0.0]), 0.0, from_negative=True)
    assert stage.error_nm(late)[0] == pytest.approx([0.0, 0.0])


def test_stage_creeps_to_its_place():
    stage = Stage()
    stage.move(np.array([200.0, 0.0]), 10.0, from_negative=False)
    first, later = stage.error_nm(np.array([10.0, 10.0 + Stage.CREEP_S]))[:, 0]
    assert first == pytest.approx(-Stage.CREEP_SHARE * 200.0)
    assert later == pytest.approx(first * math.exp(-1))


def test_creep_of_a_long_move_is_bounded():
    stage = Stage()
    stage.move(np.array([-1e6, 0.0]), 0.0, from_negative=True)
    assert stage.error_nm(np.array([0.0]))[0, 0] == pytest.approx(Stage.CREEP_MAX_NM)


def test_a_move_to_the_same_place_changes_nothing():
    stage = Stage()
    stage.move(np.array([200.0, 0.0]), 10.0, from_negative=False)
    before = stage.error_nm(np.array([12.0]))
    stage.move(np.array([200.0, 0.0]), 11.0, from_negative=False)
    assert np.array_equal(stage.error_nm(np.array([12.0])), before)
