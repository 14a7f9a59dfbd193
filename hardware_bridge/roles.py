"""Who may ask for what: an operator for everything, an observer for whatever moves and exposes nothing.

Blanking and stopping are never refused: they are always safe.
"""

from __future__ import annotations

from typing import Literal, get_args

import zmq

from hardware_bridge.errors import Rejected
from hardware_bridge.wire import Attach, Blank, Credit, Describe, GetState, Hello, Message, Recover, Stop

Role = Literal["operator", "observer"]
ROLES: tuple[Role, ...] = get_args(Role)

OBSERVING: tuple[type[Message], ...] = (Hello, Describe, GetState, Recover, Blank, Stop, Attach, Credit)


def check_role(role: Role, request: Message) -> None:
    """Raise Rejected, naming the role and what was asked, unless this role may ask for it."""
    if role != "operator" and not isinstance(request, OBSERVING):
        raise Rejected("role", type(request).__name__, f"asked for by an {role}", "the role operator")


def receive(socket: zmq.Socket[bytes], flags: int = 0) -> tuple[bytes, Role, list[bytes]]:
    """Take one message off a ROUTER: the sender's identity, the role that its key has, and the frames.

    Without encryption only this machine can connect, and whoever does is an operator. Raises zmq.Again as the socket
    does.
    """
    frames = socket.recv_multipart(flags, copy=False)
    identity, *rest = (frame.bytes for frame in frames)
    if socket.getsockopt(zmq.MECHANISM) != zmq.CURVE:
        return identity, "operator", rest
    # What the gate said about the key is kept with the connection, and no message can change it.
    said = frames[-1].get("User-Id")
    return identity, "operator" if said == "operator" else "observer", rest
