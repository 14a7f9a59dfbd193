"""What the spool writes is there to the byte, whoever opens it; what it cannot write is counted, and nobody waits."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from agent import spool as module
from agent.clips import missing_clips, read_clip
from agent.eventlog import RecordError
from agent.spool import RESERVE_BYTES, NpyFile, Parcel, Spool

FRAMES = np.random.default_rng(0).integers(0, 60_000, (10, 16, 12)).astype(np.uint16)
ROOM = 1e9


def parcel(first: int, end: int) -> Parcel:
    return Parcel(first, FRAMES[first:end], float(first), float(end))


@pytest.fixture
def writing(tmp_path: Path) -> Spool:
    return Spool(tmp_path, 1e9)


def test_frames_are_on_disk_to_the_byte_with_epoch_range_and_hash(tmp_path: Path, writing: Spool) -> None:
    clip = writing.open("a", 12, FRAMES, 2)
    for first, end in ((2, 5), (5, 6), (8, 10)):
        assert writing.put(clip, parcel(first, end), ROOM)
    writing.finish(clip)
    (told,) = writing.close()
    assert (told.what, told.command_id, told.epoch, told.file) == ("frames", "a", 12, "spool/000012-00000002.npy")
    assert (told.ranges, told.missed, told.failure, told.frames) == (((2, 5), (8, 9)), 0, "", 6)
    assert (told.start_s, told.end_s) == (2.0, 10.0)
    numbers, data = read_clip(tmp_path, told)
    np.testing.assert_array_equal(numbers, [2, 3, 4, 5, 8, 9])
    assert data.tobytes() == FRAMES[[2, 3, 4, 5, 8, 9]].tobytes()
    assert np.load(tmp_path / told.file).dtype == np.uint16
    assert list(missing_clips(tmp_path, [told])) == []


def test_lines_of_the_table_share_a_file(tmp_path: Path, writing: Spool) -> None:
    lines = np.zeros(7, dtype=[("frame", "<u4"), ("mean", "<f4")])
    lines["frame"] = np.arange(7)
    for epoch, (first, end) in enumerate(((0, 3), (3, 7))):
        clip = writing.open("a", epoch, lines, None)
        writing.put(clip, Parcel(first, lines[first:end], 0.0, 1.0), 0.0)
        writing.finish(clip)
    one, two = writing.close()
    assert (one.what, one.file, two.file, one.offset, two.offset) == ("table", *["spool/table.npy"] * 2, 0, 3)
    assert read_clip(tmp_path, two)[1]["frame"].tolist() == [3, 4, 5, 6]
    assert len(np.load(tmp_path / "spool/table.npy")) == 7


def test_what_is_there_already_is_left_alone(tmp_path: Path) -> None:
    for number in ("", "_2"):
        writing = Spool(tmp_path, 1e9)
        clip = writing.open("a", 1, FRAMES, 0)
        writing.put(clip, parcel(0, 1), ROOM)
        writing.finish(clip)
        (told,) = writing.close()
        assert told.file == f"spool/000001-00000000{number}.npy"


def test_a_writer_that_cannot_keep_up_drops_and_counts_and_never_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    real = NpyFile.append
    monkeypatch.setattr(NpyFile, "append", lambda *given: (gate.wait(10.0), real(*given))[1])
    writing = Spool(tmp_path, 1e9)
    clip = writing.open("a", 1, FRAMES, 0)
    begun = time.monotonic()
    kept = [writing.put(clip, parcel(n, n + 1), 4 * FRAMES[0].nbytes) for n in range(10)]
    assert time.monotonic() - begun < 1.0
    assert writing.waiting_bytes == 4 * FRAMES[0].nbytes
    gate.set()
    writing.finish(clip)
    (told,) = writing.close()
    assert kept == [True] * 4 + [False] * 6
    assert (told.ranges, told.missed) == (((0, 3),), 6)
    assert writing.waiting_bytes == 0
    assert "6 frames of epoch 1 could not be saved: they came faster" in next(missing_clips(tmp_path, [told]))


def test_no_more_is_written_than_the_run_may(tmp_path: Path) -> None:
    writing = Spool(tmp_path, 2.5 * FRAMES[0].nbytes)
    clip = writing.open("a", 1, FRAMES, 0)
    assert [writing.put(clip, parcel(n, n + 1), ROOM) for n in range(3)] == [True, True, False]
    writing.finish(clip)
    assert writing.close()[0].missed == 1


def full_after(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """A disk with so much room: what does not fit is written in part, as the kernel does."""
    real, left = os.pwrite, [limit]

    def pwrite(file: int, data: memoryview, offset: int) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = real(file, data[: left[0]], offset)
        left[0] -= done
        return done

    monkeypatch.setattr(module.os, "pwrite", pwrite)


def test_a_full_disk_loses_nothing_of_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Room for the head, four frames with the head after each, and a part of the fifth.
    full_after(monkeypatch, 5 * 128 + int(4.5 * FRAMES[0].nbytes))
    writing = Spool(tmp_path, 1e9)
    clip = writing.open("a", 1, FRAMES, 0)
    for n in range(10):
        writing.put(clip, parcel(n, n + 1), ROOM)
    writing.finish(clip)
    (told,) = writing.close()
    assert told.failure == "spool/000001-00000000.npy: cannot be written: No space left on device"
    assert (told.ranges, told.missed) == (((0, 3),), 6)
    np.testing.assert_array_equal(read_clip(tmp_path, told)[1], FRAMES[:4])
    np.testing.assert_array_equal(np.load(tmp_path / told.file), FRAMES[:4])
    assert (tmp_path / told.file).stat().st_size == 128 + FRAMES[:4].nbytes


def test_the_last_of_a_disk_is_left_to_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = namedtuple("disk", "f_bavail f_frsize")
    monkeypatch.setattr(module.os, "fstatvfs", lambda _: disk(RESERVE_BYTES + FRAMES[:3].nbytes, 1))
    writing = Spool(tmp_path, 1e9)
    clip = writing.open("a", 1, FRAMES, 0)
    writing.put(clip, parcel(0, 3), ROOM)
    writing.put(clip, parcel(3, 7), ROOM)
    writing.finish(clip)
    (told,) = writing.close()
    assert told.failure.endswith("cannot be written: less than 32 MB would be left on the disk")
    assert (told.frames, told.missed) == (3, 4)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "spool").touch()
    writing = Spool(tmp_path, 1e9)
    clip = writing.open("a", 1, FRAMES, 0)
    writing.put(clip, parcel(0, 3), ROOM)
    writing.finish(clip)
    (told,) = writing.close()
    assert "cannot be written" in told.failure
    assert told.missed == 3


def test_altered_or_lost_frames_are_told(tmp_path: Path, writing: Spool) -> None:
    clip = writing.open("a", 1, FRAMES, 0)
    writing.put(clip, parcel(0, 10), ROOM)
    writing.finish(clip)
    (told,) = writing.close()
    path = tmp_path / told.file
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(data)
    with pytest.raises(RecordError, match="their hash does not fit"):
        read_clip(tmp_path, told)
    path.unlink()
    with pytest.raises(RecordError, match=r"cannot be read: .*No such file"):
        read_clip(tmp_path, told)
    assert "cannot be read" in next(missing_clips(tmp_path, [told]))
    assert read_clip(tmp_path, replace(told, ranges=(), xxh3="2d06800538d394c2"))[1].size == 0


def test_a_killed_writer_leaves_files_that_open(tmp_path: Path) -> None:
    file = NpyFile(tmp_path / "a.npy", FRAMES.dtype, FRAMES.shape[1:])
    for n in range(3):
        file.append(FRAMES[n : n + 1])
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), FRAMES[: n + 1])
    file.close()
