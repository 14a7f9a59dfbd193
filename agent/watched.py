"""The people around a run: the live view on the terminal, the console, and the prompt where a person is asked."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TextIO

from agent.console.asking import Asking
from agent.console.audit import Audit
from agent.console.console import Console
from agent.console.words import Mode
from agent.loop import Review
from agent.record import Record
from agent.review import Walls
from agent.terminal import Terminal, TerminalClient
from agent.view import RunView
from hardware_bridge.microscope import Microscope
from policies.interface import Setup


class Watched:
    """Shows a run on ``output`` and asks on the terminal that ``source`` (a file descriptor) reads.

    What people do is kept beside the record in ``folder``, where one is given.
    """

    def __init__(self, source: int, output: TextIO, folder: Path | None = None) -> None:
        self.stopped = False
        self._source, self._output, self._folder = source, output, folder
        self._view: RunView | None = None
        self._console: Console | None = None

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
        """Build the console of the run and the reviewer that asks it: always, outside the envelope, or never."""
        mode: Mode = ("outside" if walls.has_envelope else "every") if approval else "none"
        audit = Audit(self._folder) if self._folder is not None else None
        self._console = Console(mode, timeout_s, microscope.stop, audit)
        terminal = Terminal(self._source, self._output, self._paused)
        return Asking(self._console, walls, TerminalClient(self._console, terminal).attend)

    def show(self, record: Record) -> bool:
        """Show one record; False once a person stopped the run."""
        if self._view is not None:
            self._view.show(record)
        if self._console is not None:
            self._console.ended(record.failure)
            self.stopped = bool(self._console.standing.stopped_by)
        return not self.stopped

    def close(self) -> None:
        """Close the view, and the log of what people did."""
        if self._console is not None:
            self._console.close()
        if self._view is not None:
            self._view.__exit__(None, None, None)

    def _paused(self) -> AbstractContextManager[None]:
        return self._view.paused() if self._view is not None else nullcontext()
