"""Values in shared memory between two processes of one machine: written by one, copied out by the other.

A ring is a file of fixed size in /dev/shm that only its owner may open. Values lie in it in the order of the stream,
each in one piece; messages on the data socket tell where, and credit frees the place. A file that no living process
holds locked was left behind by one that died.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import re
import secrets
import stat
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from hardware_bridge.errors import Malformed

FOLDER = Path("/dev/shm")
PREFIX = "adaptem-ring-"
BLOCK_BYTES = 1 << 18
_NAME = re.compile(rf"{PREFIX}[0-9a-f]{{32}}\Z")

Bytes = NDArray[np.uint8]


class Ring:
    """The writer's end; the file is gone after ``close``."""

    def __init__(self, size: int) -> None:
        """Make the file with all its memory; raises OSError where there is none left."""
        self.name = PREFIX + secrets.token_hex(16)
        self.size = size
        self._path = FOLDER / self.name
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            # Memory that is only promised would be missed when it is written, and end the process.
            os.posix_fallocate(self._descriptor, 0, size)
            # What is mapped at once does not fault page by page when the first frames come.
            self._map = mmap.mmap(self._descriptor, size, mmap.MAP_SHARED | mmap.MAP_POPULATE)
        except BaseException:
            self._unlink()
            raise
        self._bytes: Bytes = np.frombuffer(self._map, np.uint8)
        self._head = 0
        self._spans: deque[int] = deque()  # where each of the values begins that have not been freed, oldest first

    def put(self, nbytes: int, write: Callable[[Bytes], object]) -> int | None:
        """Have ``write`` write its (nbytes,) values where there is room; returns where, or None where there is none."""
        at = self._place(nbytes)
        if at is not None:
            write(self._bytes[at : at + nbytes])
            self._head = at + nbytes
            self._spans.append(at)
        return at

    def free(self) -> None:
        """The oldest values that are still there have been copied out."""
        self._spans.popleft()

    def take_back(self) -> None:
        """The newest values will not be read."""
        self._head = self._spans.pop()

    def close(self) -> None:
        """Give memory and name back; a reader keeps what it has mapped."""
        del self._bytes
        self._map.close()
        self._unlink()

    def _place(self, nbytes: int) -> int | None:
        if not self._spans:
            return 0 if nbytes <= self.size else None  # again from the start: what was used last is still in the cache
        tail = self._spans[0]
        if self._head > tail:
            if nbytes <= self.size - self._head:
                return self._head
            return 0 if nbytes < tail else None
        return self._head if nbytes < tail - self._head else None

    def _unlink(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


class RingView:
    """The reader's end: whatever a message says, nothing outside the ring is read."""

    def __init__(self, name: str, size: int) -> None:
        """Open the ring that a server has offered.

        Raises:
            OSError: there is no such file here, or it cannot be opened.
            Malformed: it is no ring of this user, or of another size.
        """
        if not _NAME.match(name):
            raise Malformed(f"ring = {name!r}: not the name of a ring")
        descriptor = os.open(FOLDER / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or not 0 < size == found.st_size:
                raise Malformed(f"ring = {name}: not a file of this user with {size} bytes")
            self._map = mmap.mmap(descriptor, size, mmap.MAP_SHARED | mmap.MAP_POPULATE, mmap.PROT_READ)
        finally:
            os.close(descriptor)
        self._bytes: Bytes = np.frombuffer(self._map, np.uint8)

    def copy(self, at: int, nbytes: int) -> tuple[memoryview, str] | None:
        """Copy ``nbytes`` of values out, with the hash of the copy; None where they would not lie inside the ring."""
        if not 0 <= at <= at + nbytes <= self._bytes.size:
            return None
        values: Bytes = np.empty(nbytes, np.uint8)
        return values.data, copy_hashed(values, self._bytes[at : at + nbytes])

    def close(self) -> None:
        """Give the mapping back."""
        del self._bytes
        self._map.close()


def copy_hashed(target: Bytes, source: Bytes) -> str:
    """Copy (n,) bytes and return their XXH3-64 in hexadecimal; each block is hashed while it is in the cache."""
    digest = xxhash.xxh3_64()
    for start in range(0, source.size, BLOCK_BYTES):
        block = source[start : start + BLOCK_BYTES]
        copied = target[start : start + BLOCK_BYTES]
        copied[:] = block
        digest.update(copied.data)
    return digest.hexdigest()


def sweep() -> None:
    """Remove the rings that servers of this user left behind when they died."""
    for path in FOLDER.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)
