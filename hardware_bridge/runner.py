"""The thread that runs the instrument: the only one that submits to it, watches it and reads it back."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import zmq

from hardware_bridge.dataport import DataPort
from hardware_bridge.errors import Malformed, NotHeld, Rejected
from hardware_bridge.frames import Failure
from hardware_bridge.guard import Guard
from hardware_bridge.hand import Hand
from hardware_bridge.inbox import Mailbox
from hardware_bridge.lease import Lease
from hardware_bridge.messages import End
from hardware_bridge.on_loss import Retreat
from hardware_bridge.refusals import refusal
from hardware_bridge.wire import Accepted, Expired, GetState, Message, StateIs, Submit

_log = logging.getLogger(__name__)

POLL_MS = 50
WAIT_MS = 20
UNREAD = "the holder of the lease has not read the stream"
BLANKED_WITHIN_S = 0.5

Answer = Callable[[Message], None]


class Runner(threading.Thread):
    """Takes requests that need the instrument, one after the other, and streams what a command gives to its sender.

    Between two parts of a stream it answers what else was asked, so a read-back never waits for a long scan.
    """

    def __init__(
        self, guard: Guard, port: DataPort, lease: Lease, hand: Hand, is_watched: Callable[[], bool], silence_s: float
    ) -> None:
        super().__init__(name="instrument", daemon=True)
        self._guard, self._port, self._lease, self._hand = guard, port, lease, hand
        self._is_watched = is_watched
        self._silence_s = silence_s
        self._jobs: Mailbox[Callable[[], None]] = Mailbox()
        self._retreat: Retreat | None = None
        self._is_closing = False
        self.running: str | None = None
        self._poller = zmq.Poller()
        self._poller.register(port.socket, zmq.POLLIN)
        self._poller.register(port.fileno(), zmq.POLLIN)
        self._poller.register(self._jobs.fileno(), zmq.POLLIN)

    def ask(self, request: Submit | GetState, answer: Answer) -> None:
        """Have a request carried out soon; ``answer`` is given the reply, from this thread."""
        if isinstance(request, Submit):
            self._jobs.put(lambda: self._submit(request, answer))
        else:
            self._jobs.put(lambda: answer(self._state(request)))

    def lose_holder(self, token: int) -> None:
        """Bring the holder channels to their safe state: the lease under ``token`` was lost."""
        self._jobs.put(lambda: self._begin_retreat(token))

    def run(self) -> None:
        """Work until ``close``."""
        while not self._is_closing:
            self._poller.poll(POLL_MS)
            self._serve()
            self._go_on_retreating()
        self._port.close()

    def close(self) -> None:
        """End soon; what runs must have been blanked before."""
        self._is_closing = True
        self._jobs.put(lambda: None)

    def _serve(self) -> None:
        self._port.serve()
        for job in self._jobs.drain():
            try:
                job()
            except Exception:  # noqa: BLE001 - one request must not end the thread for all
                _log.exception("a request to the instrument failed")

    def _state(self, request: GetState) -> Message:
        try:
            return StateIs(session=request.session, sequence=request.sequence, state=self._guard.state())
        except Exception as error:  # noqa: BLE001 - the border to a driver: whatever it raises goes to the one who asked
            return refusal(request, error)

    def _submit(self, request: Submit, answer: Answer) -> None:
        try:
            self._accept(request)
        except (Rejected, Malformed, NotHeld) as error:
            answer(refusal(request, error, self._lease.tenure()))
            return
        except _Late as late:
            answer(Expired(session=request.session, sequence=request.sequence, late_s=late.late_s))
            return
        except Exception as error:  # noqa: BLE001 - the border to a driver
            _log.exception("the instrument failed when command %s was submitted", request.command.id)
            answer(refusal(request, error))
            return
        assert self._guard.pending is not None
        command, before = self._guard.pending
        answer(Accepted(session=request.session, sequence=request.sequence, command_id=command.id, before=before))
        self._stream(request.session, command.id)

    def _accept(self, request: Submit) -> None:
        late_ns = time.monotonic_ns() - request.deadline_ns
        if request.deadline_ns and late_ns > 0:
            raise _Late(late_ns * 1e-9)
        self._lease.check(request.session, request.token)
        if not self._lease.is_live():
            # The request counted as a sign of life when it was read; it has waited here since, and nothing followed.
            raise Rejected("heartbeat", "id", request.command.id, f"a beat within {self._lease.heartbeat_s:g} s")
        if self._guard.pending is None:
            # A blank that is still on its way would end the next command instead of the last.
            if not self._hand.settled(BLANKED_WITHIN_S):
                raise Rejected("blanking", "id", request.command.id, "the driver has not come back from its last blank")
            if not self._is_watched():
                raise Rejected("supervisor", "id", request.command.id, "a supervisor that can blank the beam")
        self._guard.submit(request.command)
        self.running = request.command.id

    def _stream(self, session: str, command_id: str) -> None:
        wait = self._wait_for_holder
        try:
            for part in self._guard.watch(self._silence_s):
                if isinstance(part, End):
                    self.running = None
                if not self._port.send(part, session, wait) and wait is not _never:
                    wait = _never
                    if self.running is not None and self._lease.is_live():
                        _log.warning("%s of command %s: blanked", UNREAD, command_id)
                        self._hand.do(lambda: self._guard.blank(UNREAD))
                self._serve()
        except Exception as error:  # noqa: BLE001 - the border to a driver
            _log.exception("the instrument failed during command %s", command_id)
            self._guard.abandon()  # where what it gave could not be sent on, the guard has not noticed
            self._port.send(Failure(command_id, f"{type(error).__name__}: {error}"), session, wait)
        finally:
            self.running = None

    def _wait_for_holder(self) -> bool:
        self._poller.poll(WAIT_MS)
        self._serve()
        return not self._is_closing and self._lease.is_live()

    def _begin_retreat(self, token: int) -> None:
        self._retreat = Retreat(self._guard, token, self._silence_s)

    def _go_on_retreating(self) -> None:
        if self._retreat is None or not self._retreat.is_due(now_s := time.monotonic()):
            return
        # A blank that is still on its way would end the step; one that never comes back must not keep it away.
        self._hand.settled(BLANKED_WITHIN_S)
        is_over = self._lease.session is not None  # somebody has taken over
        if is_over or self._retreat.step(now_s):
            self._retreat = None


def _never() -> bool:
    return False


class _Late(Exception):
    """A request was read after its deadline."""

    def __init__(self, late_s: float) -> None:
        super().__init__(late_s)
        self.late_s = late_s
