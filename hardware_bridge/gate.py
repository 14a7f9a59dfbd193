"""The gate: tells the sockets of a bridge which CURVE keys may connect, and under which role (ZAP, ZeroMQ RFC 27)."""

from __future__ import annotations

import logging
import threading

import zmq
from zmq.utils import z85

from hardware_bridge.keys import ServerKeys

_log = logging.getLogger(__name__)

ADDRESS = "inproc://zeromq.zap.01"
DOMAIN = b"adaptem"
POLL_MS = 100


class Gate(threading.Thread):
    """Answers the handshakes of every keyed socket of one context; a thread of its own, since handshakes wait for it.

    The user id of an admitted connection is the role of its key.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keys: ServerKeys) -> None:
        super().__init__(name="gate", daemon=True)
        self._keys = keys
        self._socket = context.socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(ADDRESS)
        self._is_closing = False

    def lock(self, socket: zmq.Socket[bytes]) -> None:
        """Let nobody connect to a socket without asking here; before it is bound."""
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self._keys.public.encode())
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._keys.secret.encode())
        socket.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # where no gate answers, nobody is let in

    def run(self) -> None:
        """Work until ``close``."""
        while not self._is_closing:
            if self._socket.poll(POLL_MS):
                self._socket.send_multipart(self._answer(self._socket.recv_multipart()))
        self._socket.close(0)

    def close(self) -> None:
        """End, and wait for the end; nobody is let in any more."""
        self._is_closing = True
        if self.is_alive():
            self.join()
        self._socket.close(0)

    def _answer(self, asked: list[bytes]) -> list[bytes]:
        version, number, _, address, _, mechanism, *credentials = asked
        role = None
        if mechanism == b"CURVE" and len(credentials) == 1:
            public = z85.encode(credentials[0]).decode()
            role = self._keys.roles.get(public)
        if role is None:
            _log.warning("a client at %s was refused: its key is not authorised", address.decode(errors="replace"))
            return [version, number, b"400", b"this key is not authorised", b"", b""]
        return [version, number, b"200", b"", role.encode(), b""]
