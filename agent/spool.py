"""The writer of fast streams: a thread of its own puts frames on disk beside the record, and never makes them wait.

    RUN/spool/000012-00004711.npy   frames around an event: of epoch 12, from frame 4711 on
    RUN/spool/table.npy             a line for every frame that was watched (agent/perception/whole_frames.py)

Any NumPy opens them, also while they grow or after a kill. What was written, of which frames, with which hash, is told
by a ``Clip``, for the event log. What finds no room is counted as missed, in the clip.
"""

from __future__ import annotations

import errno
import io
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import xxhash
from numpy.typing import NDArray

from agent.record import Clip

FOLDER = "spool"
TABLE = "table.npy"
RESERVE_BYTES = 32 << 20
"""Left free on the disk, so that the record itself can still be written."""


def npy_header(dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> bytes:
    """The head of a .npy file; its length does not depend on how many items there are."""
    buffer = io.BytesIO()
    form = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, form)
    return buffer.getvalue()


class NpyFile:
    """A .npy file that grows; after every ``append`` its head tells how many items it holds."""

    def __init__(self, path: Path, dtype: np.dtype[np.generic], item: tuple[int, ...]) -> None:
        """Create it.

        Raises:
            OSError: it exists, or cannot be written.
        """
        self._dtype, self._item, self.items = dtype, item, 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        self._end = len(self._head())
        self._write(self._head(), 0)

    def append(self, data: NDArray[np.generic]) -> memoryview:
        """Put items behind the others; returns their bytes as they lie in the file.

        Raises:
            OSError: the disk is full but for a reserve, or failed; the file holds what it held.
        """
        raw = np.ascontiguousarray(data, dtype=self._dtype).reshape(-1).view(np.uint8).data
        disk = os.fstatvfs(self._file)
        if disk.f_bavail * disk.f_frsize < raw.nbytes + RESERVE_BYTES:
            raise OSError(errno.ENOSPC, f"less than {RESERVE_BYTES >> 20} MB would be left on the disk")
        try:
            self._write(raw, self._end)
            self._end += raw.nbytes
            self.items += len(data)
            self._write(self._head(), 0)
        except OSError:
            os.ftruncate(self._file, self._end)
            raise
        return raw

    def close(self) -> None:
        """Have it all on disk.

        Raises:
            OSError: the disk failed.
        """
        try:
            os.fdatasync(self._file)
        finally:
            os.close(self._file)

    def sync(self) -> None:
        """Have on disk what it holds now; raises OSError."""
        os.fdatasync(self._file)

    def _head(self) -> bytes:
        return npy_header(self._dtype, (self.items, *self._item))

    def _write(self, data: bytes | memoryview, offset: int) -> None:
        left = memoryview(data)
        while left:
            done = os.pwrite(self._file, left, offset)
            left, offset = left[done:], offset + done


@dataclass
class Writing:
    """A clip on its way to the disk. ``refused`` is counted by the thread that puts, all else is the writer's."""

    command_id: str
    epoch: int
    dtype: np.dtype[np.generic]
    item: tuple[int, ...]
    name: str
    is_shared: bool
    refused: int = 0
    lost: int = 0
    file: NpyFile | None = None
    offset: int = 0
    ranges: list[tuple[int, int]] = field(default_factory=list)
    start_s: float = 0.0
    end_s: float = 0.0
    digest: xxhash.xxh3_64 = field(default_factory=xxhash.xxh3_64)
    failure: str = ""


@dataclass(frozen=True)
class Parcel:
    """Items to write: frames (or lines of the table) numbered ``first`` and up, taken from ``start_s`` to ``end_s``."""

    first: int
    data: NDArray[np.generic]
    start_s: float
    end_s: float


class Spool:
    """Writes clips below the folder of a run. ``waiting_bytes`` is what is held in memory until it is written.

    ``most_bytes`` is what it may put on disk in all, the table aside.
    """

    def __init__(self, folder: Path, most_bytes: float) -> None:
        self._folder, self._most_bytes = folder / FOLDER, most_bytes
        self._taken_bytes = 0
        self._lock = threading.Lock()
        self.waiting_bytes = 0
        self._jobs: SimpleQueue[tuple[Writing, Parcel | None] | None] = SimpleQueue()
        self._done: SimpleQueue[Clip] = SimpleQueue()
        self._shared: dict[str, NpyFile] = {}
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    def open(self, command_id: str, epoch: int, like: NDArray[np.generic], first: int | None) -> Writing:
        """Begin a clip of items like those of an array; of frames from ``first`` on, or of lines of the table."""
        name = TABLE if first is None else f"{epoch:06d}-{first:08d}.npy"
        return Writing(command_id, epoch, like.dtype, like.shape[1:], name, is_shared=first is None)

    def put(self, clip: Writing, parcel: Parcel, room_bytes: float) -> bool:
        """Have items written if no more than ``room_bytes`` wait then; else they are missed, and it says so.

        Lines of the table always are. The array must not change any more.
        """
        nbytes = parcel.data.nbytes
        with self._lock:
            fits = self.waiting_bytes + nbytes <= room_bytes and self._taken_bytes + nbytes <= self._most_bytes
            fits = fits or clip.is_shared
            if fits:
                self.waiting_bytes += nbytes
                self._taken_bytes += nbytes * (not clip.is_shared)
        if fits:
            self._jobs.put((clip, parcel))
        else:
            clip.refused += len(parcel.data)
        return fits

    def finish(self, clip: Writing) -> None:
        """No more comes to a clip."""
        self._jobs.put((clip, None))

    def done(self) -> list[Clip]:
        """The clips that were finished since this was asked last; never waits."""
        return [self._done.get() for _ in range(self._done.qsize())]

    def close(self) -> list[Clip]:
        """Write all that waits and end; returns the last clips."""
        self._jobs.put(None)
        self._thread.join()
        return self.done()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            clip, parcel = job
            if parcel is None:
                self._done.put(self._end(clip))
                continue
            try:
                self._write(clip, parcel)
            except OSError as error:
                clip.failure = f"{FOLDER}/{clip.name}: cannot be written: {error.strerror}"
            if clip.failure:
                clip.lost += len(parcel.data)
            with self._lock:
                self.waiting_bytes -= parcel.data.nbytes
        for file in self._shared.values():
            file.close()

    def _write(self, clip: Writing, parcel: Parcel) -> None:
        if clip.failure:
            return
        if clip.file is None:
            clip.file = self._file_of(clip)
            clip.offset, clip.start_s = clip.file.items, parcel.start_s
        clip.digest.update(clip.file.append(parcel.data))
        last = parcel.first + len(parcel.data) - 1
        if clip.ranges and clip.ranges[-1][1] + 1 == parcel.first:
            clip.ranges[-1] = clip.ranges[-1][0], last
        else:
            clip.ranges.append((parcel.first, last))
        clip.end_s = parcel.end_s

    def _file_of(self, clip: Writing) -> NpyFile:
        if clip.is_shared and clip.name in self._shared:
            return self._shared[clip.name]
        self._folder.mkdir(exist_ok=True)
        # A run that was resumed, or an instrument that counts its epochs anew, meets files that are there.
        stem, wanted, number = clip.name.removesuffix(".npy"), clip.name, 2
        while (self._folder / clip.name).exists():
            clip.name, number = f"{stem}_{number}.npy", number + 1
        file = NpyFile(self._folder / clip.name, clip.dtype, clip.item)
        if clip.is_shared:
            self._shared[wanted] = file
        return file

    def _end(self, clip: Writing) -> Clip:
        try:
            if clip.file is not None:
                (clip.file.sync if clip.is_shared else clip.file.close)()
        except OSError as error:
            clip.failure = clip.failure or f"{FOLDER}/{clip.name}: cannot be written: {error.strerror}"
        return Clip(
            what="table" if clip.is_shared else "frames",
            command_id=clip.command_id,
            epoch=clip.epoch,
            file=f"{FOLDER}/{clip.name}",
            offset=clip.offset,
            ranges=tuple(clip.ranges),
            missed=clip.refused + clip.lost,
            start_s=clip.start_s,
            end_s=clip.end_s,
            xxh3=clip.digest.hexdigest(),
            failure=clip.failure,
        )
