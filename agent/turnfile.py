"""A file whose writes reach the disk together, once a turn: all of them, or none that changes what was there.

HDF5 writes through it. What extends the file is written first and changes nothing of what was there; then come the few
changes in place, the file's first block before the others, since it says how far the file reaches. A stack that only
grows is whole between any two of these writes. A full disk leaves the file as it was after the turn before, and HDF5,
which crashes the process when a flush fails, never sees an error.
"""

from __future__ import annotations

import os
from pathlib import Path


class TurnFile:
    """A binary file object for h5py. Nothing is on disk before ``commit``."""

    def __init__(self, path: Path, new: bool) -> None:
        """Open a file, which must not exist where it is new.

        Raises:
            OSError: it cannot be opened.
        """
        self.path = path
        self._file = os.open(path, os.O_RDWR | (os.O_CREAT | os.O_EXCL if new else 0), 0o644)
        self._on_disk = self._size = os.fstat(self._file).st_size
        self._position = 0
        self._pending: list[tuple[int, bytes]] = []

    def commit(self) -> None:
        """Put all writes since the last commit on disk: what extends the file first, then what changes it.

        Raises:
            OSError: the disk failed. A file that could not grow is as it was after the last commit.
        """
        before = self._on_disk
        try:
            for offset, data in self._pending:
                self._write(max(offset, before), data[max(0, before - offset) :])
            if self._size > before:
                os.ftruncate(self._file, self._size)
        except OSError:
            os.ftruncate(self._file, before)
            raise
        for offset, data in sorted(self._pending, key=lambda write: write[0] > 0):
            self._write(offset, data[: max(0, before - offset)])
        os.ftruncate(self._file, self._size)
        os.fdatasync(self._file)
        self._on_disk = self._size
        self._pending.clear()

    def close(self) -> None:
        """Close the file; what was not committed is dropped."""
        os.close(self._file)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position of the next read or write."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def read(self, length: int) -> bytes:
        """Return bytes from the position on; see ``readinto``."""
        buffer = bytearray(length)
        self.readinto(memoryview(buffer))
        return bytes(buffer)

    def readinto(self, buffer: memoryview) -> int:
        """Fill a buffer from the position on, with what was written and not yet committed; zeros beyond the end."""
        view = memoryview(buffer).cast("B")
        start, length = self._position, len(view)
        data = os.pread(self._file, length, start)
        view[:] = data + bytes(length - len(data))
        for offset, written in self._pending:
            low, high = max(offset, start), min(offset + len(written), start + length)
            if low < high:
                view[low - start : high - start] = written[low - offset : high - offset]
        self._position += length
        return length

    def write(self, data: memoryview) -> int:
        """Keep data for the next commit."""
        kept = bytes(data)
        self._pending.append((self._position, kept))
        self._position += len(kept)
        self._size = max(self._size, self._position)
        return len(kept)

    def truncate(self, size: int) -> int:
        """Set the size that the file will have at the next commit."""
        self._size = size
        return size

    def flush(self) -> None:
        """Do nothing: ``commit`` decides when data go to the disk."""

    def _write(self, offset: int, data: bytes) -> None:
        left = memoryview(data)
        while left:
            done = os.pwrite(self._file, left, offset)
            left, offset = left[done:], offset + done
