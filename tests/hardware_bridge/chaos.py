"""A proxy between client and bridge that delays, doubles, reorders, drops and replays whole messages."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import zmq

from hardware_bridge.endpoint import CHANNELS, parse
from hardware_bridge.inbox import Mailbox


@dataclass(frozen=True)
class Passing:
    """A message on its way: whose, on which channel, in which direction."""

    channel: str
    to_bridge: bool
    session: bytes
    frames: list[bytes]


Fate = Callable[[Passing], list[float]]


def calm(passing: Passing) -> list[float]:
    """Pass once, at once."""
    return [0.0]


class Chaos(threading.Thread):
    """Clients connect to ``endpoint``; ``fate`` says after how many s each copy of a message arrives, none drops it.

    ``passed`` are the messages that came by, ``replay`` sends one again.
    """

    def __init__(self, bridge: str, folder: Path, fate: Fate = calm) -> None:
        super().__init__(daemon=True)
        self.endpoint = f"ipc://{folder}/chaos"
        self.fate = fate
        self.passed: list[Passing] = []
        self._bridge = parse(bridge)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._front = {channel: self._context.socket(zmq.ROUTER) for channel in CHANNELS}
        for channel, socket in self._front.items():
            socket.bind(parse(self.endpoint).address(channel))
        self._back: dict[tuple[str, bytes], zmq.Socket[bytes]] = {}
        self._late: list[tuple[float, int, Passing]] = []
        self._count = itertools.count()
        self._replays: Mailbox[Passing] = Mailbox()
        self._is_closing = False

    def __enter__(self) -> "Chaos":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closing = True
        self.join()
        self._context.destroy(linger=0)
        self._replays.close()

    def replay(self, passing: Passing) -> None:
        self._replays.put(passing)

    def run(self) -> None:
        poller = zmq.Poller()
        for socket in self._front.values():
            poller.register(socket, zmq.POLLIN)
        poller.register(self._replays.fileno(), zmq.POLLIN)
        while not self._is_closing:
            ready = dict(poller.poll(2))
            for channel, socket in self._front.items():
                while socket in ready and socket.poll(0):
                    session, *frames = socket.recv_multipart()
                    if (channel, session) not in self._back:
                        poller.register(self._connect(channel, session), zmq.POLLIN)
                    self._take(Passing(channel, True, session, frames))
            for (channel, session), back in self._back.items():
                while back.poll(0):
                    self._take(Passing(channel, False, session, back.recv_multipart()))
            for passing in self._replays.drain():
                self._deliver(passing)
            while self._late and self._late[0][0] <= time.monotonic():
                self._deliver(heapq.heappop(self._late)[2])

    def _connect(self, channel: str, session: bytes) -> zmq.Socket[bytes]:
        back = self._context.socket(zmq.DEALER)
        back.setsockopt(zmq.IDENTITY, session)
        back.connect(self._bridge.address(channel))
        self._back[channel, session] = back
        return back

    def _take(self, passing: Passing) -> None:
        self.passed.append(passing)
        for delay_s in self.fate(passing):
            heapq.heappush(self._late, (time.monotonic() + delay_s, next(self._count), passing))

    def _deliver(self, passing: Passing) -> None:
        if passing.to_bridge:
            self._back[passing.channel, passing.session].send_multipart(passing.frames)
        else:
            self._front[passing.channel].send_multipart([passing.session, *passing.frames])
