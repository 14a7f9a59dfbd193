"""Around an event the frames before and after it are saved, each once, to the byte, however they came."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agent.clips import read_clip
from agent.perception.whole_frames import Frames
from agent.pretrigger import PreTrigger, Span
from agent.record import Clip
from agent.spool import Spool
from hardware_bridge.messages import Axis, Start

DATA = np.random.default_rng(0).integers(0, 256, (200, 8, 6)).astype(np.uint8)
START = Start(
    command_id="a",
    epoch=3,
    kind="frame",
    mode="HRTEM",
    axes=tuple(Axis(name=name, size=size, offset=0.0, scale=1.0, unit="px") for name, size in (("y", 8), ("x", 6))),
    dtype="uint8",
    frames=200,
    start_s=0.0,
)
Keep = Callable[..., list[Clip]]


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    """Show 200 frames of 1 s each, so many at a time, with events in some of them; returns the clips."""

    def run(events: list[int], span: Span, burst: int = 1, missing: tuple[int, ...] = ()) -> list[Clip]:
        spool = Spool(tmp_path, 1e9)
        ring = PreTrigger(span, spool, START)
        for first in range(0, len(DATA), burst):
            if first in missing:
                continue
            start_s = first + np.arange(float(len(DATA[first : first + burst])))
            frames = Frames(first, DATA[first : first + burst], start_s, start_s + 1.0)
            ring.keep(frames, [event for event in events if first <= event < first + burst])
        ring.end()
        return spool.close()

    return run


@pytest.mark.parametrize("burst", [1, 3, 16, 200])
def test_frames_before_and_after_an_event_are_saved_and_no_others(tmp_path: Path, keep: Keep, burst: int) -> None:
    (clip,) = keep([100], Span(before_s=20.0, after_s=10.0, memory_bytes=1e9), burst)
    numbers, data = read_clip(tmp_path, clip)
    np.testing.assert_array_equal(numbers, np.arange(80, 111))
    assert data.tobytes() == DATA[80:111].tobytes()
    assert (clip.epoch, clip.missed, clip.start_s, clip.end_s) == (3, 0, 80.0, 111.0)


@pytest.mark.parametrize("burst", [1, 7])
def test_events_close_together_make_one_clip_and_no_frame_is_saved_twice(
    tmp_path: Path, keep: Keep, burst: int
) -> None:
    span = Span(before_s=20.0, after_s=10.0, memory_bytes=1e9)
    clips = keep([50, 55, 70, 150], span, burst)
    assert [clip.ranges for clip in clips] == [((30, 65),), ((66, 80),), ((130, 160),)]
    np.testing.assert_array_equal(read_clip(tmp_path, clips[1])[1], DATA[66:81])


def test_the_end_of_the_acquisition_ends_the_clip(tmp_path: Path, keep: Keep) -> None:
    (clip,) = keep([195], Span(before_s=2.0, after_s=100.0, memory_bytes=1e9))
    assert clip.ranges == ((193, 199),)


def test_an_event_in_the_first_frame_has_nothing_before_it(keep: Keep) -> None:
    (clip,) = keep([0], Span(before_s=20.0, after_s=3.0, memory_bytes=1e9))
    assert (clip.ranges, clip.missed) == (((0, 3),), 0)


def test_a_gap_in_the_stream_stays_visible(tmp_path: Path, keep: Keep) -> None:
    (clip,) = keep([100], Span(before_s=5.0, after_s=5.0, memory_bytes=1e9), missing=(97, 102, 103))
    assert clip.ranges == ((95, 96), (98, 101), (104, 105))
    assert read_clip(tmp_path, clip)[0].tolist() == [95, 96, 98, 99, 100, 101, 104, 105]


def test_memory_is_bounded_and_what_it_could_not_hold_is_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1e9)
    most = 10 * DATA[0].nbytes
    ring = PreTrigger(Span(before_s=20.0, after_s=0.0, memory_bytes=most), spool, START)
    for n in range(100):
        ring.keep(Frames(n, DATA[n : n + 1], np.array([float(n)]), np.array([n + 1.0])), [])
        assert ring.held_bytes <= most
    ring.keep(Frames(100, DATA[100:101], np.array([100.0]), np.array([101.0])), [100])
    ring.end()
    (clip,) = spool.close()
    assert clip.ranges == ((91, 100),)
    assert clip.missed == 11


def test_without_events_nothing_is_written(tmp_path: Path, keep: Keep) -> None:
    assert keep([], Span(before_s=20.0, after_s=10.0, memory_bytes=1e9)) == []
    assert not (tmp_path / "spool").exists()
