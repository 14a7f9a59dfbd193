"""Which images are paired: the same place, another C10, each only once."""

import math

import numpy as np
import pytest

from agent.perception.focus import Lens, Shot
from agent.perception.pairs import FocusMemory
from agent.perception.scan import scan_of

LENS = Lens(10.0)


def shot(bench, spheres, seed, C10_nm, start_s, at=(0.0, 0.0), focus_nm=60.0):
    observation = bench.observe(
        spheres,
        np.random.default_rng(seed),
        at=at,
        C10_nm=C10_nm,
        disc_nm=0.01 * abs(C10_nm - focus_nm),
        incident=300.0,
        start_s=start_s,
    )
    return Shot(scan_of(observation, bench.capabilities, 1.0), 0.0, 50.0)


@pytest.fixture
def spheres(scatter):
    return scatter(np.random.default_rng(0), 80, 800.0, (4.0, 14.0))


def test_error_is_what_to_add_to_C10(bench, spheres) -> None:
    memory = FocusMemory(10.0)
    assert memory.learn(shot(bench, spheres, 1, 200.0, 0.0), (0.0, 0.0), LENS) is None
    error = memory.learn(shot(bench, spheres, 2, -200.0, 4.0), (0.0, 0.0), LENS)
    assert error.value == pytest.approx(260.0, abs=5 * error.sd)
    off, doubt = memory.expect(shot(bench, spheres, 3, 100.0, 8.0).scan, (0.0, 0.0))
    assert off == pytest.approx(40.0, abs=40.0)
    assert doubt < 60.0


def test_an_image_serves_one_estimate(bench, spheres) -> None:
    memory = FocusMemory(10.0)
    given = [
        memory.learn(shot(bench, spheres, i, C10, 4.0 * i), (0.0, 0.0), LENS) is not None
        for i, C10 in enumerate((200.0, -200.0, 0.0, 200.0))
    ]
    assert given == [False, True, True, False] or given == [False, True, False, True]


@pytest.mark.parametrize(("at", "start_s"), [((250.0, 0.0), 4.0), ((0.0, 0.0), 200.0)])
def test_other_places_and_old_images_are_not_paired(bench, spheres, at, start_s) -> None:
    memory = FocusMemory(10.0)
    memory.learn(shot(bench, spheres, 1, 200.0, 0.0), (0.0, 0.0), LENS)
    assert memory.learn(shot(bench, spheres, 2, -200.0, start_s, at), at, LENS) is None


def test_far_away_focus_is_unknown(bench, spheres) -> None:
    memory = FocusMemory(10.0)
    memory.learn(shot(bench, spheres, 1, 200.0, 0.0), (0.0, 0.0), LENS)
    memory.learn(shot(bench, spheres, 2, -200.0, 4.0), (0.0, 0.0), LENS)
    near, far = (memory.expect(shot(bench, spheres, 3, 0.0, 8.0).scan, (x, 0.0))[1] for x in (0.0, 2000.0))
    assert near < 0.2 * far
    assert math.isfinite(far)
