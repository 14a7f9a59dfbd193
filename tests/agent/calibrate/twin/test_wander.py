"""Wandering tracks made by the exact recursion of an Ornstein-Uhlenbeck process: spread, time and decay come back."""

import numpy as np
import pytest

from agent.calibrate.twin.wander import DECAY, RATE, TIME, Track, fit


def wandering(random, time_s, sd, tau_s):
    value = np.zeros(len(time_s))
    value[0] = sd * random.standard_normal()
    for n in range(1, len(time_s)):
        kept = np.exp(-(time_s[n] - time_s[n - 1]) / tau_s)
        value[n] = kept * value[n - 1] + sd * np.sqrt(1 - kept**2) * random.standard_normal()
    return value


def track(seed, span_s, points, sd=6.0, tau_s=60.0, decay_nm=(0.0, 0.0), decay_s=150.0):
    random = np.random.default_rng(seed)
    time_s = np.sort(random.uniform(0.0, span_s, points))
    axes = [wandering(random, time_s, sd, tau_s) for _ in range(2)]
    away = 1 - np.exp(-(time_s - time_s[0]) / decay_s)
    value = np.stack([each + size * away for each, size in zip(axes, decay_nm, strict=True)], axis=1)
    return Track(time_s, value + random.normal(0.0, 0.1, value.shape), np.full(points, 0.1))


def test_spread_and_time_come_back_within_their_errors():
    z = []
    for seed in range(4):
        found = fit(track(seed, 1200.0, 120), True)
        z.append(
            [
                (found.ln_spread[0] - np.log(6.0)) / found.ln_spread[1],
                (found.mean_ln[TIME] - np.log(60.0)) / found.sd_ln[TIME],
                (found.mean_ln[RATE] - np.log(0.6)) / found.sd_ln[RATE],
            ]
        )
    assert np.abs(z).max() < 3.0
    assert np.abs(np.mean(z, axis=0)).max() < 1.0


def test_a_strong_decay_stands_out_and_comes_back():
    for seed in range(2):
        found = fit(track(seed, 900.0, 100, sd=2.0, decay_nm=(40.0, -25.0)), True)
        assert found.evidence > 10.0
        assert np.abs((found.amplitude - [40.0, -25.0]) / found.amplitude_sd).max() < 3.0
        assert abs(found.mean_ln[DECAY] - np.log(150.0)) < 3.0 * found.sd_ln[DECAY]


def test_no_decay_stands_out_where_there_is_none():
    assert max(fit(track(seed, 900.0, 80), True).evidence for seed in range(3)) < 3.0


def test_a_short_track_tells_the_rate_alone():
    found = fit(track(1, 20.0, 60), False)
    assert found.sd_ln[RATE] < 0.4
    assert abs(found.mean_ln[RATE] - np.log(0.6)) < 3.0 * found.sd_ln[RATE]
    # Its time is not bounded: much of the posterior lies above a third of the track.
    assert found.too_long > 0.5


def test_likelihood_is_that_of_the_process():
    # One axis without decay against the textbook's multivariate normal with a flat mean.
    from agent.calibrate.twin.wander import _likelihood

    t = track(2, 100.0, 12)
    one = Track(t.time_s, t.value[:, :1], t.sd)
    rate, tau_s, scatter = 0.5, 40.0, 0.05
    cov = rate * tau_s * np.exp(-np.abs(t.time_s[:, None] - t.time_s) / tau_s) + np.eye(12) * (0.1**2 + scatter**2)
    inverse, ones = np.linalg.inv(cov), np.ones(12)
    y = one.value[:, 0]
    middle = (ones @ inverse @ y) / (ones @ inverse @ ones)
    expected = -0.5 * (
        (y - middle) @ inverse @ (y - middle) + np.linalg.slogdet(cov)[1] + np.log(ones @ inverse @ ones)
    )
    found = _likelihood(one, np.array([[rate], [tau_s], [scatter], [1.0]]), False)[0]
    assert found[0] == pytest.approx(expected, rel=1e-9)


def test_too_few_points_tell_nothing():
    assert fit(track(0, 100.0, 7), True) is None
