"""Every error of the bridge, under one base.

BridgeError
|-- Malformed        a message that is not one of the words, or a number that is not finite
|-- Rejected         a command outside what is safe: code, field, value and limit
|-- NotHeld          the sender does not hold the lease, or its fencing token is stale
|-- KeyRefused       the key is not authorised at the bridge, or the bridge is another one
|-- Unreachable      the instrument does not answer within its time
`-- GapFound         parts of a stream are missing where the caller asked for all of it
"""

from __future__ import annotations


class BridgeError(Exception):
    """Base of everything the bridge raises."""


class Malformed(BridgeError):
    """A message that cannot be one of the words; nothing was done."""


class Rejected(BridgeError):
    """A command that safety refused; nothing moved.

    ``code`` is a short stable word (``range``, ``interlock``, ``dose``, ...), ``path`` names the field,
    ``value`` is what was asked for and ``limit`` what is allowed.
    """

    def __init__(self, code: str, path: str, value: str, limit: str) -> None:
        super().__init__(f"{path} = {value} refused ({code}): limit {limit}")
        self.code = code
        self.path = path
        self.value = value
        self.limit = limit


class NotHeld(BridgeError):
    """The sender does not hold the lease on the instrument; nothing was done."""


class KeyRefused(BridgeError):
    """The encrypted connection did not come about: a key is unknown or wrong, or one side has none."""


class Unreachable(BridgeError):
    """The instrument did not answer in time; whether the last command ran is not known from here."""


class GapFound(BridgeError):
    """A stream has missing parts and the caller asked for all of it."""
