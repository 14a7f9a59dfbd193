"""The twin's beam blanker: a line that outlives the process which moves it, and that others can read and pull.

A memory-mapped file of six 8-byte words, each read and written whole, so that nobody ever sees half of one. The bridge
opens and closes the beam on its own line; the supervisor has a second line, and the beam is on only while the first is
open and the second is not pulled, as with the two inputs of a real blanker. Times are CLOCK_MONOTONIC in ns, which all
processes of a machine share.
"""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path

_SIZE = 64
_OPEN, _OPEN_NS, _PULLED, _PULLED_NS, _ALIVE_NS, _WATCH_NS = range(6)


class Blanker:
    """One handle on a blanker; several processes may hold one each."""

    def __init__(self, path: Path) -> None:
        """Open a blanker, or make one, blanked, where there is none; raises OSError where its disk is full."""
        self.path = path
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Memory of a file that is only promised would be missed when it is written, and end the process.
            os.posix_fallocate(descriptor, 0, _SIZE)
            self._map = mmap.mmap(descriptor, _SIZE)
        finally:
            os.close(descriptor)
        # One store each: struct.pack_into would write zeros first, which others could read.
        self._words = memoryview(self._map).cast("q")

    def open(self) -> None:
        """Let the beam through, unless the supervisor has pulled its line."""
        self._put(_OPEN, _OPEN_NS, 1)

    def blank(self) -> None:
        """Blank the beam."""
        self._put(_OPEN, _OPEN_NS, 0)

    def pull(self) -> None:
        """Blank the beam, whatever the bridge says; the supervisor's line."""
        self._put(_PULLED, _PULLED_NS, 1)

    def release(self) -> None:
        """Let the bridge decide again."""
        self._put(_PULLED, _PULLED_NS, 0)

    @property
    def is_pulled(self) -> bool:
        """Whether the supervisor holds the beam blanked."""
        return self._get(_PULLED) != 0

    @property
    def is_blanked(self) -> bool:
        """Whether no beam reaches the specimen."""
        return self.is_pulled or self._get(_OPEN) == 0

    @property
    def changed_ns(self) -> int:
        """When a line was last moved."""
        return max(self._get(_OPEN_NS), self._get(_PULLED_NS))

    def bridge_is_alive(self) -> None:
        """The bridge's safety thread runs."""
        self._set(_ALIVE_NS, time.monotonic_ns())

    def supervisor_is_alive(self) -> None:
        """The supervisor runs."""
        self._set(_WATCH_NS, time.monotonic_ns())

    def bridge_silent_s(self) -> float:
        """How long the bridge's safety thread has not run."""
        return (time.monotonic_ns() - self._get(_ALIVE_NS)) * 1e-9

    def supervisor_silent_s(self) -> float:
        """How long the supervisor has not run."""
        return (time.monotonic_ns() - self._get(_WATCH_NS)) * 1e-9

    def close(self) -> None:
        """Give the handle back; the lines stay as they are."""
        self._words.release()
        self._map.close()

    def _put(self, line: int, at: int, value: int) -> None:
        if self._get(line) != value:
            self._set(line, value)
            self._set(at, time.monotonic_ns())

    def _get(self, word: int) -> int:
        return self._words[word]

    def _set(self, word: int, value: int) -> None:
        self._words[word] = value
