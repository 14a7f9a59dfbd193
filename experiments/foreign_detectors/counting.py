"""Counts frames by the detector's own numbers on their way into chunks: nothing twice, what is left out is told."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator

from experiments.foreign_detectors.reading import Reading
from hardware_bridge.errors import BridgeError, Unreachable
from hardware_bridge.messages import ChunkHeader
from hardware_bridge.observation import Chunk


class Frames:
    """Turns bursts into chunks: ``next`` is the number that must come next, ``dropped`` counts what was left out."""

    def __init__(self, wanted: int, command_id: str, epoch: int, dwell_s: float) -> None:
        self._wanted, self._command_id, self._epoch, self._dwell_s = wanted, command_id, epoch, dwell_s
        self._sequence = 0
        self._until_s = time.monotonic()
        self.next = 0
        self.dropped = 0

    def of(self, reading: Reading, abort: threading.Event, timeout_s: float) -> Iterator[Chunk]:
        """Yield chunks until all wanted frames were numbered, the run ended, or ``abort`` is set.

        Raises:
            Unreachable: the detector gave up, fell silent for ``timeout_s``, or its run ended before its time.
            BridgeError: a frame came twice.
        """
        heard_s = time.monotonic()
        while self.next < self._wanted and not abort.is_set():
            try:
                burst = reading.take()
            except queue.Empty:
                if time.monotonic() - heard_s > timeout_s:
                    raise Unreachable(f"the detector sent nothing for {timeout_s:g} s") from None
                continue
            if burst is None:
                raise Unreachable("the detector's run has ended")
            heard_s = time.monotonic()
            first, images = burst
            if first < self.next:
                raise BridgeError(f"frame {first} of command {self._command_id} came twice")
            self.dropped += min(first, self._wanted) - self.next
            images = images[: max(0, self._wanted - first)]
            self.next = min(self._wanted, first + max(1, len(images)))
            if len(images):
                data = images if len(images) > 1 else images[0]
                yield Chunk(self._header(first, len(images), images.shape[1], heard_s), data)

    def _header(self, first: int, count: int, rows: int, end_s: float) -> ChunkHeader:
        begin_s = max(self._until_s, end_s - count * self._dwell_s)
        self._until_s = end_s
        self._sequence += 1
        return ChunkHeader(
            command_id=self._command_id,
            epoch=self._epoch,
            sequence=self._sequence - 1,
            frame=first,
            frames=count,
            row_start=0,
            rows=rows,
            start_s=begin_s,
            end_s=end_s,
            dropped_total=self.dropped,
        )
