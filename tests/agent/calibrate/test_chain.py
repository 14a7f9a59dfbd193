"""Steps explained by causes: right on average, and as wrong as it says, whatever drifts meanwhile."""

import numpy as np
import pytest

from agent.calibrate.chain import explain

STRIDES = np.array([1, 1, -1, -1] * 6)


def chain(random, walk, jitter, reading=0.05):
    """Readings of two components while one cause goes there and back; its effect is (2, -1)."""
    cause = np.concatenate([[0.0], np.cumsum(STRIDES)])
    mid_s = 10.0 * np.arange(cause.size) + random.uniform(0, 4, cause.size)
    wander = np.cumsum(
        walk * np.sqrt(np.diff(mid_s, prepend=0.0))[:, None] * random.normal(size=(cause.size, 2)), axis=0
    )
    at = cause[:, None] * [2.0, -1.0] + wander + 0.01 * mid_s[:, None] + jitter * random.normal(size=(cause.size, 2))
    steps = np.diff(at, axis=0) + reading * random.normal(size=(STRIDES.size, 2))
    return cause[:, None], mid_s, steps, np.full(steps.shape, reading)


@pytest.mark.parametrize(("walk", "jitter"), [(0.0, 0.0), (0.1, 0.0), (0.0, 0.5), (0.05, 0.2)])
def test_errors_are_honest(walk, jitter):
    z = []
    for seed in range(20):
        found = explain(*chain(np.random.default_rng(seed), walk, jitter))
        z.append((found.effects[0] - [2.0, -1.0]) / np.sqrt(found.covariance[:, 0, 0]))
    assert np.std(z) == pytest.approx(1.0, abs=0.25)
    assert abs(np.mean(z)) < 0.45


def test_it_tells_walk_from_jitter():
    walked = explain(*chain(np.random.default_rng(1), 0.3, 0.0))
    jittered = explain(*chain(np.random.default_rng(1), 0.0, 1.0))
    assert walked.walk_per_sqrt_s == pytest.approx(0.3, rel=0.3)
    assert jittered.jitter == pytest.approx(1.0, rel=0.4)
    assert walked.jitter < jittered.jitter


def test_too_few_steps_are_refused():
    causes, mid_s, steps, sd = chain(np.random.default_rng(0), 0.1, 0.0)
    with pytest.raises(ValueError, match="3 steps do not tell 2 unknowns apart"):
        explain(causes[:4], mid_s[:4], steps[:3], sd[:3])
