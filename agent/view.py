"""Shows a run while it goes on: a live panel on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from agent.record import Record
from policies.interface import Setup

REFRESH_S = 0.25
LINE_S = 3.0
REAL = 0.5


@dataclass
class Tally:
    """What a run came to so far. ``clock_s`` is the specimen's, ``tracks`` are of particles held for real."""

    setup: Setup
    max_turns: int | None = None
    turns: int = 0
    clock_s: float = 0.0
    electrons: float = 0.0
    refused: int = 0
    events: int = 0
    alarms: int = 0
    tracks: set[int] = field(default_factory=set)
    reason: str = ""

    def add(self, record: Record) -> None:
        """Count one more turn."""
        self.turns += 1
        self.clock_s = record.end_s
        self.electrons += record.electrons_charged
        self.refused += record.percept is None
        self.events += len(record.events)
        self.reason = record.failure or record.decision.reason
        if record.percept is not None:
            self.alarms += len(record.percept.alarms)
            self.tracks |= {particle.track for particle in record.percept.particles if particle.real >= REAL}

    @property
    def time_share(self) -> float:
        """Share of the run's time that is over, 0 to 1."""
        duration_s = self.setup.end_s - self.setup.start_s
        return _share(self.clock_s - self.setup.start_s, duration_s)

    @property
    def dose_share(self) -> float:
        """Share of the electrons that is spent, 0 to 1."""
        return _share(self.electrons, self.setup.max_electrons)

    @property
    def share(self) -> float:
        """Share of the run that is done, 0 to 1: it ends when time, dose or turns are spent, whichever is first."""
        return max(self.time_share, self.dose_share, self.turns / self.max_turns if self.max_turns else 0.0)


class RunView:
    """Shows records as they come. Use as a context manager; give ``show`` every record.

    An output that goes away (a closed pipe or terminal) ends the showing, never the run.
    """

    def __init__(
        self,
        title: str,
        setup: Setup,
        output: TextIO,
        clock: Callable[[], float] = time.monotonic,
        max_turns: int | None = None,
    ) -> None:
        self._title, self._output, self._clock = title, output, clock
        self._tally = Tally(setup=setup, max_turns=max_turns, clock_s=setup.start_s)
        self._begun_s = self._shown_s = clock()
        self._begun_turns, self._begun_share = 0, 0.0
        self._gone = self._over = False
        self._live: Live | None = None
        if output.isatty():
            self._live = Live(console=Console(file=output), auto_refresh=False, redirect_stdout=False)

    def plan(self, title: str, setup: Setup) -> None:
        """Show what is wanted of the run from here on."""
        self._title, self._tally.setup = title, setup

    def known(self, records: tuple[Record, ...]) -> None:
        """Count the turns of a run that is resumed; the rate is of those to come."""
        for record in records:
            self._tally.add(record)
        self._begun_turns, self._begun_share = self._tally.turns, self._tally.share

    def show(self, record: Record) -> None:
        """Count a turn, and draw if it is time to."""
        self._tally.add(record)
        now_s = self._clock()
        if now_s - self._shown_s >= (LINE_S if self._live is None else REFRESH_S):
            self._shown_s = now_s
            self._draw()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Keep off the screen, while somebody else asks a question there."""
        with self._unbroken():
            if self._live is not None:
                self._live.stop()
        yield
        with self._unbroken():
            if self._live is not None:
                self._live.start()

    def __enter__(self) -> RunView:
        with self._unbroken():
            if self._live is not None:
                self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._draw()
        with self._unbroken():
            if self._live is not None:
                self._live.stop()

    def line(self) -> str:
        """What there is to say, in one line."""
        tally, setup = self._tally, self._tally.setup
        return (
            f"{tally.clock_s - setup.start_s:4.0f} of {setup.end_s - setup.start_s:.0f} s, turn {tally.turns}, "
            f"dose {tally.dose_share:.0%}, {self._counts()} | {tally.reason}"
        )

    def _counts(self) -> str:
        tally, wall_s = self._tally, self._clock() - self._begun_s
        new_turns, new_share = tally.turns - self._begun_turns, tally.share - self._begun_share
        parts = [_count(len(tally.tracks), "particle")]
        if tally.events:
            parts.append(_count(tally.events, "event"))
        if tally.alarms:
            parts.append(_count(tally.alarms, "alarm"))
        if tally.refused:
            parts.append(f"{_count(tally.refused, 'turn')} ran nothing")
        if new_turns and wall_s > 0:
            parts.append(f"{new_turns / wall_s:.1f} decisions/s")
        if new_share > 0 and not self._over:
            parts.append(f"about {wall_s * (1.0 - tally.share) / new_share:.0f} s left")
        return ", ".join(parts)

    def _draw(self) -> None:
        if self._gone:
            return
        with self._unbroken():
            if self._live is not None:
                self._live.update(self._panel(), refresh=True)
            else:
                self._output.write(self.line() + "\n")
                self._output.flush()

    def _panel(self) -> Group:
        tally, setup = self._tally, self._tally.setup
        bars = Table.grid(padding=(0, 1))
        over_s, all_s = tally.clock_s - setup.start_s, setup.end_s - setup.start_s
        for name, share, words in (
            ("time", tally.time_share, f"{over_s:.0f} of {all_s:.0f} s of the specimen"),
            ("dose", tally.dose_share, f"{tally.electrons:.3g} of {setup.max_electrons:.3g} electrons"),
        ):
            bars.add_row(name, ProgressBar(total=1.0, completed=share, width=32), f"{share:4.0%}", words)
        return Group(
            Text(self._title, style="bold", no_wrap=True, overflow="ellipsis"),
            bars,
            Text(f"turn {tally.turns}, {self._counts()}", no_wrap=True, overflow="ellipsis"),
            Text(tally.reason, style="italic", no_wrap=True, overflow="ellipsis"),
        )

    @contextlib.contextmanager
    def _unbroken(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError):  # a closed pipe, a terminal that hung up, a closed file
            self._gone, self._live = True, None
            _silence(self._output)


def _share(part: float, whole: float) -> float:
    return min(max(part / whole, 0.0), 1.0) if whole > 0 else 1.0


def _count(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def _silence(output: TextIO) -> None:
    """Send what is still buffered nowhere, or the interpreter complains at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, output.fileno())
        os.close(nowhere)
