"""The wire client: a Microscope whose instrument is behind a bridge.

    with Client("tcp://127.0.0.1:5570") as microscope:
        observation = execute(microscope, command, timeout_s=2.0)

Whoever does not hold the lease may look on, with ``holder=None``:

    with Client("tcp://127.0.0.1:5570", holder=None, intake=Intake(window_bytes=1)) as client:
        for part in client.look_on(timeout_s=10.0):
            show(part)

Beats come from the caller's own thread alone, in ``watch``, ``gather`` and ``beat``: where that thread hangs, the beam
goes blank. Before a step that may take over 400 ms, call ``blank``: blanked, thinking may take as long as it takes.
"""

from __future__ import annotations

import contextlib
import getpass
import math
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from queue import Empty
from typing import Any, TypeVar

from hardware_bridge import wire
from hardware_bridge.endpoint import Endpoint, parse
from hardware_bridge.errors import BridgeError, NotHeld, Rejected, Unreachable
from hardware_bridge.frames import Failure
from hardware_bridge.keys import ClientKeys
from hardware_bridge.link import Link
from hardware_bridge.messages import Capabilities, Command, End, InstrumentState, Start
from hardware_bridge.microscope import gather_from_watch
from hardware_bridge.observation import Chunk, Gap, Observation, Part
from hardware_bridge.reader import EVERYTHING, Intake, Reader
from hardware_bridge.refusals import raise_refusal
from hardware_bridge.words import validated

SLICE_S = 0.1
BEAT_EVERY_S = 0.05
DEAD_S = 1.1
RECOVER_S = 0.5
RECOVERED_S = 0.8

ReplyT = TypeVar("ReplyT")


class Client:
    """Implements ``Microscope`` over the wire and holds the instrument's lease; ``close`` gives it back.

    Use it from one thread; ``blank`` and ``stop`` may be called from any.
    """

    def __init__(
        self,
        endpoint: str,
        holder: str | None = "",
        timeout_s: float = 1.8,
        lease_wait_s: float = 12.0,
        keys: ClientKeys | None = None,
        intake: Intake = EVERYTHING,
    ) -> None:
        """Connect and take the lease; None for ``holder`` takes none, to look on, to blank and to stop.

        ``holder`` is what others are told about who has it. A lease whose holder is not heard any more is waited for,
        up to ``lease_wait_s``. ``intake`` is how the stream comes.

        Raises:
            ValueError: the endpoint is no address, or is not on this machine and there are no keys.
            KeyRefused: the bridge does not know the key, or is not the one whose key the client has.
            Rejected: the key's role may not take the lease.
            Unreachable: nothing answers within ``timeout_s``.
            NotHeld: somebody else works there; who, and for how long already, is said.
            Malformed: the other end speaks another version.
        """
        self._timeout_s = timeout_s
        self._endpoint = _allowed(endpoint, keys)
        self._intake = intake if self._endpoint.is_local else replace(intake, ring=False)
        self._link = Link(self._endpoint, keys)
        self._reader: Reader | None = None
        self._token = 0
        self._pending: tuple[Command, InstrumentState] | None = None
        self._beat_s = 0.0
        self._unanswered_s: float | None = None
        self._beats = self._link.listen(0)
        self._running: str | None = None
        try:
            self._offset_ns = self._greet()
            self._capabilities = self._ask("control", wire.Describe, wire.Described).capabilities
            if holder is not None:
                self._attached()
                name = holder or f"{getpass.getuser()}@{socket.gethostname()} pid {os.getpid()}"
                self._take_lease(name, lease_wait_s)
        except BaseException:
            self._disconnect()
            raise

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def lost_parts(self) -> int:
        """Parts of the stream that never came, or came changed or too late, since the client began to read it."""
        return self._reader.lost if self._reader is not None else 0

    @property
    def dropped_parts(self) -> int:
        """Parts that the bridge gave up because this client had no room for them; none for the holder of the lease."""
        return self._reader.dropped if self._reader is not None else 0

    def describe(self) -> Capabilities:
        """Say what the instrument can do."""
        return self._capabilities

    def state(self) -> InstrumentState:
        """Read back where everything is; raises Unreachable."""
        return self._ask("control", wire.GetState, wire.StateIs).state

    def submit(self, command: Command) -> None:
        """Have a command run; one that was sent before under the same id gives its stored result.

        Raises:
            Malformed, Rejected: as in process; nothing was done.
            NotHeld: the lease was lost.
            Unreachable: no answer, or the instrument failed; whether the command ran is not known.
        """
        command = validated(command)
        if self._pending is not None:
            raise Rejected("busy", "id", command.id, f"command {self._pending[0].id} has not been gathered")
        reply = self._ask("control", wire.Submit, wire.Accepted, command=command, deadline_ns=self._deadline_ns())
        self._pending = (command, reply.before)
        self._running = command.id
        self._forget_beats()

    def watch(self, timeout_s: float) -> Iterator[Part]:
        """Yield the parts of the submitted command, beating all the while.

        Raises:
            Unreachable: the bridge is gone, its instrument failed, or nothing came for ``timeout_s``.
            NotHeld: the lease was lost.
        """
        if self._pending is None:
            raise Rejected("idle", "watch", "no command", "a command must be submitted first")
        command = self._pending[0]
        heard_s = time.monotonic()
        while True:
            self.beat()
            part = self._attached().part(SLICE_S)
            if part is None:
                silent_s = time.monotonic() - heard_s
                if silent_s > RECOVER_S and self._running != command.id:
                    part = self._recovered(command.id)
                elif silent_s > timeout_s:
                    raise Unreachable(f"nothing came from the instrument for {timeout_s:g} s")
                if part is None:
                    continue
            heard_s = time.monotonic()
            if not isinstance(part, Gap) and _command_of(part) != command.id:
                continue  # the rest of a command whose end was recovered
            if isinstance(part, Failure):
                self._pending = None
                raise Unreachable(f"the instrument behind the bridge failed: {part.reason}")
            if isinstance(part, End):
                self._pending = None
            yield part
            if isinstance(part, End):
                return

    def look_on(self, timeout_s: float) -> Iterator[Part]:
        """Yield the parts of whatever runs, whoever commands it, until nothing has come for ``timeout_s``.

        What this client has no room for never holds up the instrument: in its place comes a Gap. Where a command runs
        already, its Start comes first.

        Raises:
            Rejected: this client holds the lease and reads its stream with ``watch``, or the bridge serves no more.
            Unreachable: the bridge is gone, or its instrument failed; look on again.
        """
        if self._token:
            raise Rejected("holder", "look_on", "the holder of the lease", "who does not hold it")
        reader, heard_s = self._attached(), time.monotonic()
        while time.monotonic() - heard_s <= timeout_s:
            self._link.check()
            part = reader.part(min(SLICE_S, timeout_s))
            if part is None:
                continue
            heard_s = time.monotonic()
            if isinstance(part, Failure):
                raise Unreachable(f"the instrument behind the bridge failed: {part.reason}")
            yield part
            heard_s = time.monotonic()

    def gather(self, timeout_s: float) -> Observation:
        """Wait for the submitted command to end and return its window; raises what ``watch`` raises."""
        if self._pending is None:
            raise Rejected("idle", "gather", "no command", "a command must be submitted first")
        return gather_from_watch(self, *self._pending, timeout_s)

    def beat(self) -> None:
        """Tell the bridge that the loop makes progress; call it at least every 100 ms while waiting for something else.

        Raises:
            Unreachable: the bridge is gone, or has not answered for over a second.
            NotHeld: the lease was lost.
        """
        now = time.monotonic()
        if now - self._beat_s >= BEAT_EVERY_S:
            self._beat_s = now
            if self._unanswered_s is None:
                self._unanswered_s = now
            self._link.tell("safety", wire.Beat(session=self._link.session, sequence=0, token=self._token))
        self._hear(0.0)
        self._link.check()
        if self._unanswered_s is not None and now - self._unanswered_s > DEAD_S:
            # This process itself may have been stopped for a while: the answer may just not have been read yet.
            self._hear(0.2)
            if self._unanswered_s is not None:
                raise Unreachable(f"the bridge has not answered for {time.monotonic() - self._unanswered_s:.1f} s")

    def blank(self) -> None:
        """Blank now and end what is running; no beats are due until the next ``submit``. Raises Unreachable."""
        self._ask("safety", wire.Blank, wire.Alive)

    def stop(self) -> None:
        """Blank, abort and refuse every further command until the lease is taken anew; raises Unreachable."""
        self._ask("safety", wire.Stop, wire.Alive)

    def fate(self, command_id: str) -> wire.Fate:
        """Ask what became of a command: Done, Running, NotStarted or Unknown; raises Unreachable."""
        return self._fate(command_id, self._timeout_s)

    def _fate(self, command_id: str, timeout_s: float) -> wire.Fate:
        reply = self._link.ask("control", self._message(wire.Recover, command_id=command_id), timeout_s)
        raise_refusal(reply)
        assert isinstance(reply, wire.Done | wire.Running | wire.NotStarted | wire.Unknown)
        return reply

    def close(self) -> None:
        """Give the lease back and disconnect; the beam is blanked."""
        if self._token:
            with contextlib.suppress(BridgeError):
                self._link.ask("control", self._message(wire.DropLease), 0.5)
            self._token = 0
        self._disconnect()

    def _disconnect(self) -> None:
        if self._reader is not None:
            self._reader.close()
        if self._link.is_alive():
            self._link.close()

    def _attached(self) -> Reader:
        if self._reader is None:
            reader = self._reader = Reader(
                self._link.connect("data"), self._link.session, self._intake, self._link.check
            )
            reader.attach(self._link.next_sequence, self._timeout_s)
        return self._reader

    def _greet(self) -> int:
        """Say hello; returns by how many ns the server's monotonic clock is ahead of ours."""
        sent_ns = time.monotonic_ns()
        welcome = self._ask("control", wire.Hello, wire.Welcome, software="adaptem")
        back_ns = time.monotonic_ns()
        return (welcome.received_ns - sent_ns + welcome.sent_ns - back_ns) // 2

    def _take_lease(self, holder: str, wait_s: float) -> None:
        deadline = time.monotonic() + wait_s
        first_heard_s = math.inf
        while True:
            message = self._message(wire.TakeLease, holder=holder[:200], deadline_ns=self._deadline_ns())
            reply = self._link.ask("control", message, self._timeout_s)
            if isinstance(reply, wire.Leased):
                self._token = reply.token
                self._link.stay_present(self._message(wire.Present))
                return
            # A holder that lives is heard again within a second, one that died, or whose loop hangs, never.
            heard_s = time.monotonic() - (reply.silent_s if isinstance(reply, wire.NotHolder) else 0.0)
            first_heard_s = min(first_heard_s, heard_s)
            if heard_s > first_heard_s + SLICE_S or time.monotonic() > deadline:
                raise_refusal(reply)
                raise NotHeld(f"no lease: the bridge answered {type(reply).__name__}")
            time.sleep(SLICE_S)

    def _deadline_ns(self) -> int:
        """Until when a request may be carried out, on the server's monotonic clock."""
        return max(0, time.monotonic_ns() + self._offset_ns + int(self._timeout_s * 1e9))

    def _recovered(self, command_id: str) -> Part | Failure | None:
        # The End may be on its way, and everything before it: parts that are here already come first.
        part = self._attached().part(0.0)
        if part is not None:
            return part
        fate = self._fate(command_id, min(self._timeout_s, RECOVERED_S))
        if isinstance(fate, wire.Done):
            return fate.end
        if isinstance(fate, wire.Running):
            self._running = command_id
            return None
        self._pending = None
        raise Unreachable(f"the bridge does not know how command {command_id} ended")

    def _hear(self, wait_s: float) -> None:
        while True:
            try:
                reply = self._beats.get(timeout=wait_s) if wait_s else self._beats.get_nowait()
            except Empty:
                return
            self._unanswered_s = None
            if isinstance(reply, wire.Alive):
                self._running = reply.running
            else:
                raise_refusal(reply)
            wait_s = 0.0

    def _forget_beats(self) -> None:
        while not self._beats.empty():
            self._beats.get()
        self._unanswered_s = None

    def _message(self, kind: type[wire.MessageT], **fields: Any) -> wire.MessageT:
        return kind(session=self._link.session, sequence=self._link.next_sequence(), token=self._token, **fields)

    def _ask(self, channel: str, kind: type[wire.Message], reply_kind: type[ReplyT], **fields: object) -> ReplyT:
        reply = self._link.ask(channel, self._message(kind, **fields), self._timeout_s)
        raise_refusal(reply)
        if not isinstance(reply, reply_kind):
            raise Unreachable(f"the bridge answered {type(reply).__name__} to {kind.__name__}")
        return reply


def _allowed(text: str, keys: ClientKeys | None) -> Endpoint:
    endpoint = parse(text)
    if keys is None and not endpoint.is_local:
        raise ValueError(f"endpoint = {text!r}: is not on this machine, and a bridge elsewhere needs keys")
    return endpoint


def _command_of(part: Start | Chunk | End | Failure) -> str:
    return part.header.command_id if isinstance(part, Chunk) else part.command_id
