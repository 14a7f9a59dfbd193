"""Images on the screens row by row, while they are taken."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from agent.console.feed import Feed, Taken
from hardware_bridge.geometry import merged
from hardware_bridge.messages import Capabilities, Command, End, InstrumentState, Start
from hardware_bridge.microscope import Microscope, gather_from_watch
from hardware_bridge.observation import Chunk, Observation, Part

EVERY_S = 0.04
"""A picture is not shown more often; making one takes a millisecond or two of the loop's time."""


class Rows:
    """A Microscope that is another one, and shows what comes from it."""

    def __init__(self, inner: Microscope, feed: Feed) -> None:
        self._inner, self._feed = inner, feed
        self._pending: tuple[Command, InstrumentState] | None = None
        self._image: NDArray[np.float32] | None = None
        self._shown_s = 0.0

    def describe(self) -> Capabilities:
        """Say what the instrument can do."""
        return self._inner.describe()

    def state(self) -> InstrumentState:
        """Read back where everything is."""
        return self._inner.state()

    def submit(self, command: Command) -> None:
        """Accept a command; raises what the instrument raises."""
        before = self._inner.state()
        self._inner.submit(command)
        self._pending = command, before

    def watch(self, timeout_s: float) -> Iterator[Part]:
        """Yield the parts of the submitted command, and show the rows among them."""
        for part in self._inner.watch(timeout_s):
            self._see(part)
            yield part

    def gather(self, timeout_s: float) -> Observation:
        """Wait for the submitted command to end and return its window."""
        if self._pending is None:
            return self._inner.gather(timeout_s)
        return gather_from_watch(self, *self._pending, timeout_s)

    def blank(self) -> None:
        """Blank the beam now."""
        self._inner.blank()

    def stop(self) -> None:
        """Blank, abort and refuse every further command."""
        self._inner.stop()

    def _see(self, part: Part) -> None:
        if isinstance(part, Start):
            sizes = tuple(axis.size for axis in part.axes)
            is_image = part.kind == "frame" and len(sizes) == 2
            self._image = np.zeros(sizes, dtype=np.float32) if is_image else None
            self._shown_s = time.monotonic()
        elif isinstance(part, End):
            self._image = None
        elif isinstance(part, Chunk) and self._image is not None:
            header, rows = part.header, part.stack[-1]
            end = header.row_start + len(rows)
            if rows.shape[1:] != self._image.shape[1:] or end > len(self._image):
                return  # whoever collects them tells that it does not fit
            self._image[header.row_start : end] = rows
            now_s = time.monotonic()
            # The whole image is shown once it is perceived.
            if now_s - self._shown_s > EVERY_S and end < len(self._image) and self._pending is not None:
                self._shown_s = now_s
                command, before = self._pending
                taken = Taken(command, merged(before.go, command.go), header.end_s)
                rows_there = end if header.frame == 0 else None
                self._feed.show(self._image, taken, len(self._feed.turns), rows_there)
