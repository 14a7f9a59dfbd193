"""The control socket's thread: who may command, what is asked, and the answers of the instrument's thread."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

import zmq

from hardware_bridge.errors import Malformed, NotHeld, Rejected
from hardware_bridge.guard import Guard
from hardware_bridge.inbox import Mailbox
from hardware_bridge.journal import FileJournal
from hardware_bridge.lease import Lease
from hardware_bridge.messages import End
from hardware_bridge.refusals import refusal
from hardware_bridge.roles import Role, check_role, receive
from hardware_bridge.runner import Runner
from hardware_bridge.wire import (
    CONTROL_REQUESTS,
    ControlRequest,
    Describe,
    Described,
    Done,
    DropLease,
    Expired,
    GetState,
    Hello,
    Invalid,
    Leased,
    Message,
    Noted,
    NotStarted,
    Recover,
    Running,
    Submit,
    TakeLease,
    Unknown,
    Welcome,
    read,
)
from hardware_bridge.words import encode

_log = logging.getLogger(__name__)

POLL_MS = 100
REMEMBERED = 64


class Desk(threading.Thread):
    """Serves the control socket. It never waits for the instrument, so it answers whatever the instrument does."""

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        guard: Guard,
        lease: Lease,
        runner: Runner,
        journal: FileJournal | None,
        blank: Callable[[], None],
    ) -> None:
        super().__init__(name="control", daemon=True)
        self._socket, self._guard, self._lease, self._runner = socket, guard, lease, runner
        self._journal, self._blank = journal, blank
        self._answers: Mailbox[tuple[bytes, Message]] = Mailbox()
        # The last reply of each client, for a repeat of its request; None while it is being carried out.
        self._last: OrderedDict[bytes, tuple[int, bytes | None]] = OrderedDict()
        self._is_closing = False
        self.heard_s = time.monotonic()

    def run(self) -> None:
        """Work until ``close``."""
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._answers.fileno(), zmq.POLLIN)
        while not self._is_closing:
            if self._socket in dict(poller.poll(POLL_MS)):
                self._take(*receive(self._socket))
            for identity, message in self._answers.drain():
                self._send(identity, message)
        self._socket.close(0)

    def close(self) -> None:
        """End soon."""
        self._is_closing = True

    def _take(self, identity: bytes, role: Role, frames: list[bytes]) -> None:
        self.heard_s = time.monotonic()
        try:
            request = read(CONTROL_REQUESTS, frames[0] if len(frames) == 1 else b"")
            if request.session.encode() != identity:
                raise Malformed("session: not the sender's own")
        except Malformed as error:
            self._socket.send_multipart(
                [identity, encode(Invalid(session="unknown", sequence=0, reason=str(error)[:2000]))]
            )
            return
        last = self._last.get(identity)
        if last is not None and last[0] == request.sequence:
            if last[1] is not None:
                self._socket.send_multipart([identity, last[1]])
            return
        self._remember(identity, request.sequence, None)
        try:
            check_role(role, request)
            reply = self._answer(identity, request)
        except (Rejected, NotHeld) as error:
            reply = refusal(request, error, self._lease.tenure())
        except Exception as error:  # noqa: BLE001 - nothing that a client sends may end this thread
            _log.exception("a request on the control socket failed")
            reply = refusal(request, error)
        if reply is not None:
            self._send(identity, reply)

    def _answer(self, identity: bytes, request: ControlRequest) -> Message | None:
        session, sequence = request.session, request.sequence
        match request:
            case Hello():
                now_ns = time.monotonic_ns()
                return Welcome(
                    session=session, sequence=sequence, software="adaptem bridge", received_ns=now_ns, sent_ns=now_ns
                )
            case TakeLease():
                return self._take_lease(request)
            case DropLease():
                self._lease.drop(session, request.token)
                self._blank()
                return Noted(session=session, sequence=sequence)
            case Describe():
                return Described(session=session, sequence=sequence, capabilities=self._guard.describe())
            case Recover():
                return self._fate(request)
            case Submit():
                self._lease.work(session, request.token)
                self._runner.ask(request, lambda message: self._answers.put((identity, message)))
            case GetState():
                self._runner.ask(request, lambda message: self._answers.put((identity, message)))
        return None

    def _take_lease(self, request: TakeLease) -> Message:
        late_ns = time.monotonic_ns() - request.deadline_ns
        if request.deadline_ns and late_ns > 0:
            # Whoever asked may be gone by now, and the lease would be held by nobody until it is lost.
            return Expired(session=request.session, sequence=request.sequence, late_s=late_ns * 1e-9)
        before = self._lease.token
        token = self._lease.take(request.session, request.holder)
        if token != before:
            try:
                if self._journal is not None:
                    self._journal.tokens(token)
            except OSError as error:
                self._lease.drop(request.session, token)
                raise Rejected("journal", "lease", request.holder, f"a journal that can be written ({error})") from None
            self._guard.begin_session()
        return Leased(
            session=request.session,
            sequence=request.sequence,
            token=token,
            heartbeat_s=self._lease.heartbeat_s,
            lease_s=self._lease.lease_s,
        )

    def _fate(self, request: Recover) -> Message:
        session, sequence, command_id = request.session, request.sequence, request.command_id
        fate = self._guard.fate(command_id)
        if isinstance(fate, End):
            return Done(session=session, sequence=sequence, command_id=command_id, end=fate)
        kind = {"running": Running, "not started": NotStarted, "unknown": Unknown}[fate]
        return kind(session=session, sequence=sequence, command_id=command_id)

    def _send(self, identity: bytes, message: Message) -> None:
        data = encode(message)
        self._remember(identity, message.sequence, data)
        self._socket.send_multipart([identity, data])

    def _remember(self, identity: bytes, sequence: int, reply: bytes | None) -> None:
        self._last[identity] = (sequence, reply)
        self._last.move_to_end(identity)
        while len(self._last) > REMEMBERED:
            self._last.popitem(last=False)
