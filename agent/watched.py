"""The terminal around a run: the live view, and the prompt where a person is asked."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager, nullcontext
from typing import TextIO

from agent.loop import Review
from agent.record import Record
from agent.review import Autonomous, Walls
from agent.terminal import Terminal, TerminalReview
from agent.view import RunView
from hardware_bridge.microscope import Microscope
from policies.interface import Setup


class Watched:
    """Shows a run on ``output`` and, in approval mode, asks on the terminal that ``source`` (a file descriptor) reads.

    The beam is blanked while anybody thinks, and a blanked instrument needs no heartbeat, so waiting costs nothing.
    """

    def __init__(self, source: int, output: TextIO) -> None:
        self.stopped = False
        self._source, self._output = source, output
        self._view: RunView | None = None
        self._asking: TerminalReview | None = None

    def tell(self, line: str) -> None:
        """Say a line before the view opens."""
        with contextlib.suppress(OSError, ValueError):  # an output that is gone; the view finds out too
            self._output.write(line + "\n")
            self._output.flush()

    def begin(self, title: str, setup: Setup, turns: int | None, done: tuple[Record, ...]) -> None:
        """Open the view of a run, with the turns that are there already."""
        self._view = RunView(title, setup, self._output, max_turns=turns)
        self._view.__enter__()
        self._view.known(done)

    def review(self, microscope: Microscope, walls: Walls, approval: bool, timeout_s: float) -> Review:
        """Build the reviewer: the envelope alone, or with a person."""
        if not approval:
            return Autonomous(walls)
        terminal = Terminal(self._source, self._output, lambda: None, self._paused)
        self._asking = TerminalReview(walls, terminal, timeout_s, microscope.stop)
        return self._asking

    def show(self, record: Record) -> bool:
        """Show one record; False once a person stopped the run."""
        if self._view is not None:
            self._view.show(record)
        self.stopped = self._asking is not None and self._asking.stopped
        return not self.stopped

    def close(self) -> None:
        """Close the view."""
        if self._view is not None:
            self._view.__exit__(None, None, None)

    def _paused(self) -> AbstractContextManager[None]:
        return self._view.paused() if self._view is not None else nullcontext()
