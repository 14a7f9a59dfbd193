"""Where a bridge listens: one base address, three sockets beside each other."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

CHANNELS = ("control", "safety", "data")
IO_THREADS = 2
"""Of zmq, at either end: what is asked and answered does not wait behind megabytes of the stream."""

EXAMPLES = "tcp://127.0.0.1:5570 or ipc:///run/adaptem"

_TCP = re.compile(r"^tcp://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.\-]+):(\d{1,5})\Z")
_IPC = re.compile(r"^ipc://(/[^\x00-\x1f]{1,90})\Z")


def affinity(channel: str) -> int:
    """Which of the I/O threads carries a socket, as zmq's bit mask: the stream has one of its own."""
    return 0b10 if channel == "data" else 0b01


@dataclass(frozen=True)
class Endpoint:
    """One base address.

    TCP: control, safety and data on PORT, PORT + 1 and PORT + 2; ipc: the path with a suffix each.
    """

    host: str
    port: int
    path: str = ""

    def address(self, channel: str) -> str:
        """The address of one of the three sockets."""
        if self.path:
            return f"ipc://{self.path}-{channel}"
        return f"tcp://{self.host}:{self.port + CHANNELS.index(channel)}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.path:
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return f"ipc://{self.path}" if self.path else f"tcp://{self.host}:{self.port}"


def parse(text: str) -> Endpoint:
    """Read an endpoint; port 0 lets a server choose.

    Raises:
        ValueError: it is neither tcp://HOST:PORT nor ipc:///PATH.
    """
    if match := _TCP.match(text):
        port = int(match[2])
        if port > 65533:
            raise ValueError(f"endpoint = {text!r}: the port must be at most 65533, since two more beside it are used")
        return Endpoint(host=match[1], port=port)
    if match := _IPC.match(text):
        return Endpoint(host="", port=0, path=match[1])
    raise ValueError(f"endpoint = {text!r} is no address such as {EXAMPLES}")
