"""Rows of a raster become frames, bursts stay bursts, and what is missing is told."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.perception.whole_frames import Assembler, Frames
from hardware_bridge.messages import Axis, ChunkHeader, Start
from hardware_bridge.observation import Chunk

SIZE = 8
START = Start(
    command_id="a",
    epoch=1,
    kind="frame",
    mode="HAADF",
    axes=tuple(Axis(name=name, size=SIZE, offset=0.0, scale=1.0, unit="nm") for name in "yx"),
    dtype="uint16",
    frames=10,
    start_s=0.0,
)
DATA = np.random.default_rng(0).integers(0, 1000, (6, SIZE, SIZE)).astype(np.uint16)


def chunk(frame: int, row: int, rows: int, frames: int = 1) -> Chunk:
    header = ChunkHeader(
        command_id="a",
        epoch=1,
        sequence=0,
        frame=frame,
        frames=frames,
        row_start=row,
        rows=rows,
        start_s=frame + row / SIZE,
        end_s=frame + (frames - 1) + (row + rows) / SIZE,
    )
    data: NDArray[Any] = DATA[frame : frame + frames] if frames > 1 else DATA[frame, row : row + rows]
    return Chunk(header, data)


def assembled(*chunks: Chunk) -> list[Frames]:
    assembler = Assembler(START)
    return [frames for part in chunks for frames in assembler.add(part)] + assembler.rest()


def test_rows_become_a_frame_once_the_last_is_there() -> None:
    assembler = Assembler(START)
    assert assembler.add(chunk(0, 0, 4)) == []
    (frames,) = assembler.add(chunk(0, 4, 4))
    np.testing.assert_array_equal(frames.data, DATA[:1])
    assert (frames.first, frames.count, frames.row_seen) == (0, 1, None)
    assert (frames.start_s[0], frames.end_s[0]) == (0.0, 1.0)
    assert assembler.rest() == []


def test_the_next_frame_does_not_write_into_the_last() -> None:
    first, second = assembled(*(chunk(frame, row, 4) for frame in (0, 1) for row in (0, 4)))
    np.testing.assert_array_equal(first.data[0], DATA[0])
    np.testing.assert_array_equal(second.data[0], DATA[1])


def test_whole_frames_are_passed_on_without_a_copy_each_with_its_time() -> None:
    single, burst = chunk(0, 0, SIZE), chunk(1, 0, SIZE, frames=3)
    one, many = assembled(single, burst)
    assert np.shares_memory(one.data, single.data)
    assert np.shares_memory(many.data, burst.data)
    assert (one.first, one.count, many.first, many.count) == (0, 1, 1, 3)
    np.testing.assert_allclose(many.start_s, [1, 2, 3])
    np.testing.assert_allclose(many.end_s, [2, 3, 4])


def test_a_frame_whose_rows_got_lost_comes_as_far_as_it_is() -> None:
    torn, whole, last = assembled(chunk(0, 4, 4), chunk(1, 0, 4), chunk(1, 4, 4), chunk(2, 0, 4))
    assert torn.row_seen is not None
    np.testing.assert_array_equal(torn.row_seen, np.arange(SIZE) >= 4)
    np.testing.assert_array_equal(torn.data[0, 4:], DATA[0, 4:])
    assert not torn.data[0, :4].any()
    assert (whole.first, whole.row_seen) == (1, None)
    assert last.first == 2
    assert last.row_seen is not None


def test_a_torn_frame_comes_before_the_burst_after_it() -> None:
    torn, burst = assembled(chunk(0, 0, 4), chunk(1, 0, SIZE, frames=2))
    assert (torn.first, burst.first, burst.count) == (0, 1, 2)
