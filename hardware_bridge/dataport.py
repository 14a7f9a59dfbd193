"""The server's end of the data socket: the holder gets every part in order, all others what they have room for."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import zmq

from hardware_bridge.errors import Malformed, Rejected
from hardware_bridge.frames import Failure, Frame, Sendable, Values
from hardware_bridge.inbox import Mailbox
from hardware_bridge.messages import Start
from hardware_bridge.observation import Chunk, Gap, Part
from hardware_bridge.refusals import refusal
from hardware_bridge.ring import Ring, sweep
from hardware_bridge.subscriber import Subscriber
from hardware_bridge.wire import DATA_REQUESTS, Attach, Attached, Invalid, read
from hardware_bridge.words import encode

_log = logging.getLogger(__name__)

STALL_S = 0.4
FORGET_S = 10.0
MAX_SUBSCRIBERS = 16


class DataPort:
    """Owns the data socket; used by the thread that runs the instrument, and by no other."""

    def __init__(self, socket: zmq.Socket[bytes], offers_rings: bool = False) -> None:
        """Serve ``socket``; rings are offered where all who can reach it are on this machine."""
        self.socket = socket
        # Without this, a part for a subscriber who is gone would vanish without a word.
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._offers_rings = offers_rings
        self._subscribers: dict[bytes, Subscriber] = {}
        self._start: Start | None = None
        # To make or end a ring takes tens of ms: the instrument does not wait for it.
        self._threads: list[threading.Thread] = []
        self._making: dict[bytes, Attach] = {}
        self._made: Mailbox[tuple[bytes, Attach, Ring | None]] = Mailbox()
        if offers_rings:
            sweep()

    def serve(self) -> None:
        """Answer whatever subscribers have sent; never blocks."""
        # Asked for after every part: much cheaper than to try and fail.
        while int(self.socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            identity, *frames = self.socket.recv_multipart(zmq.NOBLOCK)
            self._answer(identity, frames)
        for identity, request, ring in self._made.drain():
            if self._making.get(identity) is request:
                del self._making[identity]
                self._begin(identity, request, ring)
            elif ring is not None:
                ring.close()

    def send(self, part: Part | Failure, holder: str, wait: Callable[[], bool]) -> bool:
        """Deliver a part to all: to the holder for certain, to all others where they have room for it.

        ``wait`` waits a little, serving meanwhile; it is called as long as the holder has no room and it returns True.
        False comes back where the holder did not get the part: it has read nothing for ``STALL_S``, or cannot be
        reached.

        Raises:
            BridgeError: the driver delivered values of a type that the wire does not carry.
        """
        if isinstance(part, Gap):
            for to in self._subscribers.values():
                to.miss(part.dropped + part.lost)
            return True
        if not isinstance(part, Chunk):
            self._start = part if isinstance(part, Start) else None
        values = Values(part) if isinstance(part, Chunk) and self._subscribers else None
        is_taken = self._insist(holder.encode(), part, values, wait)
        for identity, to in list(self._subscribers.items()):
            if identity != holder.encode() and not self._try(identity, to, part, values):
                to.miss(1)
        return is_taken

    def fileno(self) -> int:
        """The descriptor that is readable while ``serve`` has something to do beside what comes by the socket."""
        return self._made.fileno()

    def close(self) -> None:
        """Close the socket and give the rings back."""
        self.socket.close(0)
        self._making.clear()
        for identity in list(self._subscribers):
            self._forget(identity)
        for thread in self._threads:
            thread.join()
        for _, _, ring in self._made.drain():
            if ring is not None:
                ring.close()
        self._made.close()

    def _insist(self, identity: bytes, part: Sendable, values: Values | None, wait: Callable[[], bool]) -> bool:
        stalled_s, read = time.monotonic(), -1
        while (to := self._subscribers.get(identity)) is not None:
            if self._try(identity, to, part, values, is_holder=True):
                return True
            if to.read != read:
                stalled_s, read = time.monotonic(), to.read
            if time.monotonic() - stalled_s > STALL_S or not wait():
                to.miss(1)
                return False
        return True

    def _try(
        self, identity: bytes, to: Subscriber, part: Sendable, values: Values | None, is_holder: bool = False
    ) -> bool:
        frames = to.frames(part, values, is_holder)
        if frames is None:
            return False
        if self._put(identity, frames):
            to.position += 1
            to.unreached_since_s = None
            return True
        to.take_back()
        now = time.monotonic()
        to.unreached_since_s = now if to.unreached_since_s is None else to.unreached_since_s
        if now - to.unreached_since_s > FORGET_S and not is_holder:
            self._forget(identity)
        return False

    def _put(self, identity: bytes, frames: list[Frame]) -> bool:
        try:
            self.socket.send_multipart([identity, *frames], zmq.NOBLOCK, copy=len(frames) == 1)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            return False
        return True

    def _answer(self, identity: bytes, frames: list[bytes]) -> None:
        try:
            request = read(DATA_REQUESTS, frames[0] if len(frames) == 1 else b"")
            if request.session.encode() != identity:
                raise Malformed("session: not the sender's own")
        except Malformed as error:
            self._put(identity, [encode(Invalid(session="unknown", sequence=0, reason=str(error)[:2000]))])
            return
        if isinstance(request, Attach):
            self._attach(identity, request)
        elif (to := self._subscribers.get(identity)) is not None:
            to.credit(min(request.position, to.position))

    def _attach(self, identity: bytes, request: Attach) -> None:
        session, sequence = request.session, request.sequence
        known = self._subscribers.get(identity)
        if known is not None and known.request == request:
            self._put(identity, [encode(_attached(known))])  # the same request again: its answer was lost
            return
        if self._making.get(identity) == request:
            return
        self._forget(identity)
        if request.window_bytes == 0:
            self._put(identity, [encode(Attached(session=session, sequence=sequence))])
            return
        if len(self._subscribers) >= MAX_SUBSCRIBERS:
            self._forget_who_is_gone()
        if len(self._subscribers) + len(self._making) >= MAX_SUBSCRIBERS:
            error = Rejected("subscribers", "Attach", "one more", f"{MAX_SUBSCRIBERS} readers of the stream")
            self._put(identity, [encode(refusal(request, error))])
            return
        if request.ring and self._offers_rings:
            self._making[identity] = request
            self._aside(lambda: self._make(identity, request))
        else:
            self._begin(identity, request, None)

    def _make(self, identity: bytes, request: Attach) -> None:
        ring = None
        try:
            ring = Ring(request.window_bytes)
        except OSError as error:
            _log.warning("no ring of %d bytes for a reader: %s", request.window_bytes, error)
        self._made.put((identity, request, ring))

    def _begin(self, identity: bytes, request: Attach, ring: Ring | None) -> None:
        to = self._subscribers[identity] = Subscriber(request, ring)
        self._put(identity, [encode(_attached(to))])
        if self._start is not None and not self._try(identity, to, self._start, None):
            to.miss(1)

    def _forget(self, identity: bytes) -> None:
        self._making.pop(identity, None)
        to = self._subscribers.pop(identity, None)
        if to is not None and to.ring is not None:
            self._aside(to.ring.close)

    def _aside(self, act: Callable[[], None]) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        self._threads.append(threading.Thread(target=act, name="ring"))
        self._threads[-1].start()

    def _forget_who_is_gone(self) -> None:
        for identity, to in list(self._subscribers.items()):
            if not self._put(identity, [encode(_attached(to))]):  # the same answer again says nothing new
                self._forget(identity)


def _attached(to: Subscriber) -> Attached:
    ring, request = to.ring, to.request
    return Attached(
        session=request.session,
        sequence=request.sequence,
        ring=ring.name if ring is not None else None,
        ring_bytes=ring.size if ring is not None else 0,
    )
