"""Scans of one place that drift by known amounts: the track, and what is said of it."""

import numpy as np
import pytest

from agent.calibrate.twin.track import Drifted, follow, parameters, positions
from agent.calibrate.twin.wander import Track, fit
from agent.perception.scan import Scan

PIXEL_NM = 2.0


@pytest.fixture(scope="module")
def scans(scene):
    """Images whose content moves to (x, y) nm; every second one is taken with the beam shifted by ``beam_nm``."""

    def make(at_nm, beam_nm=(0.0, 0.0)):
        random = np.random.default_rng(3)
        made = []
        for n, (x, y) in enumerate(at_nm):
            shift = np.array(beam_nm) * (n % 2)
            seen = scene((y - shift[1]) / PIXEL_NM, (x - shift[0]) / PIXEL_NM)
            counts = random.poisson(seen).astype(float)
            times = 10.0 * n, 10.0 * n + 1.0
            rows = np.ones(len(counts), dtype=bool)
            made.append(Scan(counts, rows, PIXEL_NM, 1e3, 0.0, (shift[0], shift[1]), (0.0, 0.0, 0.0), 0.0, *times))
        return made

    return make


def test_the_track_is_that_of_the_content_within_its_errors(scans):
    at = np.cumsum(np.random.default_rng(0).normal(0.0, 2.0, (20, 2)), axis=0)
    found = positions(scans(at))
    z = (found.value - (at - at[0]))[1:] / found.sd[1:, None]
    assert found.time_s == pytest.approx(10.0 * np.arange(20) + 0.5)
    assert np.abs(z - z.mean(axis=0)).max() < 4.0


def test_a_beam_shift_is_not_taken_for_drift(scans):
    at = np.zeros((6, 2))
    found = positions(scans(at, beam_nm=(12.0, -8.0)))
    assert np.abs(found.value).max() < 0.5


def test_too_few_images_are_told(scans):
    told = parameters(follow(scans(np.zeros((5, 2)))))
    assert not any(each.is_identifiable for each in told)
    assert told[0].note.startswith("5 images of one place")
    assert follow([]) == "0 images of one place with known times and pixel size, at least 16 are needed"


def test_a_decaying_drift_is_told_as_one(scans):
    since = 10.0 * np.arange(30)
    at = np.outer(1 - np.exp(-since / 80.0), [30.0, -18.0])
    told = {each.name: each for each in parameters(follow(scans(at)))}
    assert told["decay_s"].value == pytest.approx(80.0, rel=0.1)
    assert told["decay_nm"].value == pytest.approx(np.hypot(30.0, 18.0) / np.sqrt(2), rel=0.05)


def test_a_wander_that_is_slow_against_the_track_tells_its_rate_alone():
    random = np.random.default_rng(1)
    walk = np.cumsum(random.normal(0.0, 1.0, (40, 2)), axis=0)
    track = Track(np.arange(40.0), walk, np.full(40, 0.05))
    fitted = fit(track, True)
    told = {each.name: each for each in parameters(Drifted(track, fitted))}
    assert not told["wander_s"].is_identifiable
    assert "only sd^2 / time" in told["wander_nm"].note
