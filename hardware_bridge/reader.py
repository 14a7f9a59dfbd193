"""The client's end of the data socket: what it reads has come whole and in order, and what has not is told."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import zmq

from hardware_bridge.errors import Malformed, Unreachable
from hardware_bridge.frames import Failure, Frame, unpack
from hardware_bridge.observation import Chunk, Gap, Part
from hardware_bridge.refusals import raise_refusal
from hardware_bridge.ring import RingView
from hardware_bridge.wire import Attach, Attached, Credit, Encoding, Message, PartMessage
from hardware_bridge.words import encode

TRY_AGAIN_S = 0.5
IDLE_MS = 5
LINGER_MS = 100
CREDIT_SHARE = 8
CREDIT_EVERY_S = 0.1


@dataclass(frozen=True)
class Intake:
    """How the stream is read: at most ``window_bytes`` under way, or one part where that is larger.

    A small window shows one who only looks on the newest there is, a large one as much as possible. ``ring`` takes
    values through shared memory where the bridge is on this machine, ``encoding`` compresses them on the way.
    """

    window_bytes: int = 48 << 20
    ring: bool = True
    encoding: Encoding = "raw"


EVERYTHING = Intake()
"""A window large enough for all of a fast stream."""


class Reader:
    """Reads the stream from the caller's own thread; one thread at a time.

    ``lost`` counts parts that never came, or came changed or too late, ``dropped`` those that the bridge gave up
    because this reader had no room, ``strays`` those that came twice or too late and were thrown away.
    """

    def __init__(self, socket: zmq.Socket[bytes], session: str, intake: Intake, check: Callable[[], None]) -> None:
        """Read from a socket that is connected; ``check`` raises Unreachable where the connection broke."""
        self.lost = self.dropped = self.strays = 0
        self._socket, self._session, self._intake, self._check = socket, session, intake, check
        socket.setsockopt(zmq.RCVTIMEO, IDLE_MS)
        self._lock = threading.Lock()
        self._ring: RingView | None = None
        self._next: Part | Failure | None = None
        self._position = 0
        self._dropped_total = 0
        self._credited = 0
        self._credited_s = 0.0
        self._uncredited_bytes = 0

    def attach(self, next_sequence: Callable[[], int], timeout_s: float) -> None:
        """Have the stream begin.

        Raises:
            Rejected: the bridge serves no more readers.
            Unreachable: no answer within ``timeout_s``.
        """
        with self._lock:
            attached = self._ask(next_sequence(), self._intake.ring, timeout_s)
            if attached.ring is not None:
                try:
                    self._ring = RingView(attached.ring, attached.ring_bytes)
                except (OSError, Malformed):
                    # It is not to be had here, as through a tunnel: values must come through the socket.
                    self._ask(next_sequence(), False, timeout_s)

    def part(self, timeout_s: float) -> Part | Failure | None:
        """The next part of the stream, or a Gap where some are missing; None where nothing comes in time.

        Raises:
            Unreachable: it was closed.
        """
        deadline = time.monotonic() + timeout_s
        with self._lock:
            if self._socket.closed:
                raise Unreachable("this client was closed")
            while self._next is None:
                frames = self._receive()
                if frames is not None:
                    gap = self._take(frames)
                    if gap is not None:
                        return gap
                    continue
                self._grant()
                if time.monotonic() >= deadline:
                    return None
            part, self._next = self._next, None
            return part

    def close(self) -> None:
        """Ask for the stream no longer, and give everything back."""
        with self._lock:
            if self._socket.closed:
                return
            self._tell(Attach(session=self._session, sequence=0, window_bytes=0))
            self._socket.close(LINGER_MS)
            if self._ring is not None:
                self._ring.close()

    def _ask(self, sequence: int, ring: bool, timeout_s: float) -> Attached:
        window_bytes, encoding = self._intake.window_bytes, self._intake.encoding
        request = Attach(
            session=self._session, sequence=sequence, window_bytes=window_bytes, ring=ring, encoding=encoding
        )
        deadline, again_s = time.monotonic() + timeout_s, 0.0
        while (now := time.monotonic()) < deadline:
            if now >= again_s:
                self._tell(request)
                again_s = now + TRY_AGAIN_S
            self._check()
            frames = self._receive()
            with contextlib.suppress(Malformed):
                reply = unpack(frames or [])[0]
                if reply.sequence == sequence:  # what comes before it is of an earlier subscription
                    if isinstance(reply, Attached):
                        return reply
                    if not isinstance(reply, PartMessage):
                        raise_refusal(reply)
        raise Unreachable(f"no answer within {timeout_s:g} s (Attach)")

    def _receive(self) -> list[Frame] | None:
        try:
            frames: list[Frame] = [self._socket.recv()]
        except zmq.Again:
            return None
        while self._socket.getsockopt(zmq.RCVMORE):
            frames.append(self._socket.recv(copy=False).buffer)
        return frames

    def _take(self, frames: list[Frame]) -> Gap | None:
        """Read a message; its part is the next, and what is missing before it, or is it, comes back."""
        try:
            message, part = unpack(frames, self._ring)
        except Malformed:
            self.strays += 1
            return None
        if not isinstance(message, PartMessage):
            return None
        missing = message.position - self._position
        if missing < 0:
            self.strays += 1
            return None
        dropped = min(max(message.dropped_total - self._dropped_total, 0), missing)
        self._position = message.position + 1
        self._dropped_total = max(self._dropped_total, message.dropped_total)
        self._next = part
        self._read(part.data.nbytes if isinstance(part, Chunk) else 0)
        gap = Gap(dropped=dropped, lost=missing - dropped + (part is None))
        self.dropped += gap.dropped
        self.lost += gap.lost
        return gap if gap.dropped or gap.lost else None

    def _read(self, nbytes: int) -> None:
        """Give credit for what has been read, in a few large pieces where it comes fast."""
        self._uncredited_bytes += nbytes
        now = time.monotonic()
        if (
            self._uncredited_bytes * CREDIT_SHARE >= self._intake.window_bytes
            or now - self._credited_s >= CREDIT_EVERY_S
        ):
            self._grant()

    def _grant(self) -> None:
        if self._credited != self._position:
            self._credited, self._credited_s, self._uncredited_bytes = self._position, time.monotonic(), 0
            self._tell(Credit(session=self._session, sequence=0, position=self._position))

    def _tell(self, message: Message) -> None:
        with contextlib.suppress(zmq.Again):  # nobody reads at the other end; whoever waits for an answer will say so
            self._socket.send(encode(message), zmq.NOBLOCK)
