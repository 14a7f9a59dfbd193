"""The beam's own line, moved around every acquisition, so that others can read it and pull it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from hardware_bridge.blanker import Blanker
from hardware_bridge.messages import Capabilities, Command, End, InstrumentState, Start
from hardware_bridge.microscope import Microscope, gather_from_watch
from hardware_bridge.observation import Observation, Part


class Shutter:
    """A Microscope whose beam passes a blanker: open from Start to End, closed before the driver is asked to blank."""

    def __init__(self, inner: Microscope, blanker: Blanker, may_open: Callable[[], bool]) -> None:
        """``may_open`` is asked at every Start: where it says no, the beam stays off and the driver ends what runs."""
        self._inner = inner
        self._blanker = blanker
        self._may_open = may_open
        self._lock = threading.Lock()
        self._is_shut = True
        self._pending: tuple[Command, InstrumentState] | None = None

    def describe(self) -> Capabilities:
        """Say what the instrument can do."""
        return self._inner.describe()

    def state(self) -> InstrumentState:
        """Read back the instrument."""
        return self._inner.state()

    def submit(self, command: Command) -> None:
        """Accept a command; raises what the driver raises."""
        before = self._inner.state()
        self._inner.submit(command)
        with self._lock:
            self._pending = (command, before)
            self._is_shut = False
            self._blanker.release()

    def watch(self, timeout_s: float) -> Iterator[Part]:
        """Yield the parts of the command, with the beam let through after its Start and until its End."""
        try:
            for part in self._inner.watch(timeout_s):
                if isinstance(part, End):
                    self._shut()
                yield part
                if isinstance(part, Start):
                    # Only now: whoever was given the Start may have looked at the instrument, and blanked.
                    self._open()
        finally:
            self._shut()

    def gather(self, timeout_s: float) -> Observation:
        """Wait for the command to end and return its window."""
        assert self._pending is not None
        return gather_from_watch(self, *self._pending, timeout_s)

    def blank(self) -> None:
        """Close the blanker, then have the driver end what runs."""
        self._shut()
        self._inner.blank()

    def stop(self) -> None:
        """Close the blanker, then have the driver stop."""
        self._shut()
        self._inner.stop()

    def _open(self) -> None:
        assert self._pending is not None
        acquire = self._pending[0].acquire
        if acquire is not None and acquire.blanked:
            return
        # This process may just have woken up, long after the command was accepted.
        if not self._may_open():
            self.blank()
        with self._lock:
            if not self._is_shut:
                self._blanker.open()

    def _shut(self) -> None:
        with self._lock:
            self._is_shut = True
            self._blanker.blank()
