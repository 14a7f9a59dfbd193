"""The safety socket's thread: beats, blank and stop, and the watch over silence.

It touches neither the instrument nor the disk, so it answers while everything else hangs.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import zmq

from hardware_bridge.blanker import Blanker
from hardware_bridge.errors import Malformed, NotHeld, Rejected
from hardware_bridge.hand import Hand
from hardware_bridge.inbox import Mailbox
from hardware_bridge.lease import Lease
from hardware_bridge.refusals import refusal
from hardware_bridge.roles import Role, check_role, receive
from hardware_bridge.runner import Runner
from hardware_bridge.supervisor import Supervisor
from hardware_bridge.wire import SAFETY_REQUESTS, Alive, Beat, Invalid, Message, Present, SafetyRequest, Stop, read
from hardware_bridge.words import encode

_log = logging.getLogger(__name__)

TICK_S = 0.02
CONFIRM_S = 0.2
PROBE_S = 0.4
PROBES = 4

Act = Callable[[], None]


@dataclass
class _Waiting:
    """Somebody who asked for a blank and waits for the driver's word."""

    identity: bytes
    request: SafetyRequest
    until_s: float
    is_done: bool = False


class Wall(threading.Thread):
    """Serves the safety socket, and blanks when the agent's loop falls silent."""

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        lease: Lease,
        runner: Runner,
        hand: Hand,
        blanker: Blanker,
        acts: tuple[Act, Act],
    ) -> None:
        """``acts`` are the driver's blank and stop, which are done by ``hand``."""
        super().__init__(name="safety", daemon=True)
        self._socket, self._lease, self._runner, self._hand, self._blanker = socket, lease, runner, hand, blanker
        self._do_blank, self._do_stop = acts
        self._done: Mailbox[_Waiting] = Mailbox()
        self._waiting: list[_Waiting] = []
        self._ended: str | None = None
        self._probed_s = 0.0
        self._unreached = 0
        # Without this, what is sent to somebody who is gone would vanish without a word.
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._supervisor: Supervisor | None = None
        self._is_closing = False
        self.heard_s = time.monotonic()

    def watched_by(self, supervisor: Supervisor) -> None:
        """From now on nothing may run without this supervisor."""
        self._supervisor = supervisor

    def is_watched(self) -> bool:
        """Whether a supervisor could blank the beam if this process died now."""
        return self._supervisor is not None and self._supervisor.is_watching()

    def blank(self) -> None:
        """Have the driver blank, without waiting for it."""
        self._hand.do(self._do_blank)

    def run(self) -> None:
        """Work until ``close``."""
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._done.fileno(), zmq.POLLIN)
        while not self._is_closing:
            poller.poll(round(1000 * TICK_S))
            self._blanker.bridge_is_alive()
            self._take_all()
            self._confirm()
            self._probe()
            self._watch()
        self._socket.close(0)

    def close(self) -> None:
        """End soon."""
        self._is_closing = True

    def _take_all(self) -> None:
        # All that has arrived is read before anybody is judged silent, and never more than a fair share of it.
        for _ in range(1000):
            try:
                identity, role, frames = receive(self._socket, zmq.NOBLOCK)
            except zmq.Again:
                return
            self.heard_s = time.monotonic()
            try:
                reply = self._take(identity, role, frames)
            except Exception:  # noqa: BLE001 - this thread must outlive whatever it is sent
                _log.exception("a request on the safety socket failed")
                continue
            if reply is not None:
                self._send(identity, reply)

    def _send(self, identity: bytes, message: Message) -> bool:
        try:
            self._socket.send_multipart([identity, encode(message)], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            return error.errno != zmq.EHOSTUNREACH
        return True

    def _take(self, identity: bytes, role: Role, frames: list[bytes]) -> Message | None:
        try:
            request = read(SAFETY_REQUESTS, frames[0] if len(frames) == 1 else b"")
            if request.session.encode() != identity:
                raise Malformed("session: not the sender's own")
        except Malformed as error:
            return Invalid(session="unknown", sequence=0, reason=str(error)[:2000])
        try:
            check_role(role, request)
            if isinstance(request, Beat):
                self._lease.beat(request.session, request.token)
                return self._alive(request)
            if isinstance(request, Present):
                self._lease.present(request.session, request.token)
                return None
        except (NotHeld, Rejected) as error:
            return refusal(request, error, self._lease.tenure())
        # Anybody may blank; the holder who did keeps the lease while it thinks.
        with contextlib.suppress(NotHeld):
            self._lease.wait(request.session, request.token)
        waiting = _Waiting(identity, request, time.monotonic() + CONFIRM_S)
        self._waiting.append(waiting)
        self._hand.do(self._do_stop if isinstance(request, Stop) else self._do_blank, lambda: self._done.put(waiting))
        return None

    def _confirm(self) -> None:
        for waiting in self._done.drain():
            waiting.is_done = True
        still = []
        for waiting in self._waiting:
            if waiting.is_done or time.monotonic() > waiting.until_s:
                self._send(waiting.identity, self._alive(waiting.request, waiting.is_done))
            else:
                still.append(waiting)
        self._waiting = still

    def _probe(self) -> None:
        """See whether the holder is still connected; a process that died is not, one whose link broke comes back."""
        session, now = self._lease.session, time.monotonic()
        if session is None or now - self._probed_s < PROBE_S:
            return
        self._probed_s = now
        is_there = self._send(session.encode(), self._alive(Beat(session=session, sequence=0)))
        self._unreached = 0 if is_there else self._unreached + 1
        if self._unreached >= PROBES and self._lease.lose(session):
            self._lost("is gone")

    def _lost(self, why: str) -> None:
        self._unreached = 0
        _log.warning("the lease was lost: its holder %s", why)
        self._hand.do(self._do_blank)
        self._runner.lose_holder(self._lease.token)

    def _watch(self) -> None:
        if self._lease.expire():
            self._lost("fell silent")
        running = self._runner.running
        if running is None or running == self._ended:
            return
        if not self._lease.is_live():
            _log.warning("no beat during command %s: blanked", running)
        elif self._blanker.is_pulled:
            _log.warning("the supervisor pulled the blanker during command %s", running)
        elif not self.is_watched():
            _log.warning("no supervisor during command %s: blanked", running)
        else:
            return
        self._ended = running
        self._hand.do(self._do_blank)

    def _alive(self, request: SafetyRequest, is_confirmed: bool = True) -> Alive:
        return Alive(
            session=request.session,
            sequence=request.sequence,
            blanked=self._blanker.is_blanked,
            confirmed=is_confirmed,
            running=self._runner.running,
        )
