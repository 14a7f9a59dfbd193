"""Conditions: what is impossible is refused, and each that is switched on is seen in the data, alone."""

import math

import msgspec
import numpy as np
import pytest

from digital_twin.apparatus import Apparatus
from digital_twin.conditions import STILL, Conditions
from digital_twin.drift import Drift
from digital_twin.instrument import Twin
from digital_twin.misalignment import Misalignment
from digital_twin.optics import Aberrations
from hardware_bridge.errors import Malformed
from hardware_bridge.messages import Optics
from hardware_bridge.microscope import execute
from hardware_bridge.observation import Observation
from hardware_bridge.words import validated


def test_impossible_conditions_are_refused_by_name():
    with pytest.raises(Malformed, match="wander_nm"):
        validated(Conditions(wander_nm=-1.0))
    with pytest.raises(Malformed, match="decay_s"):
        validated(Conditions(decay_s=0.0))


def test_still_has_nothing_left_that_moves():
    sizes = {n: getattr(STILL, n) for n in STILL.__struct_fields__ if not n.endswith("_s")}
    assert not any(sizes.values())


def seen_with(make_balls, command, dwell_s: float = 1e-5, clock_s: float = 0.0, **on: float) -> Observation:
    """A bar of overlapping balls along y, of which every row has a middle, with nothing moving but what is on."""
    bar = make_balls([(0.0, 2.0 * n) for n in range(-40, 41)], 5.0)
    aligned = Misalignment(backlash_nm=(0.0, 0.0))
    instrument = Twin(bar, 5, apparatus=Apparatus(conditions=msgspec.structs.replace(STILL, **on), hidden=aligned))
    instrument._clock_s = clock_s
    sharp = Optics(C10_nm=0.0, C12_nm=0.0, C21_nm=0.0, C23_nm=0.0, C30_um=0.0, beam_current_pA=0.05 / dwell_s)
    return execute(instrument, command(optics=sharp, fov_nm=64.0, pixels=64, dwell_s=dwell_s), 5.0)


def middles_nm(seen: Observation) -> np.ndarray:
    """Where the bar lies in each row."""
    assert seen.data is not None
    bright = np.clip(seen.data - np.median(seen.data, axis=1, keepdims=True), 0.0, None)
    return bright @ (np.arange(64) - 31.5) / bright.sum(axis=1)


def test_what_is_switched_off_is_exactly_still(make_balls, command):
    times_s, drift = np.linspace(0.0, 5e3, 101), Drift(3, STILL)
    assert not drift.specimen_nm(times_s).any()
    assert not drift.rows_nm(100.0, 0.01, 64).any()
    assert not drift.zero_loss_eV(times_s).any()
    assert drift.C10_nm(4e3) == 0.0
    assert drift.current(4e3) == 1.0
    assert drift.aberrations(Aberrations(C12_nm=3.0, C30_um=2.0), 4e3) == Aberrations(C12_nm=3.0, C30_um=2.0)
    early, late = (seen_with(make_balls, command, clock_s=clock_s) for clock_s in (0.0, 5e3))
    assert np.array_equal(early.data, late.data)
    assert middles_nm(early).std() < 0.06


def test_drift_skews_a_raster(make_balls, command):
    seen = seen_with(make_balls, command, dwell_s=2e-4, decay_nm=40.0, decay_s=10.0)
    middles = middles_nm(seen)
    slope, at = np.polyfit(seen.row_start_s, middles, 1)
    assert abs(slope) * np.ptp(seen.row_start_s) > 0.5
    assert np.abs(middles - slope * seen.row_start_s - at).max() < 0.3


def test_jitter_tears_rows_apart(make_balls, command):
    middles = middles_nm(seen_with(make_balls, command, jitter_nm=1.0, jitter_s=1e-3))
    assert 0.7 < np.diff(middles).std() < 2.0


def test_mains_are_seen_at_fifty_hertz(make_balls, command):
    seen = seen_with(make_balls, command, mains_nm=2.0)
    turn = 2 * math.pi * 50.0 * seen.row_start_s
    waves = np.stack([np.sin(turn), np.cos(turn), np.ones(64)], axis=1)
    found = np.linalg.lstsq(waves, middles_nm(seen), rcond=None)[0]
    assert np.hypot(*found[:2]) > 0.3
    assert np.abs(middles_nm(seen) - waves @ found).max() < 0.2


def test_a_heating_step_carries_the_specimen_off_and_a_second_one_goes_on_from_there():
    drift, other = Drift(3, msgspec.structs.replace(STILL, heat_nm_per_K=0.5, heat_s=60.0)), Drift(3, STILL)
    assert not drift.specimen_nm(np.array([0.0, 500.0])).any()
    for each in (drift, other):
        each.heat(398.0, 100.0)
        each.heat(None, 110.0)
    way_nm = drift.specimen_nm(np.array([100.0, 160.0, 1e5]))
    assert way_nm[2].all()
    assert way_nm[:, 0] / way_nm[2, 0] == pytest.approx([0.0, 1 - math.exp(-1.0), 1.0])
    assert drift.rows_nm(100.0, 60.0, 2) == pytest.approx(way_nm[:2])
    drift.heat(298.0, 160.0)
    back_nm = drift.specimen_nm(np.array([160.0, 220.0, 1e5]))
    assert back_nm[:, 1] / way_nm[2, 1] == pytest.approx([1 - math.exp(-1.0), math.exp(-1.0) - math.exp(-2.0), 0.0])
    assert not other.specimen_nm(np.array([160.0, 500.0])).any()


def test_counts_fall_with_the_current(make_balls, command):
    first, later = (seen_with(make_balls, command, clock_s=s, current_decay_per_h=0.3) for s in (0.0, 3600.0))
    assert later.data.mean() / first.data.mean() == pytest.approx(math.exp(-0.3), rel=2e-3)
    assert later.electrons / first.electrons == pytest.approx(math.exp(-0.3), rel=1e-3)
