"""Tracks: kept, told new, told from debris by growth, merged."""

import math

import numpy as np
import pytest

from agent.perception.contrast import Brightness, ContrastSettings
from agent.perception.tracking import Sighting, Tracker, TrackSettings

CENTRE, SIZE = (0.0, 0.0), (512.0, 512.0)


@pytest.fixture
def tracker(bench):
    return Tracker(TrackSettings(), Brightness(ContrastSettings(), bench.capabilities))


def sighting(x, y, radius, sd=0.2, look=(0.0, math.inf)):
    return Sighting(x, y, 0.5, radius, sd, radius, look)


def test_numbers_are_kept_while_things_move_a_little(tracker) -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(-240.0, 240.0, (20, 2))
    first, _ = tracker.link([sighting(x, y, 6.0) for x, y in places], 0.0, CENTRE, SIZE, 2.0)
    order = rng.permutation(20)
    moved = places + rng.normal(0.0, 0.6, places.shape)
    second, _ = tracker.link([sighting(*moved[i], 6.5) for i in order], 10.0, CENTRE, SIZE, 2.0)
    assert second == [first[i] for i in order]
    assert len(set(first)) == 20


def test_what_is_too_far_is_another(tracker) -> None:
    first, _ = tracker.link([sighting(0.0, 0.0, 6.0)], 0.0, CENTRE, SIZE, 2.0)
    second, _ = tracker.link([sighting(25.0, 0.0, 6.0)], 10.0, CENTRE, SIZE, 2.0)
    assert first != second


def test_what_has_come_off_the_window_is_followed(tracker) -> None:
    first, _ = tracker.link([sighting(0.0, 0.0, 8.0), sighting(90.0, 0.0, 8.0)], 0.0, CENTRE, SIZE, 2.0)
    grown = math.sqrt(8.0**2 + 1.5 * 60.0)
    moved, _ = tracker.link([sighting(90.0, 0.0, grown), sighting(15.0, 12.0, grown)], 60.0, CENTRE, SIZE, 2.0)
    assert moved == [first[1], first[0]]
    track = tracker.tracks[first[0]]
    assert (track.x_nm, track.y_nm) == pytest.approx((15.0, 12.0), abs=0.5)
    # Of another size it is another, and so it is where the one there was is still in its place.
    other, _ = tracker.link([sighting(90.0, 0.0, grown), sighting(25.0, 20.0, 5.0)], 70.0, CENTRE, SIZE, 2.0)
    assert other[1] not in first
    again, _ = tracker.link([sighting(90.0, 0.0, grown), sighting(101.0, 12.0, grown)], 80.0, CENTRE, SIZE, 2.0)
    assert again[0] == first[1]
    assert again[1] not in first


def test_new_is_what_was_not_there(tracker) -> None:
    tracker.link([], 0.0, CENTRE, SIZE, 3.0)
    seen_before, events = tracker.link([sighting(0.0, 0.0, 8.0)], 60.0, CENTRE, SIZE, 3.0)
    assert "is new" in events[0]
    # Small enough to have been overlooked, or outside the field then: not new.
    _, events = tracker.link([sighting(60.0, 0.0, 3.2), sighting(400.0, 0.0, 8.0)], 70.0, (150.0, 0.0), SIZE, 3.0)
    assert not events
    assert tracker.tracks[seen_before[0]].new


def test_growth_tells_particles_from_debris(tracker) -> None:
    rng = np.random.default_rng(1)
    for time_s in range(0, 240, 30):
        grown = math.sqrt(64.0 + 1.5 * time_s)
        numbers, _ = tracker.link(
            [sighting(-50.0, 0.0, grown + rng.normal(0, 0.2)), sighting(50.0, 0.0, 14.0 + rng.normal(0, 0.2))],
            float(time_s),
            CENTRE,
            SIZE,
            2.0,
        )
    assert tracker.real(numbers[0]) > 0.97
    assert tracker.real(numbers[1]) < 0.2
    slope, sd = tracker.tracks[numbers[0]].growth()
    assert slope == pytest.approx(1.5, abs=4 * sd)


def test_growth_sd_is_honest(tracker) -> None:
    z = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        other = Tracker(TrackSettings(), tracker._brightness)
        for time_s in (0.0, 40.0, 80.0, 120.0):
            radius = math.sqrt(100.0 + 1.5 * time_s)
            number, _ = other.link([sighting(0.0, 0.0, radius + rng.normal(0, 0.3), 0.3)], time_s, CENTRE, SIZE, 2.0)
        slope, sd = other.tracks[number[0]].growth()
        z.append((slope - 1.5) / sd)
    # An allowance for what is no noise is part of the sd.
    assert 0.5 < np.std(z) < 1.2


def test_brightness_and_spectra_count(tracker) -> None:
    numbers, _ = tracker.link(
        [sighting(0.0, 0.0, 10.0, look=(0.0, 0.003)), sighting(80.0, 0.0, 10.0, look=(-0.5, 0.003))],
        0.0,
        CENTRE,
        SIZE,
        2.0,
    )
    assert tracker.real(numbers[0]) > 0.85
    assert tracker.real(numbers[1]) < 0.2
    tracker.believe(numbers[1], 6.0)
    assert tracker.real(numbers[1]) > 0.8


def test_a_merger_ends_one_track(tracker) -> None:
    tracker.link([sighting(-8.0, 0.0, 9.0), sighting(10.0, 0.0, 7.5)], 0.0, CENTRE, SIZE, 2.0)
    numbers, events = tracker.link([sighting(-3.0, 0.0, 10.7)], 30.0, CENTRE, SIZE, 2.0)
    # The merged particle lies where neither was; it may start anew or go on as the larger one.
    assert len(numbers) == 1
    tracker.link([sighting(-2.0, 0.0, 9.0), sighting(200.0, 0.0, 7.5)], 40.0, CENTRE, SIZE, 2.0)
    first, _ = tracker.link([sighting(-100.0, 0.0, 9.0), sighting(-90.0, 0.0, 5.0)], 60.0, CENTRE, SIZE, 2.0)
    _, events = tracker.link([sighting(-99.5, 0.0, 11.0)], 70.0, CENTRE, SIZE, 2.0)
    assert f"track {first[1]} merged into track {first[0]}" in events
    assert first[1] not in tracker.tracks


def test_the_usual_rate_is_learned(tracker) -> None:
    places = [(-200.0 + 40.0 * i, 0.0) for i in range(10)]
    tracker.link([], 0.0, CENTRE, SIZE, 2.0)
    for time_s in (40.0, 80.0, 120.0, 160.0):
        tracker.link(
            [sighting(x, y, math.sqrt(30.0 + 2.2 * time_s), 0.1) for x, y in places], time_s, CENTRE, SIZE, 2.0
        )
    assert tracker.rate()[0] == pytest.approx(2.2, abs=0.2)
