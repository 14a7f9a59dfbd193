"""Drift against the closed forms of its processes; the stage against what it is told."""

import math

import msgspec
import numpy as np
import pytest

from digital_twin.conditions import STILL, Conditions
from digital_twin.drift import DEFAULT, MOST_TABLES, Drift, Stage, Wander
from digital_twin.optics import Aberrations, chi_coefficients_nm


def test_wander_is_an_ornstein_uhlenbeck_process():
    # Ensemble of 3000 independent processes: sd, and correlation exp(-lag / tau).
    sd, tau_s = 4.0, 50.0
    lags = np.array([0.0, 0.5, 1.0, 2.0]) * tau_s
    values = np.array([Wander(sd, tau_s, np.random.default_rng([9, n])).at(100.0 + lags) for n in range(3000)])
    assert values[:, 0].std() == pytest.approx(sd, rel=0.05)
    correlation = (values[:, :1] * values).mean(axis=0) / (values[:, 0] ** 2).mean()
    assert correlation == pytest.approx(np.exp(-lags / tau_s), abs=0.05)


def test_no_seed_shakes_more_within_a_frame_than_others_do():
    # Mutation: all waves of one amplitude, frequencies drawn from the whole spectrum: 16 times the median.
    frame_s = np.linspace(500.0, 502.0, 65)

    def bend(seed: int) -> float:
        values = Wander(1.0, 100.0, np.random.default_rng([3, seed])).at(frame_s)
        return float(np.abs(values - np.polyval(np.polyfit(frame_s, values, 1), frame_s)).max())

    bends = [bend(seed) for seed in range(200)]
    assert max(bends) < 3.0 * np.median(bends)


def test_drift_is_the_same_whenever_it_is_asked_for():
    one, other = Drift(5), Drift(5)
    times = np.array([300.0, 1.0, 30.0])
    together = one.specimen_nm(times)
    for t, place in zip(times, together, strict=True):
        assert np.array_equal(other.specimen_nm(np.array([t]))[0], place)
    assert one.C10_nm(77.0) == other.C10_nm(77.0)


def test_rows_of_a_scan_drift_as_at_their_times():
    drift = Drift(5, Conditions(mains_nm=0.3))
    for start_s, step_s, rows in ((300.0, 3.2e-4, 64), (77.0, 0.0, 8), (300.0, 2e-3, 4), (500.0, 3.2e-4, 64)):
        times_s = start_s + step_s * np.arange(rows)
        assert drift.rows_nm(start_s, step_s, rows) == pytest.approx(drift.specimen_nm(times_s), abs=1e-9)


def test_few_tables_are_kept():
    wander = Wander(1.0, 10.0, np.random.default_rng(1))
    for n in range(10):
        wander.even(np.zeros(1), (1e-3 * n, 4))
    assert len(wander._tables) == MOST_TABLES


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
    stage = Stage(DEFAULT, (12.0, 12.0))
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
    stage = Stage(DEFAULT, (12.0, 12.0))
    stage.move(np.array([200.0, 0.0]), 10.0, from_negative=False)
    first, later = stage.error_nm(np.array([10.0, 10.0 + DEFAULT.creep_s]))[:, 0]
    assert first == pytest.approx(-DEFAULT.creep_share * 200.0)
    assert later == pytest.approx(first * math.exp(-1))


def test_creep_of_a_long_move_is_bounded():
    stage = Stage(DEFAULT, (12.0, 12.0))
    stage.move(np.array([-1e6, 0.0]), 0.0, from_negative=True)
    assert stage.error_nm(np.array([0.0]))[0, 0] == pytest.approx(DEFAULT.creep_nm)


def test_a_move_to_the_same_place_changes_nothing():
    stage = Stage(DEFAULT, (12.0, 12.0))
    stage.move(np.array([200.0, 0.0]), 10.0, from_negative=False)
    before = stage.error_nm(np.array([12.0]))
    stage.move(np.array([200.0, 0.0]), 11.0, from_negative=False)
    assert np.array_equal(stage.error_nm(np.array([12.0])), before)


def test_everything_that_moves_by_itself_can_be_switched_off():
    drift, stage, late = Drift(3, STILL), Stage(STILL, (0.0, 0.0)), np.array([0.0, 7.0, 500.0])
    set_to = Aberrations(C12_nm=4.0, phi12_rad=0.4, C21_nm=40.0, phi21_rad=1.1, C30_um=1200.0)
    assert not drift.specimen_nm(late).any()
    assert drift.C10_nm(500.0) == 0.0
    assert drift.aberrations(set_to, 500.0) == set_to
    assert not drift.zero_loss_eV(late).any()
    assert drift.current(7200.0) == 1.0
    stage.move(np.array([-100.0, 50.0]), 0.0, from_negative=False)
    assert not stage.error_nm(late).any()


def test_aberrations_wander_by_as_much_as_is_said():
    conditions = Conditions(C12_wander_nm=2.0, C21_wander_nm=20.0, C23_wander_nm=10.0, C30_wander_um=3.0)
    set_to = Aberrations(C12_nm=4.0, phi12_rad=0.4, C21_nm=40.0, phi21_rad=1.1, C23_nm=40.0, phi23_rad=-0.5)
    start = chi_coefficients_nm(set_to)
    moved = np.array([chi_coefficients_nm(Drift(n, conditions).aberrations(set_to, 1e5)) - start for n in range(400)])
    # The difference of two values of a wander that have nothing to do with each other.
    expected = math.sqrt(2) * np.array([0.0, 2.0, 2.0, 20.0, 20.0, 10.0, 10.0, 3000.0])
    assert moved.std(axis=0) == pytest.approx(expected, rel=0.12)
    assert moved.mean(axis=0) == pytest.approx(np.zeros(8), abs=0.25 * expected.max())


def test_the_current_falls_by_its_share_an_hour():
    drift = Drift(1, Conditions(current_decay_per_h=0.05))
    assert drift.current(0.0) == 1.0
    assert drift.current(3600.0) == pytest.approx(math.exp(-0.05))


def test_the_mains_shake_at_their_frequency():
    drift = Drift(2, msgspec.structs.replace(STILL, mains_nm=1.0))
    times = np.arange(200) / 1000.0
    spectrum = np.abs(np.fft.rfft(drift.specimen_nm(times) - drift.specimen_nm(times).mean(axis=0), axis=0)) ** 2
    assert np.argmax(spectrum.sum(axis=1)) == round(50.0 * 0.2)


def test_the_zero_loss_wanders_from_zero_by_as_much_as_is_said():
    conditions = Conditions(zero_loss_wander_eV=0.5, zero_loss_s=60.0)
    moved = np.stack([Drift(seed, conditions).zero_loss_eV(np.array([0.0, 6.0, 6000.0])) for seed in range(400)])
    assert (moved[:, 0] == 0).all()
    # The difference of two values: after a tenth of the time constant, and after a hundred of them.
    expected = 0.5 * np.sqrt(2 * (1 - np.exp([-0.1, -100.0])))
    assert moved[:, 1:].std(axis=0) == pytest.approx(expected, rel=0.12)
