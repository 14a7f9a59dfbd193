"""Dark references: hidden level, noise and dark current come back within their errors, or the reason is told."""

from dataclasses import replace

import numpy as np
import pytest

from agent.calibrate.twin.darks import dark_of, parameters


def by_name(dark, whole=True):
    return {each.name: each for each in parameters(dark, whole)}


def test_hidden_level_noise_and_current_are_found(make_detector, dark_frames):
    z = []
    for seed in range(12):
        found = by_name(dark_of(dark_frames(make_detector(per_s=5000.0), seed)))
        z.append([found[n].z(t) for n, t in zip(found, (300.0, 12.0, 5000.0), strict=True)])
    assert np.abs(z).max() < 4.0
    assert np.std(z, axis=0) == pytest.approx(1.0, abs=0.65)


def test_the_level_of_a_dwell_time_has_the_dark_current_in_it(make_detector, dark_frames):
    dark = dark_of(dark_frames(make_detector(per_s=5000.0), 0))
    assert dark.at(1e-2) == pytest.approx(350.0, abs=1.0)


def test_a_dark_current_that_is_not_there_is_bounded_not_invented(make_detector, dark_frames):
    told = by_name(dark_of(dark_frames(make_detector(), 3)))["dark_counts_per_s"]
    assert not told.is_identifiable
    assert "below" in told.note


def test_one_dwell_time_tells_no_dark_current(make_detector, dark_frames):
    told = by_name(dark_of(dark_frames(make_detector(), 0)[:2]))
    assert told["offset_counts"].z(300.0) < 4.0
    assert "one dwell time only" in told["dark_counts_per_s"].note


def test_references_cut_off_at_zero_are_refused(make_detector, dark_frames):
    told = by_name(dark_of(dark_frames(make_detector(offset=10.0), 0)))
    assert not any(each.is_identifiable for each in told.values())
    assert "cut off at 0" in told["offset_counts"].note


def test_a_counting_detector_is_exact(make_detector, dark_frames):
    told = by_name(dark_of(dark_frames(make_detector(gain=1.0, offset=0.0, noise=0.0), 0)))
    assert (told["offset_counts"].value, told["read_noise_counts"].value) == (0.0, 0.0)


def test_rounding_is_not_taken_for_noise(make_detector, dark_frames):
    frames = dark_frames(make_detector(noise=0.6), 0)
    assert by_name(dark_of(frames))["read_noise_counts"].z(0.6) < 4.0
    # Numbers that were not rounded are believed as they are: the same frames then seem noisier.
    assert by_name(dark_of([replace(f, is_whole=False) for f in frames]), False)["read_noise_counts"].value > 0.65


def test_without_references_the_reason_is_told():
    assert all("no dark reference" in each.note for each in parameters(dark_of(()), True))
