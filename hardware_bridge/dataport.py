"""The server's end of the data socket: every part is delivered in order, as fast as the subscriber reads."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import zmq

from hardware_bridge.errors import Malformed
from hardware_bridge.frames import Address, Failure, pack
from hardware_bridge.observation import Part
from hardware_bridge.wire import DATA_REQUESTS, Attach, Attached, Invalid, Message, read
from hardware_bridge.words import encode

WAIT_MS = 20
MAX_SUBSCRIBERS = 64


@dataclass
class _Subscriber:
    """One reader; at most ``window_bytes`` are under way to it."""

    window_bytes: int
    sent_bytes: int = 0
    read_bytes: int = 0
    position: int = 0
    dropped: int = 0

    def has_room(self, nbytes: int) -> bool:
        under_way = self.sent_bytes - self.read_bytes
        # A part larger than the window goes when nothing else is under way.
        return under_way <= 0 or under_way + nbytes <= self.window_bytes


class DataPort:
    """Owns the data socket; used by the thread that runs the instrument, and by no other."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket
        # Without this, a part for a subscriber who is gone would vanish without a word.
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.SNDHWM, 0)  # the windows bound what is under way, in bytes
        self._subscribers: dict[bytes, _Subscriber] = {}

    def serve(self) -> None:
        """Answer whatever subscribers have sent; never blocks."""
        with contextlib.suppress(zmq.Again):
            while True:
                identity, *frames = self.socket.recv_multipart(zmq.NOBLOCK)
                answer = self._answer(identity, frames)
                if answer is not None:
                    self._put(identity, [encode(answer)])

    def send(self, session: str, part: Part | Failure, give_up: Callable[[], bool]) -> None:
        """Deliver a part, waiting for room; once ``give_up`` says so it is counted as dropped instead."""
        identity = session.encode()
        to = self._subscribers.get(identity)
        if to is None:
            return
        frames = pack(part, Address(session, to.position, to.dropped))
        to.position += 1
        nbytes = sum(len(frame) for frame in frames)
        while not to.has_room(nbytes):
            if give_up():
                to.dropped += 1
                return
            self.socket.poll(WAIT_MS)
            self.serve()
        if self._put(identity, frames):
            to.sent_bytes += nbytes
        else:
            to.dropped += 1

    def _put(self, identity: bytes, frames: list[bytes | memoryview]) -> bool:
        try:
            self.socket.send_multipart([identity, *frames], zmq.NOBLOCK, copy=False)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            return False
        return True

    def _answer(self, identity: bytes, frames: list[bytes]) -> Message | None:
        try:
            request = read(DATA_REQUESTS, frames[0] if len(frames) == 1 else b"")
        except Malformed as error:
            return Invalid(session="unknown", sequence=0, reason=str(error)[:2000])
        if request.session.encode() != identity:
            return Invalid(session="unknown", sequence=request.sequence, reason="session: not the sender's own")
        if isinstance(request, Attach):
            while len(self._subscribers) >= MAX_SUBSCRIBERS:
                self._subscribers.pop(next(iter(self._subscribers)))
            self._subscribers[identity] = _Subscriber(request.window_bytes)
            return Attached(session=request.session, sequence=request.sequence)
        subscriber = self._subscribers.get(identity)
        if subscriber is not None:
            subscriber.read_bytes = min(max(subscriber.read_bytes, request.received_bytes), subscriber.sent_bytes)
        return None
