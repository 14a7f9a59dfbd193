"""A whole bridge without threads and sockets: the real desk, wall, runner, guard, lease and journal, stepped by hand.

It is wired as `hardware_bridge/server.py` wires it. What the sockets, the blanking thread and the supervisor's process
do is done at once here, so that every order of events can be played again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import cast

import zmq

from experiments.small_column import LIMITS
from hardware_bridge.blanker import Blanker
from hardware_bridge.dataport import DataPort
from hardware_bridge.desk import Desk
from hardware_bridge.guard import Guard
from hardware_bridge.hand import Action, Hand
from hardware_bridge.journal import FileJournal
from hardware_bridge.lease import Lease
from hardware_bridge.messages import Limits
from hardware_bridge.microscope import Microscope
from hardware_bridge.runner import Runner
from hardware_bridge.server import BEAM, JOURNAL, Timing
from hardware_bridge.shutter import Shutter
from hardware_bridge.supervisor import Supervisor
from hardware_bridge.wall import Wall


class Line:
    """Stands where a ROUTER socket stands: ``inbox`` is read, ``outbox`` is what was sent to those not ``gone``."""

    def __init__(self) -> None:
        self.inbox: deque[list[bytes]] = deque()
        self.outbox: list[list[bytes]] = []
        self.gone: set[bytes] = set()

    def setsockopt(self, option: int, value: int) -> None:
        """Set nothing."""

    def getsockopt(self, option: int) -> int:
        """Whether there is something to read; else, nothing is encrypted, so whoever speaks is an operator."""
        if option == zmq.EVENTS:
            return zmq.POLLIN if self.inbox else 0
        return zmq.NULL

    def recv_multipart(self, flags: int = 0, copy: bool = True) -> list[bytes] | list[zmq.Frame]:
        """Take the oldest message, or raise Again."""
        if not self.inbox:
            raise zmq.Again
        frames = self.inbox.popleft()
        return frames if copy else [zmq.Frame(frame) for frame in frames]

    def send_multipart(self, frames: list[bytes], flags: int = 0, copy: bool = True) -> None:
        """Keep a message, or say that its receiver is gone."""
        if frames[0] in self.gone:
            raise zmq.ZMQError(zmq.EHOSTUNREACH)
        self.outbox.append([bytes(frame) for frame in frames])

    def poll(self, timeout_ms: int) -> int:
        """Nobody else runs meanwhile, so what has not come by now will never come."""
        if not self.inbox:
            raise TimeoutError("the stream waits for somebody who does not read it")
        return 1


class PromptHand(Hand):
    """Does what it is asked before it returns."""

    def do(self, action: Action, then: Action = lambda: None) -> None:
        """Act, then do what comes after."""
        action()
        then()


class Watching:
    """Stands where the supervisor stands: it is there, or it is not."""

    def __init__(self) -> None:
        self.is_there = True

    def is_watching(self) -> bool:
        """Whether it is there to blank."""
        return self.is_there


class Stepped:
    """The bridge; ``send`` gives it a message, ``turn`` lets all its threads run until nothing is left to do."""

    def __init__(
        self, folder: Path, microscope: Microscope, clock: Callable[[], float], limits: Limits = LIMITS
    ) -> None:
        """Begin, or begin again, from what the journal in ``folder`` tells."""
        timing = Timing()
        self.journal_path = folder / JOURNAL
        self.journal = FileJournal(self.journal_path)
        past = self.journal.past
        self.blanker = Blanker(folder / BEAM)
        self.blanker.blank()
        self.lease = Lease(timing.heartbeat_s, timing.lease_s, past.token, clock)
        shutter = Shutter(microscope, self.blanker, self.lease.is_live)
        self.guard = Guard(shutter, limits, self.journal, past.ledger(limits), past.settled)
        self.supervisor = Watching()
        self.lines = {name: Line() for name in ("control", "safety", "data")}
        control, safety, data = (cast("zmq.Socket[bytes]", line) for line in self.lines.values())
        self._hand = PromptHand()
        self.runner = Runner(
            self.guard, DataPort(data), self.lease, self._hand, lambda: self.wall.is_watched(), timing.silence_s
        )
        acts = (self.guard.blank, self.guard.stop)
        self.wall = Wall(safety, self.lease, self.runner, self._hand, self.blanker, acts)
        self.wall.watched_by(cast("Supervisor", self.supervisor))
        self.desk = Desk(control, self.guard, self.lease, self.runner, self.journal, self.wall.blank)
        self.guard.blank()

    def send(self, channel: str, frames: list[bytes]) -> None:
        """Leave a message, its sender's identity first, on one of the three lines."""
        self.lines[channel].inbox.append(frames)

    def replies(self, channel: str) -> list[list[bytes]]:
        """Take what was sent on a line."""
        sent = self.lines[channel].outbox
        self.lines[channel].outbox = []
        return sent

    def listen(self) -> None:
        """Let the control and the safety thread do what there is to do: the instrument's thread does not wait here."""
        self.wall._take_all()
        self.wall._confirm()
        self.wall._probe()
        self.wall._watch()
        line = self.lines["control"]
        while line.inbox:
            identity, *frames = line.inbox.popleft()
            self.desk._take(identity=identity, role="operator", frames=frames)

    def turn(self) -> None:
        """Let all threads run; commands that were accepted run to their end, ``listen`` going on between chunks."""
        self.listen()
        self.runner._serve()
        self.runner._go_on_retreating()
        self._answer()

    def _answer(self) -> None:
        for identity, message in self.desk._answers.drain():
            self.desk._send(identity, message)
        self.wall._confirm()

    def close(self) -> None:
        """Give the files back, as a process that ends; the blanker goes with whoever still holds it."""
        self.journal.close()
        for box in (self.desk._answers, self.wall._done, self.runner._jobs, self.runner._port._made):
            box.close()
