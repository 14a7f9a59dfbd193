"""The beam current: from a known share, and its fall from the brightness of repeats."""

from dataclasses import replace

import numpy as np
import pytest

from agent.calibrate.twin.current import parameters
from agent.calibrate.twin.evidence import of_files
from agent.calibrate.twin.wander import Track
from hardware_bridge.cost import ELECTRONS_PER_PA_S


def images(make_file, current_pA, per_h=0.0, n=40, gain=4.0, dwell_s=1e-5, every_s=60.0):
    random = np.random.default_rng(5)
    left = (1.0 - per_h) ** (every_s * np.arange(n) / 3600.0)
    electrons = 0.5 * current_pA * dwell_s * ELECTRONS_PER_PA_S * left
    counts = gain * random.poisson(electrons[:, None, None], (n, 64, 64)) + 100.0
    facts = {"dwell_s": dwell_s, "every_s": every_s}
    return of_files([make_file(counts, 1.0, facts)], [], {}).images


def still(frames):
    """The track of a specimen that does not move."""
    time_s = np.array([frame.mid_s for frame in frames])
    return Track(time_s, np.zeros((len(frames), 2)), np.full(len(frames), 0.01))


def test_a_current_comes_back_by_its_share(make_file):
    frames = images(make_file, 60.0)
    strength, fall = parameters(still(frames), frames, (4.0, 0.01), 100.0, 0.5)
    assert abs(strength.z(60.0)) < 3.0
    assert strength.sd < 0.3
    assert "no fall stands out" in fall.note


def test_a_fall_comes_back(make_file):
    z = []
    for per_h in (0.05, 0.2):
        frames = images(make_file, 60.0, per_h)
        told = parameters(still(frames), frames, None, 100.0, None)[1]
        z.append(told.z(-np.log1p(-per_h)))
    assert np.abs(z).max() < 3.0


def test_what_is_missing_is_told(make_file):
    frames = images(make_file, 60.0, n=3)
    strength, fall = parameters(still(frames), frames, None, 100.0, 0.5)
    assert "needs the gain" in strength.note
    assert "3 registered images of one place and focus, at least 8" in fall.note
    assert "--share" in parameters(still(frames), frames, None, 100.0, None)[0].note
    assert parameters(still(frames), frames, (4.0, 0.1), 100.0, 0.5)[0].value == pytest.approx(60.0, rel=0.02)


def test_a_specimen_that_drifts_does_not_look_like_a_current_that_falls(make_file):
    # A slope of brightness along x that drifts to the right by half a pixel an image.
    x = np.arange(128.0)
    counts = np.stack([np.tile(1000.0 + 8.0 * (x - 0.5 * n), (128, 1)) for n in range(40)])
    frames = of_files([make_file(counts, 2.0, {"dwell_s": 1e-6, "every_s": 60.0})], [], {}).images
    moved = replace(still(frames), value=np.stack([1.0 * np.arange(40), np.zeros(40)], axis=1))
    assert "no fall stands out" in parameters(moved, frames, None, 0.0, None)[1].note
    assert parameters(still(frames), frames, None, 0.0, None)[1].is_identifiable
