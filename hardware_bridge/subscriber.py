"""One reader of the stream, as the server sees it: what it asked for, what is under way to it, and what it missed."""

from __future__ import annotations

import time
from collections import deque

from hardware_bridge.frames import Address, Frame, Sendable, Values, pack
from hardware_bridge.ring import Ring
from hardware_bridge.wire import Attach

HEAD_BYTES = 1024
RESERVE_BYTES = 64 * HEAD_BYTES
COMPRESSING_SHARE = 0.1
COMPRESSING_AT_ONCE_S = 0.05


class Subscriber:
    """At most a window of bytes is under way to it, and a few parts without values more; credit makes room.

    ``position`` counts the parts meant for it, ``dropped`` those of them it had no room for, ``read`` those it is done
    with.
    """

    def __init__(self, request: Attach, ring: Ring | None) -> None:
        """Begin at position 0; without a ring values go through the socket."""
        self.request = request
        self.position = 0
        self.dropped = 0
        self.read = 0
        self.unreached_since_s: float | None = None
        self.ring = ring
        self._under_way: deque[tuple[int, int, bool]] = deque()  # position, bytes, whether in the ring
        self._bytes = 0
        self._compressing_s = COMPRESSING_AT_ONCE_S
        self._compressed_s = time.monotonic()

    def credit(self, position: int) -> None:
        """All parts before ``position`` have been read."""
        while self._under_way and self._under_way[0][0] < position:
            number, nbytes, in_ring = self._under_way.popleft()
            self.read = number + 1
            self._bytes -= nbytes
            if in_ring and self.ring is not None:
                self.ring.free()

    def frames(self, part: Sendable, values: Values | None, is_holder: bool) -> list[Frame] | None:
        """What to send for a part, its values in the ring where there is one; None where there is no room for it."""
        nbytes = HEAD_BYTES if values is None else HEAD_BYTES + values.raw.nbytes
        room = self.request.window_bytes + (RESERVE_BYTES if values is None else 0)
        # A part larger than the window goes when nothing else is under way.
        if self._under_way and self._bytes + nbytes > room:
            return None
        ring_at: int | None = None
        deflate = False
        if values is not None and self.ring is not None and 0 < values.raw.nbytes <= self.ring.size:
            ring_at = self.ring.put(values.raw.nbytes, values.write)
            if ring_at is None:
                return None
        elif values is not None and self.request.encoding == "zlib":
            deflate = self._compress(values, is_holder)
            if not deflate:
                return None
        to = Address(self.request.session, self.position, self.dropped)
        self._under_way.append((self.position, nbytes, ring_at is not None))
        self._bytes += nbytes
        return pack(part, to, values, "zlib" if deflate else "raw", ring_at)

    def miss(self, parts: int) -> None:
        """So many parts meant for it are not sent."""
        self.position += parts
        self.dropped += parts

    def take_back(self) -> None:
        """What ``frames`` made last could not be sent."""
        _, nbytes, in_ring = self._under_way.pop()
        self._bytes -= nbytes
        if in_ring and self.ring is not None:
            self.ring.take_back()

    def _compress(self, values: Values, is_holder: bool) -> bool:
        # For those who only look on this may take a tenth of the instrument's time, and no more.
        now = time.monotonic()
        earned_s = COMPRESSING_SHARE * (now - self._compressed_s)
        self._compressing_s, self._compressed_s = min(self._compressing_s + earned_s, COMPRESSING_AT_ONCE_S), now
        if not is_holder and self._compressing_s <= 0:
            return False
        _ = values.deflated
        self._compressing_s -= time.monotonic() - now
        return True
