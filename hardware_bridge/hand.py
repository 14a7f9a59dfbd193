"""The hand on the driver's blank: a thread of its own, because a driver may take its time, or never return."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

_log = logging.getLogger(__name__)

Action = Callable[[], None]


class Hand(threading.Thread):
    """Does one action after the other; nobody else waits for it."""

    def __init__(self) -> None:
        super().__init__(name="blanking", daemon=True)
        self._queue: SimpleQueue[tuple[Action, Action] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._settled = threading.Event()
        self._settled.set()

    def do(self, action: Action, then: Action = lambda: None) -> None:
        """Do something soon, and ``then`` something after it."""
        with self._lock:
            self._waiting += 1
            self._settled.clear()
        self._queue.put((action, then))

    def settled(self, timeout_s: float) -> bool:
        """Wait until all that was asked is done; False where the driver does not come back."""
        return self._settled.wait(timeout_s)

    def run(self) -> None:
        """Work until ``close``."""
        while (job := self._queue.get()) is not None:
            action, then = job
            try:
                action()
            except Exception:  # noqa: BLE001 - the border to a driver; the beam's own line is closed already
                _log.exception("blanking failed")
            with self._lock:
                self._waiting -= 1
                if not self._waiting:
                    self._settled.set()
            then()

    def close(self) -> None:
        """End after what was asked so far."""
        self._queue.put(None)
