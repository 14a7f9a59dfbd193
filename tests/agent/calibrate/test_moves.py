"""Where the specimen cannot tell, nothing is claimed: the step, how good the match was, and what to do are told."""

import numpy as np
import pytest
from msgspec.structs import replace

from agent.calibrate.bench import Bench, Look, NotCalibrated
from agent.calibrate.moves import _strides, images_needed, measure_moves
from hardware_bridge.messages import Range

LOOK = Look(fov_nm=512.0, pixels=128, dwell_s=2e-6)


def narrowed(bench: Bench, **ranges: Range) -> Bench:
    return Bench(bench.microscope, replace(bench.limits, ranges={**bench.limits.ranges, **ranges}))


def test_an_empty_specimen_is_refused_with_what_to_do(bench_on):
    with pytest.raises(NotCalibrated, match=r"stage x, first step.*at least 6\.5 is needed.*shows too little here"):
        measure_moves(bench_on(None), LOOK, 10.0, 1)


def test_a_lattice_is_ambiguous(bench_on):
    with pytest.raises(NotCalibrated, match=r"stage x, first step.* 1\.[0-9] times the next best.*repeats itself"):
        measure_moves(bench_on(40.0), LOOK, 10.0, 1)


def test_limits_without_room_are_told_with_their_values(bench):
    with pytest.raises(NotCalibrated, match=r"stage y: limits\.ranges\.stage_y_nm = 0\.\.20 leaves steps of"):
        measure_moves(narrowed(bench, stage_y_nm=Range(low=0.0, high=20.0)), LOOK, 10.0, 1)


def test_without_room_for_the_beam_shift_the_stage_is_measured_alone(bench):
    home = bench.microscope.state().go
    found = measure_moves(narrowed(bench, beam_shift_x_nm=Range(low=0.0, high=1.0)), LOOK, 10.0, 1)
    assert found.beam_shift is None
    assert found.stage == pytest.approx(np.eye(2), abs=0.3)
    assert len(found.steps) + 1 == images_needed(1) - 17
    # Everything is where it was.
    assert bench.microscope.state().go == home


def test_strides_come_home_and_are_not_regular():
    for rounds in (1, 4):
        made = list(_strides(rounds))
        assert len(made) == 8 * rounds
        for axis in (0, 1):
            assert np.cumsum([sense for a, sense in made if a == axis]).tolist() == [1, 2, 1, 0] * rounds
    assert [a for a, _ in made[:8]] != [a for a, _ in made[8:16]]
