"""Reads a file whose end is lost as if the end were there, and zeros."""

from __future__ import annotations

import io
import os
from pathlib import Path

SIZE = 1 << 48  # more than any file of arrays; HDF5 asks for no less than it wrote


class TornFile(io.RawIOBase):
    """A cut-off file for h5py, which opens none that is shorter than it should be.

    What is beyond the end reads as zeros: hashes of the arrays tell which of them are whole.
    """

    def __init__(self, path: Path) -> None:
        """Open a file to read.

        Raises:
            OSError: it cannot be opened.
        """
        self._file = os.open(path, os.O_RDONLY)
        self._position = 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be read anywhere."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position of the next read."""
        self._position = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: SIZE}[whence] + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer from the position on."""
        view = memoryview(buffer).cast("B")
        data = os.pread(self._file, len(view), self._position)
        view[:] = data + bytes(len(view) - len(data))
        self._position += len(view)
        return len(view)

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            os.close(self._file)
        super().close()
