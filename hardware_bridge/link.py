"""The client's I/O thread, alone at the control and the safety socket. It never beats, it says that it lives."""

from __future__ import annotations

import contextlib
import itertools
import secrets
import threading
import time
from queue import Empty, SimpleQueue

import zmq
from zmq.utils.monitor import recv_monitor_message

from hardware_bridge.endpoint import IO_THREADS, Endpoint, affinity
from hardware_bridge.errors import KeyRefused, Malformed, Unreachable
from hardware_bridge.inbox import Mailbox
from hardware_bridge.keys import ClientKeys
from hardware_bridge.wire import MAX_MESSAGE_BYTES, MAX_PART_BYTES, REPLIES, Message, Reply, read
from hardware_bridge.words import encode

TRY_AGAIN_S = 0.5
POLL_MS = 200
PRESENT_EVERY_S = 1.0
SLICE_S = 0.1
GONE_S = 0.5
HANDSHAKES = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
NO_KEYS_HERE = "the bridge lets in only clients with a key, and none was given"
OTHER_BRIDGE = "the bridge has another server key than the one in the key file, or uses no keys"
CLOSED = f"{NO_KEYS_HERE}; or something else listens there"
NO_KEYS_THERE = "the bridge uses no keys, and one was given"


class Link(threading.Thread):
    """The sockets to one bridge, under one random session name."""

    def __init__(self, endpoint: Endpoint, keys: ClientKeys | None = None) -> None:
        super().__init__(name="bridge link", daemon=True)
        self.session = secrets.token_hex(16)
        self._endpoint, self._keys = endpoint, keys
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(IO_THREADS)
        self._monitor: zmq.Socket[bytes]
        self._sockets = {channel: self.connect(channel) for channel in ("control", "safety")}
        self._sequence = itertools.count(1)
        self._outbox: Mailbox[tuple[str, bytes]] = Mailbox()
        self._replies: dict[int, SimpleQueue[Reply]] = {}
        self._present: bytes | None = None
        self._present_s = 0.0
        self._gone_since_s: float | None = None
        self._was_connected = False
        self._failures_s: list[float] = []
        self._refused: str | None = None
        self._is_closing = False
        self.start()

    def next_sequence(self) -> int:
        """A number for the next request."""
        return next(self._sequence)

    def stay_present(self, message: Message) -> None:
        """Say on the safety socket, every second from now on, that this process lives."""
        self._present = encode(message)

    def tell(self, channel: str, message: Message) -> None:
        """Send without waiting for a reply; one that comes anyway is forgotten, unless ``listen`` was called for it."""
        self._outbox.put((channel, encode(message)))

    def listen(self, sequence: int) -> SimpleQueue[Reply]:
        """Where the replies to a request will lie; ``forget`` ends it."""
        return self._replies.setdefault(sequence, SimpleQueue())

    def forget(self, sequence: int) -> None:
        """No longer wait for a reply."""
        self._replies.pop(sequence, None)

    def ask(self, channel: str, message: Message, timeout_s: float) -> Reply:
        """Send and wait for the reply; the same request is sent again where none comes, and is carried out once.

        Raises:
            KeyRefused: the two sides do not know each other's keys.
            Unreachable: no reply within ``timeout_s``, or the bridge is gone.
        """
        replies = self.listen(message.sequence)
        deadline = time.monotonic() + timeout_s
        try:
            again_s = 0.0
            while (now := time.monotonic()) < deadline:
                if now >= again_s:
                    self.tell(channel, message)
                    again_s = now + TRY_AGAIN_S
                with contextlib.suppress(Empty):
                    return replies.get(timeout=max(0.0, min(SLICE_S, deadline - now)))
                self.check()
            raise Unreachable(f"no answer from {self._endpoint} within {timeout_s:g} s ({type(message).__name__})")
        finally:
            self.forget(message.sequence)

    def check(self) -> None:
        """Raise Unreachable where the connection broke and has not come back, KeyRefused where there never was one."""
        if not self._was_connected:
            if self._refused is not None:
                raise KeyRefused(f"{self._endpoint}: {self._refused}")
            if self._failures_s and self._failures_s[-1] - self._failures_s[0] > GONE_S:
                raise KeyRefused(f"{self._endpoint}: {CLOSED if self._keys is None else OTHER_BRIDGE}")
            return
        since_s = self._gone_since_s
        if since_s is not None and time.monotonic() - since_s > GONE_S:
            raise Unreachable(f"the connection to {self._endpoint} broke and nobody listens there any more")

    def run(self) -> None:
        """Work until ``close``."""
        poller = zmq.Poller()
        for socket in self._sockets.values():
            poller.register(socket, zmq.POLLIN)
        poller.register(self._outbox.fileno(), zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        while not self._is_closing:
            ready = dict(poller.poll(POLL_MS))
            for channel, data in self._outbox.drain():
                self._send(channel, data)
            if self._present is not None and time.monotonic() - self._present_s > PRESENT_EVERY_S:
                self._present_s = time.monotonic()
                self._send("safety", self._present)
            for socket in self._sockets.values():
                if socket in ready:
                    self._settle(socket.recv_multipart())
            if self._monitor in ready:
                self._note_connection()
        for channel, data in self._outbox.drain():
            self._send(channel, data)
        self._sockets["safety"].disable_monitor()
        self._monitor.close(0)
        for socket in self._sockets.values():
            socket.close(0)
        self._context.term()

    def close(self) -> None:
        """End, and wait for the end."""
        self._is_closing = True
        self._outbox.put(("", b""))
        self.join()
        self._outbox.close()

    def connect(self, channel: str) -> zmq.Socket[bytes]:
        """Make a socket and connect it; ``close`` waits until whoever asked for it has closed it."""
        socket = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.IDENTITY, self.session.encode())
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.AFFINITY, affinity(channel))
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_PART_BYTES if channel == "data" else MAX_MESSAGE_BYTES)
        if channel == "data":
            socket.setsockopt(zmq.RCVHWM, 0)  # what is under way is bounded by the window, in bytes
        if self._keys is not None:
            socket.setsockopt(zmq.CURVE_PUBLICKEY, self._keys.public.encode())
            socket.setsockopt(zmq.CURVE_SECRETKEY, self._keys.secret.encode())
            socket.setsockopt(zmq.CURVE_SERVERKEY, self._keys.server.encode())
        if channel == "safety":  # before it connects, so that nothing is missed
            self._monitor = socket.get_monitor_socket(HANDSHAKES | zmq.EVENT_DISCONNECTED)
        socket.connect(self._endpoint.address(channel))
        return socket

    def _send(self, channel: str, data: bytes) -> None:
        if channel:
            try:
                self._sockets[channel].send(data, zmq.NOBLOCK)
            except zmq.Again:
                return  # nobody reads at the other end; whoever waits for the answer will say so

    def _note_connection(self) -> None:
        event = recv_monitor_message(self._monitor)["event"]
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._gone_since_s, self._was_connected = None, True
        elif event == zmq.EVENT_DISCONNECTED:
            if self._gone_since_s is None:
                self._gone_since_s = time.monotonic()
        elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            self._refused = "the bridge does not know this key: it must be authorised there"
        elif event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
            self._refused = NO_KEYS_HERE if self._keys is None else NO_KEYS_THERE
        else:
            # No detail is given. Where one side alone has keys a later try may tell so, where each of them is closed by
            # the faster side none does; a bridge that was just ending is gone, or new, at the next try; a bridge with
            # another key goes on like this.
            self._failures_s.append(time.monotonic())

    def _settle(self, frames: list[bytes]) -> None:
        with contextlib.suppress(Malformed):
            reply = read(REPLIES, frames[0])
            waiting = self._replies.get(reply.sequence)
            if waiting is not None:
                waiting.put(reply)
