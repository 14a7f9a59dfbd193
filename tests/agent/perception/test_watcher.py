"""The watcher's table and its events, on frames made here; the same whether they come one by one or in bursts."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.perception.watcher import MOST_EVENTS, Watcher, WatchSettings
from agent.perception.whole_frames import Frames
from hardware_bridge.messages import Axis, Start
from hardware_bridge.report import FrameEvent

SPACING_S = 1e-3


def start_of(shape: tuple[int, ...] = (64, 48), dtype: Any = "uint8", epoch: int = 1) -> Start:
    axes = tuple(Axis(name=f"axis{n}", size=size, offset=0.0, scale=1.0, unit="px") for n, size in enumerate(shape))
    return Start(
        command_id="a", epoch=epoch, kind="frame", mode="HRTEM", axes=axes, dtype=dtype, frames=100_000, start_s=0.0
    )


def frames_of(data: NDArray[Any], first: int = 0) -> Frames:
    start_s = SPACING_S * (first + np.arange(len(data)))
    return Frames(first, data, start_s, start_s + SPACING_S)


def quiet(count: int, shape: tuple[int, ...] = (64, 48), mean: float = 20.0, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).poisson(mean, (count, *shape)).astype(np.uint8)


def watch(
    data: NDArray[Any], burst: int = 1, watcher: Watcher | None = None, start: Start | None = None
) -> tuple[NDArray[np.void], list[FrameEvent]]:
    """See all frames, so many at a time."""
    if watcher is None:
        watcher = Watcher()
        watcher.begin(start or start_of(data.shape[1:], data.dtype.name), same_view=False)
    tables, events = [], []
    for first in range(0, len(data), burst):
        table, found = watcher.see(frames_of(data[first : first + burst], first))
        tables.append(table)
        events += found
    return np.concatenate(tables), events


def test_the_table_holds_what_each_frame_shows() -> None:
    data = quiet(5)
    data[3, 10:20] = 255
    table, _ = watch(data, burst=5)
    np.testing.assert_array_equal(table["frame"], np.arange(5))
    np.testing.assert_array_equal(table["epoch"], 1)
    np.testing.assert_allclose(table["end_s"] - table["start_s"], SPACING_S)
    np.testing.assert_allclose(table["mean"], data.mean(axis=(1, 2)), rtol=1e-6)
    np.testing.assert_allclose(table["sd"], data.std(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(table["saturated_share"], [0, 0, 0, 10 / 64, 0], atol=1e-7)
    assert not table["missing_share"].any()
    y, x = np.mgrid[:64, :48]
    np.testing.assert_allclose(table["y_px"][0], (y * data[0]).sum() / data[0].sum(), atol=0.1)
    np.testing.assert_allclose(table["x_px"][0], (x * data[0]).sum() / data[0].sum(), atol=0.1)


def test_a_noise_far_below_the_level_is_still_measured() -> None:
    data = (60_000 + np.random.default_rng(0).normal(0.0, 10.0, (2, 64, 64))).astype(np.uint16)
    table, _ = watch(data)
    np.testing.assert_allclose(table["sd"], data.std(axis=(1, 2)), rtol=1e-3)


@pytest.mark.parametrize("burst", [2, 7, 64, 400])
def test_frames_in_bursts_are_seen_as_if_they_had_come_alone(burst: int) -> None:
    data = quiet(400)
    data[150, 8:12, 8:12] += 100
    data[250:350] += 5
    data[390] = 0
    table, events = watch(data)
    assert [(event.kind, event.frame) for event in events] == [("change", 150), ("change", 250), ("lost_signal", 390)]
    in_bursts, found = watch(data, burst)
    assert found == events
    assert in_bursts.tobytes() == table.tobytes()


def test_a_bright_spot_is_told_once_where_it_begins_and_where_it_is() -> None:
    data = quiet(300)
    data[200:205, 40:44, 6:9] += 60
    _, events = watch(data)
    assert [(event.kind, event.frame) for event in events] == [("change", 200)]
    assert events[0].value > 2.0 * events[0].limit
    assert events[0].time_s == pytest.approx(200 * SPACING_S)
    assert (events[0].y_px, events[0].x_px) == (pytest.approx(41.5, abs=2), pytest.approx(7.5, abs=2))


def test_a_step_of_all_that_no_pixel_shows_is_seen() -> None:
    data = quiet(300, mean=20.0)
    data[200:] = quiet(100, mean=21.0, seed=1)
    _, events = watch(data)
    assert [(event.kind, event.frame) for event in events] == [("change", 200)]


def test_what_stays_is_the_new_state_of_things() -> None:
    data = quiet(700)
    data[200:] += 40
    data[600, 8:12, 8:12] += 100
    table, events = watch(data)
    assert [(event.kind, event.frame) for event in events] == [("change", 200), ("change", 600)]
    assert np.isnan(table["change"][264:328]).all()  # learned anew
    assert table["change"][330:600].max() < events[0].limit


def test_a_lost_signal_is_told_as_such() -> None:
    data = quiet(300)
    data[200:] = 0
    _, events = watch(data)
    assert [(event.kind, event.frame) for event in events] == [("lost_signal", 200)]
    assert (events[0].value, events[0].limit) == (0.0, 0.2)


def test_a_frame_that_is_dark_by_chance_is_no_lost_signal() -> None:
    data = np.random.default_rng(0).poisson(0.001, (2000, 64, 48)).astype(np.uint8)  # three quanta a frame
    table, events = watch(data)
    assert (table["mean"] < 0.2 * table["mean"].mean()).sum() > 50
    assert not events


def test_saturation_is_told_without_anything_learned() -> None:
    data = quiet(3)
    data[1, :2] = 255
    _, events = watch(data)
    assert [(event.kind, event.frame) for event in events] == [("saturation", 1)]
    assert (events[0].value, events[0].limit) == (pytest.approx(2 / 64), 0.01)


def test_false_alarms_come_as_often_as_was_asked_for() -> None:
    # One frame in fifty: 72,000 an hour at 1,000 frames a second.
    watcher = Watcher(WatchSettings(false_alarms_per_hour=72_000.0))
    watcher.begin(start_of((32, 32)), same_view=False)
    table, _ = watch(quiet(6000, (32, 32)), 100, watcher)
    change = table["change"][64:]
    assert watcher.limit is not None
    alarms = int((change > watcher.limit).sum())
    expected = len(change) / 50
    assert 0.6 * expected - 4 * expected**0.5 < alarms < 1.1 * expected + 4 * expected**0.5


def test_the_same_view_goes_on_with_what_was_learned() -> None:
    watcher = Watcher()
    watcher.begin(start_of(), same_view=False)
    watch(quiet(100), 10, watcher)
    for same_view, told in ((True, ["change"]), (False, [])):
        watcher.begin(start_of(epoch=2), same_view)
        data = quiet(10, seed=1)
        data[5, 8:12, 8:12] += 100
        assert [event.kind for event in watch(data, 1, watcher)[1]] == told


def test_what_stays_is_told_once_and_learned_however_short_the_acquisitions_are() -> None:
    watcher, told = Watcher(), []
    for epoch in range(60):
        watcher.begin(start_of(epoch=epoch), same_view=epoch > 0)
        data = quiet(10, seed=epoch) + np.uint8(40 * (20 <= epoch < 40))
        told += [(event.kind, event.epoch, event.frame) for event in watch(data, 5, watcher)[1]]
    assert told == [("change", 20, 0), ("change", 40, 0)]


def test_single_frames_of_one_view_are_a_stream_too() -> None:
    watcher, told = Watcher(), []
    for epoch in range(100):
        watcher.begin(start_of(epoch=epoch), same_view=epoch > 0)
        told += watch(quiet(1, seed=epoch) + np.uint8(40 * (epoch == 90)), 1, watcher)[1]
    assert [event.epoch for event in told] == [90]
    assert watcher.limit == pytest.approx(6.4, abs=0.2)


def test_another_view_has_events_of_its_own() -> None:
    watcher = Watcher()
    for same_view, told in ((False, 1), (True, 0), (False, 1)):
        watcher.begin(start_of(), same_view)
        assert len(watch(np.full((1, 64, 48), 255, dtype=np.uint8), 1, watcher)[1]) == told


def test_another_shape_is_another_view() -> None:
    watcher = Watcher()
    watcher.begin(start_of(), same_view=False)
    watch(quiet(100), 10, watcher)
    watcher.begin(start_of((48, 64)), same_view=True)
    assert np.isnan(watch(quiet(1, (48, 64)), 1, watcher)[0]["change"]).all()


def test_a_frame_that_is_not_whole_has_a_line_and_raises_nothing() -> None:
    watcher = Watcher()
    watcher.begin(start_of(), same_view=False)
    watch(quiet(100), 10, watcher)
    data = quiet(1)
    data[0, 32:] = 0
    torn = Frames(100, data, np.array([0.1]), np.array([0.101]), np.arange(64) < 32)
    table, events = watcher.see(torn)
    assert events == []
    assert table["missing_share"][0] == 0.5
    assert table["mean"][0] == pytest.approx(data[0, :32].mean())
    assert np.isnan(table["change"][0])


@pytest.mark.parametrize("shape", [(1, 2048), (8, 8, 100), (1, 1, 64, 64), (4, 4, 16, 16)])
def test_spectra_and_patterns_are_watched_too(shape: tuple[int, ...]) -> None:
    data = quiet(200, shape)
    data[150] = data[150] + 30
    _, events = watch(data)
    assert [(event.kind, event.frame) for event in events] == [("change", 150)]


def test_values_that_are_no_counts_may_be_negative_or_not_finite() -> None:
    data = np.random.default_rng(0).normal(0.0, 1.0, (300, 64, 48)).astype(np.float32)
    data[100] = np.nan
    data[200, 8:12, 8:12] += 5.0
    with np.errstate(all="ignore"):
        _, events = watch(data)
    assert [(event.kind, event.frame) for event in events] == [("change", 200)]


def test_no_more_events_are_told_than_a_record_can_hold() -> None:
    data = quiet(20 * (MOST_EVENTS + 5), (8, 8))
    data[::20, :2] = 255
    _, events = watch(data, 50)
    assert len(events) == MOST_EVENTS
