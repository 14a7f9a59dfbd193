"""The lease: one holder at a time, under a fencing token that only grows, kept alive by the holder's own beats.

free --take--> working --no beat for heartbeat_s: what runs is blanked--> silent --no beat for lease_s--> lost (free)
working --wait: blanked, no beats are due--> waiting --work--> working
waiting --the holder's process silent for lease_s, or WAIT_S over--> lost (free)
working, waiting --drop, or the holder's connection gone--> free

Only the wall's monotonic clock counts here, never the instrument's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from hardware_bridge.errors import NotHeld

WAIT_S = 3600.0


@dataclass(frozen=True)
class Tenure:
    """Who holds the lease, for how long already, and how long nothing was heard that keeps it, in s."""

    holder: str
    held_s: float
    silent_s: float


class Lease:
    """The one lease of a bridge; every method may be called from any thread."""

    def __init__(
        self, heartbeat_s: float, lease_s: float, token: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin free; ``token`` is the greatest that was ever given away."""
        self.heartbeat_s = heartbeat_s
        self.lease_s = lease_s
        self._clock = clock
        self._lock = threading.Lock()
        self._token = token
        self._session: str | None = None
        self._holder = ""
        self._since_s = 0.0
        self._heard_s = 0.0
        self._present_s = 0.0
        self._wait_until_s = 0.0

    def take(self, session: str, holder: str) -> int:
        """Give the lease to a session, under a token greater than any before; its own again where it has it already.

        Raises:
            NotHeld: another session holds it.
        """
        with self._lock:
            if self._session is not None and self._session != session:
                raise NotHeld(self._spoken())
            self._heard_s = self._clock()
            if self._session is None:
                self._token += 1
                self._session, self._holder = session, holder
                self._since_s = self._heard_s
                self._wait_until_s = 0.0
            return self._token

    def drop(self, session: str, token: int) -> None:
        """Take the lease back from its holder; raises NotHeld for anybody else."""
        with self._lock:
            self._check(session, token)
            self._session = None

    def beat(self, session: str, token: int) -> None:
        """The holder's control loop was heard; raises NotHeld for anybody else."""
        with self._lock:
            self._check(session, token)
            self._heard_s = self._clock()

    def work(self, session: str, token: int) -> None:
        """The holder's control loop begins something: beats are due from now on; raises NotHeld for anybody else."""
        with self._lock:
            self._check(session, token)
            self._heard_s = self._clock()
            self._wait_until_s = 0.0

    def wait(self, session: str, token: int) -> None:
        """The holder has blanked and thinks: no beats are due until it works; raises NotHeld for anybody else."""
        with self._lock:
            self._check(session, token)
            self._present_s = self._clock()
            self._wait_until_s = self._present_s + WAIT_S

    def present(self, session: str, token: int) -> None:
        """The holder's process lives, whatever its loop does: enough while it waits; nothing for anybody else."""
        with self._lock:
            if self._session == session and self._token == token:
                self._present_s = self._clock()

    def check(self, session: str, token: int) -> None:
        """Raise NotHeld unless this session holds the lease under this token."""
        with self._lock:
            self._check(session, token)

    def expire(self) -> bool:
        """Take the lease from a holder who has been silent for too long; True when that happened now."""
        with self._lock:
            if self._session is None:
                return False
            if self._silent_s() <= self.lease_s:
                return False
            self._session = None
            return True

    def lose(self, session: str) -> bool:
        """Take the lease from a holder who is known to be gone; True if they had it."""
        with self._lock:
            had = self._session == session
            if had:
                self._session = None
            return had

    def is_live(self) -> bool:
        """Whether the holder was heard within the heartbeat time-out: else nothing may run."""
        with self._lock:
            return self._session is not None and self._clock() - self._heard_s <= self.heartbeat_s

    @property
    def session(self) -> str | None:
        """Who holds it now."""
        return self._session

    @property
    def token(self) -> int:
        """The greatest token given so far."""
        return self._token

    def tenure(self) -> Tenure | None:
        """How things stand; None while nobody holds it."""
        with self._lock:
            if self._session is None:
                return None
            return Tenure(self._holder, self._clock() - self._since_s, self._silent_s())

    def _silent_s(self) -> float:
        """How long what keeps the lease was not heard: while the holder waits, its process will do."""
        now = self._clock()
        return now - (max(self._heard_s, self._present_s) if now < self._wait_until_s else self._heard_s)

    def _check(self, session: str, token: int) -> None:
        if self._session != session or self._token != token:
            raise NotHeld(self._spoken())

    def _spoken(self) -> str:
        if self._session is None:
            return "nobody holds the lease: take it first"
        return f"the lease is held by {self._holder} for {self._clock() - self._since_s:.1f} s"
