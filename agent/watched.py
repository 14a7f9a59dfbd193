"""The people around a run: the live view on the terminal, the console, and the prompt where a person is asked."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TextIO

from agent import assemble
from agent.config import Config, ReviewChoice
from agent.console.asking import Asking, wait
from agent.console.audit import Audit
from agent.console.console import Console
from agent.console.door import Door
from agent.console.feed import Feed
from agent.console.rows import Rows
from agent.console.server import Server
from agent.console.sight import Sight
from agent.console.trust import Trust
from agent.console.whereabouts import Whereabouts
from agent.console.words import Mode, Person
from agent.loop import Review
from agent.record import Record
from agent.review import Walls
from agent.steering import Check
from agent.terminal import Terminal, TerminalClient
from agent.view import RunView
from hardware_bridge.microscope import Microscope
from hardware_bridge.observation import Observation
from hardware_bridge.report import Report
from policies.interface import Policy, Setup, foreseen

READ_BACK_S = 1.0


class Watched:
    """Shows a run on ``output`` and asks on the terminal that ``source`` (a file descriptor) reads.

    With the ``folder`` of the run what people do is kept beside its record, and the console is served: at ``port``, or
    at one that is free.
    """

    def __init__(self, source: int, output: TextIO, folder: Path | None = None, port: int | None = None) -> None:
        self.stopped = False
        self._source, self._output, self._folder, self._port = source, output, folder, port
        self._feed: Feed | None = None
        self._server: Server | None = None
        self._view: RunView | None = None
        self._console: Console | None = None
        self._places: Whereabouts | None = None
        self._asking: Asking | None = None
        self._done: tuple[Record, ...] = ()

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
        self._feed = Feed(title, setup, turns)
        for record in done:
            self._feed.add(record)
        self._done = done

    def review(self, microscope: Microscope, walls: Walls, choice: ReviewChoice) -> Review:
        """Build the console of the run and the reviewer that asks it: always, outside the envelope, or never."""
        mode: Mode = ("outside" if walls.has_envelope else "every") if choice.mode == "approval" else "none"
        audit = Audit(self._folder) if self._folder is not None else None
        console = self._console = Console(mode, choice.timeout_s, microscope.stop, audit)
        console.trust = Trust(choice.ask_at_least)
        console.trust.resume(self._done)
        if self._folder is not None and self._feed is not None:
            self._server = Server(console, self._feed, self._port, self._folder)
            self._invite(self._server.door, self._server.door.write(self._folder))
        person = Person(name="operator", role="operator")
        heard_s = 0.0

        def beat() -> None:
            """Read the instrument back now and then: a question may wait for long, and it may be lost meanwhile."""
            nonlocal heard_s
            if self._server is not None and self._feed is not None and time.monotonic() - heard_s > READ_BACK_S:
                self._feed.heard(microscope.state())
                heard_s = time.monotonic()

        client = TerminalClient(console, Terminal(self._source, self._output, self._paused), person, beat)

        def attend(name: str | None, for_s: float | None) -> str:
            gone = client.attend(name, for_s)
            return wait(console, name, for_s, beat) if gone and self._server is not None else gone

        self._places = Whereabouts(walls.capabilities, walls.limits)
        sight = Sight(walls, microscope.state, self._places, choice.watch_e_per_A2_s)
        self._asking = Asking(console, walls, attend, choice.waiting, sight)
        return self._asking

    def through(self, microscope: Microscope) -> Microscope:
        """The instrument, whose images are shown row by row where there are screens."""
        return Rows(microscope, self._feed) if self._server is not None and self._feed is not None else microscope

    def see(self, observation: Observation, belief: Callable[[], Report]) -> None:
        """Show a window on the screens, and take note of where things were in it."""
        if self._places is not None:
            self._places.see(observation)
        if self._feed is not None and self._server is not None:
            self._feed.see(observation, belief)

    def show(self, record: Record) -> bool:
        """Show one record; False once a person stopped the run."""
        if self._view is not None:
            self._view.show(record)
        if self._feed is not None:
            self._feed.add(record)
        if self._asking is not None and record.percept is not None:
            self._asking.percept = record.percept
        if self._console is not None:
            self._console.ended(record.failure)
            self.stopped = bool(self._console.standing.stopped_by)
        return not self.stopped

    def steering(self, check: Check) -> tuple[str, ...]:
        """What people at the console want changed by now."""
        return self._console.steering(check) if self._console is not None else ()

    def plan(self, config: Config, setup: Setup, policy: Policy) -> None:
        """Show what is wanted of the run from here on; what edited commands would tell is asked of this policy."""
        if self._asking is not None:
            self._asking.foresee = partial(foreseen, policy)
        if self._view is not None:
            self._view.plan(config.goal.question, setup)
        if self._feed is not None:
            self._feed.plan(config.goal.question, setup, config.policy.name, assemble.POLICIES)

    def close(self) -> None:
        """Close the view, the server, and the log of what people did."""
        if self._server is not None:
            self._server.close()
        if self._console is not None:
            self._console.close()
        if self._view is not None:
            self._view.__exit__(None, None, None)

    def _invite(self, door: Door, file: Path) -> None:
        """Say where the console is; the token only where a person looks, not where a log may be kept."""
        with self._paused():
            key = f"#{door.operator}" if self._output.isatty() else f" (tokens: {file})"
            self.tell(f"console: {door.address}/{key}")

    def _paused(self) -> AbstractContextManager[None]:
        return self._view.paused() if self._view is not None else nullcontext()
