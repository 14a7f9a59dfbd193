"""A queue between threads that a poller can wait for together with its sockets."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")


class Mailbox(Generic[ItemT]):
    """Any thread puts, one thread polls ``fileno()`` and drains."""

    def __init__(self) -> None:
        self._items: deque[ItemT] = deque()
        self._lock = threading.Lock()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        """The descriptor that is readable while something waits."""
        return self._event

    def put(self, item: ItemT) -> None:
        """Leave an item; nothing happens once the box is closed."""
        with self._lock:
            if self._event >= 0:
                self._items.append(item)
                os.eventfd_write(self._event, 1)

    def drain(self) -> list[ItemT]:
        """Take all that waits, oldest first; never blocks."""
        if not self._items:
            return []
        with self._lock:
            if self._event >= 0:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._event)
            items = list(self._items)
            self._items.clear()
        return items

    def close(self) -> None:
        """Give the descriptor back; what still waits is forgotten."""
        with self._lock:
            if self._event >= 0:
                os.close(self._event)
                self._event = -1
            self._items.clear()
