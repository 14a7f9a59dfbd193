"""A run of a detector read by a thread of its own, so that nobody waits for a frame that does not come."""

from __future__ import annotations

import logging
import queue
import threading

from experiments.foreign_detectors.source import Burst, Source
from hardware_bridge.errors import BridgeError, Unreachable

_log = logging.getLogger(__name__)

AHEAD = 8
SLICE_S = 0.02


class Reading(threading.Thread):
    """Reads one run to its end; at most eight bursts ahead of who takes them, the rest waits in the receiver."""

    def __init__(self, source: Source) -> None:
        super().__init__(name="reading", daemon=True)
        self._source = source
        self._bursts: queue.Queue[Burst | BridgeError | None] = queue.Queue(AHEAD)
        self._unwanted = threading.Event()
        self.start()

    def take(self) -> Burst | None:
        """The next burst, None after the last one.

        Raises:
            queue.Empty: nothing came for 20 ms.
            Unreachable: the detector or its receiver gave up.
        """
        item = self._bursts.get(timeout=SLICE_S)
        if isinstance(item, BridgeError):
            raise item
        return item

    def drop(self) -> None:
        """Nobody wants the rest: what still comes is thrown away."""
        self._unwanted.set()

    def run(self) -> None:
        """Read until the run has ended."""
        try:
            is_cancelled = False
            for burst in self._source.run():
                if self._unwanted.is_set() and not is_cancelled:
                    self._source.cancel()
                    is_cancelled = True
                self._put(burst)
            self._put(None)
        except Exception as error:  # noqa: BLE001 - the border to a vendor's library: the one who takes is told
            _log.warning("the detector's run ended early: %s", error)
            self._put(error if isinstance(error, BridgeError) else Unreachable(f"{type(error).__name__}: {error}"))

    def _put(self, item: Burst | BridgeError | None) -> None:
        while not self._unwanted.is_set():
            try:
                self._bursts.put(item, timeout=SLICE_S)
            except queue.Full:
                continue
            return
