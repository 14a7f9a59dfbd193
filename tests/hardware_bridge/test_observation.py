"""Parts into an Observation: what is missing is counted, what does not fit is an error."""

from collections.abc import Callable

import numpy as np
import pytest
from bench import Bench, expected, scan
from msgspec.structs import replace

from experiments.small_column import STATE
from hardware_bridge.errors import BridgeError
from hardware_bridge.messages import ChunkHeader, Command, End, Start
from hardware_bridge.observation import Chunk, Part, collect


def parts_of(command: Command) -> list[Part]:
    bench = Bench()
    bench.submit(command)
    return list(bench.watch(1.0))


def test_the_newest_frame_and_a_line_a_frame() -> None:
    command = scan("a", rows=20, frames=2)
    assert command.acquire is not None
    seen = collect(command, STATE, parts_of(command))
    np.testing.assert_array_equal(seen.data, expected(command.acquire, frame=1))
    for frame, line in enumerate(seen.statistics):
        values = expected(command.acquire, frame).astype(float)
        assert (line.frame, line.low, line.high) == (frame, values.min(), values.max())
        assert (line.mean, line.sd) == pytest.approx((values.mean(), values.std()))
    assert (np.diff(seen.row_start_s) > 0).all()
    assert (seen.gaps, seen.kind, [axis.name for axis in seen.axes]) == (0, "frame", ["y", "x"])


def test_a_missing_chunk_is_a_gap_and_its_rows_are_not_seen() -> None:
    command = scan("a", rows=32)
    parts = [part for part in parts_of(command) if not (isinstance(part, Chunk) and part.header.sequence == 1)]
    seen = collect(command, STATE, parts)
    assert seen.gaps == 1
    np.testing.assert_array_equal(np.flatnonzero(~seen.row_seen), np.arange(8, 16))
    assert np.isnan(seen.row_start_s[8:16]).all()
    assert seen.data is not None
    assert not seen.data[8:16].any()


def test_rows_of_the_frame_before_do_not_stay() -> None:
    command = scan("a", rows=16, frames=2)
    parts = parts_of(command)
    last = max(index for index, part in enumerate(parts) if isinstance(part, Chunk))
    seen = collect(command, STATE, parts[:last] + parts[last + 1 :])
    np.testing.assert_array_equal(seen.row_seen, np.arange(16) < 8)
    assert seen.data is not None
    assert not seen.data[8:].any()


def test_times_of_the_frame_before_do_not_stay() -> None:
    command = scan("a", rows=16, frames=2)
    parts = parts_of(command)
    last = max(index for index, part in enumerate(parts) if isinstance(part, Chunk))
    seen = collect(command, STATE, parts[:last] + parts[last + 1 :])
    np.testing.assert_array_equal(np.isnan(seen.row_start_s), np.arange(16) >= 8)


def burst(command: Command, frames: int) -> list[Part]:
    """The parts of a scan as a fast detector gives them: ``frames`` whole frames at a time."""
    acquire = command.acquire
    assert acquire is not None
    start, *_, end = parts_of(command)
    assert isinstance(end, End)
    chunks = [
        Chunk(
            ChunkHeader(
                command_id=command.id,
                epoch=1,
                sequence=number,
                frame=first,
                frames=min(frames, acquire.max_frames - first),
                row_start=0,
                rows=acquire.pixels_y,
                start_s=float(first),
                end_s=float(min(first + frames, acquire.max_frames)),
            ),
            np.stack([expected(acquire, f) for f in range(first, min(first + frames, acquire.max_frames))]),
        )
        for number, first in enumerate(range(0, acquire.max_frames, frames))
    ]
    # One frame alone has no axis of frames.
    chunks = [chunk if chunk.header.frames > 1 else Chunk(chunk.header, chunk.data[0]) for chunk in chunks]
    return [start, *chunks, replace(end, chunks=len(chunks))]


@pytest.mark.parametrize("frames", [1, 2, 3, 7])
def test_several_frames_in_one_chunk_are_seen_as_if_they_had_come_alone(frames: int) -> None:
    command = scan("a", rows=16, frames=7)
    assert command.acquire is not None
    seen = collect(command, STATE, burst(command, frames))
    np.testing.assert_array_equal(seen.data, expected(command.acquire, frame=6))
    assert [line.frame for line in seen.statistics] == list(range(7))
    assert [(line.start_s, line.end_s) for line in seen.statistics] == [(f, f + 1.0) for f in range(7)]
    assert [line.low for line in seen.statistics] == [float(f) for f in range(7)]
    np.testing.assert_allclose(seen.row_start_s, 6.0 + np.arange(16) / 16)
    assert (seen.gaps, seen.row_seen.all()) == (0, True)


def test_a_missing_burst_is_a_gap_and_its_frames_have_no_line() -> None:
    command = scan("a", rows=16, frames=7)
    parts = burst(command, 2)
    seen = collect(command, STATE, parts[:2] + parts[3:])
    assert seen.gaps == 1
    assert [line.frame for line in seen.statistics] == [0, 1, 4, 5, 6]


def test_a_chunk_shows_its_frames_in_front_whether_one_or_many() -> None:
    chunks = [part for part in burst(scan("a", rows=16, frames=3), 2) if isinstance(part, Chunk)]
    assert [chunk.stack.shape for chunk in chunks] == [(2, 16, 32), (1, 16, 32)]
    assert np.shares_memory(chunks[0].stack, chunks[0].data)
    assert chunks[0].frame_start_s(1) == 1.0


@pytest.mark.parametrize("spoilt", [{"row_start": 1}, {"rows": 8}, {"frames": 3}], ids=str)
def test_a_burst_of_anything_but_whole_frames_does_not_fit(spoilt: dict[str, int]) -> None:
    command = scan("a", rows=16, frames=4)
    start, first, *_ = burst(command, 2)
    assert isinstance(first, Chunk)
    with pytest.raises(BridgeError, match="does not fit"):
        collect(command, STATE, [start, Chunk(replace(first.header, **spoilt), first.data)])


def test_nothing_acquired_is_no_data() -> None:
    command = Command(id="a")
    seen = collect(command, STATE, parts_of(command))
    assert seen.data is None
    assert seen.row_seen.size == seen.row_start_s.size == 0


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda parts: parts[:-1], "without an End"),
        (lambda parts: parts[1:], "before its Start"),
        (lambda parts: [Start(**{**_fields(parts[0]), "command_id": "other"}), *parts[1:]], "other"),
        (lambda parts: [parts[0], Chunk(parts[1].header, parts[1].data[:, :-1]), *parts[2:]], "does not fit"),
        (lambda parts: [parts[0], Chunk(parts[1].header, parts[1].data[:-1]), *parts[2:]], "does not fit"),
    ],
    ids=["no end", "no start", "other command", "other width", "other rows"],
)
def test_a_stream_that_cannot_be_is_an_error(spoil: Callable[[list[Part]], list[Part]], said: str) -> None:
    command = scan("a")
    with pytest.raises(BridgeError, match=said):
        collect(command, STATE, spoil(parts_of(command)))


def _fields(start: Part) -> dict[str, object]:
    return {name: getattr(start, name) for name in Start.__struct_fields__}
