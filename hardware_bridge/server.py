"""The bridge beside an instrument: guard, journal, lease, supervisor and three sockets, and ``serve`` that runs it.

control (desk.py) ----requests----> instrument (runner.py) ----parts----> data (dataport.py)
safety (wall.py) ----blank----> hand (hand.py) ----> driver        supervisor (supervisor.py) ----> blanker
"""

from __future__ import annotations

import contextlib
import logging
import signal
import socket as sockets
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import zmq

from hardware_bridge.blanker import Blanker
from hardware_bridge.dataport import DataPort
from hardware_bridge.desk import Desk
from hardware_bridge.endpoint import CHANNELS, IO_THREADS, Endpoint, affinity, parse
from hardware_bridge.errors import Rejected
from hardware_bridge.gate import Gate
from hardware_bridge.guard import Guard
from hardware_bridge.hand import Hand
from hardware_bridge.journal import FileJournal, Past
from hardware_bridge.keys import ServerKeys
from hardware_bridge.lease import Lease
from hardware_bridge.messages import Limits
from hardware_bridge.microscope import Microscope
from hardware_bridge.runner import Runner
from hardware_bridge.shutter import Shutter
from hardware_bridge.supervisor import Supervisor
from hardware_bridge.wall import TICK_S, Wall
from hardware_bridge.wire import MAX_MESSAGE_BYTES

_log = logging.getLogger(__name__)

BLANKED_WITHIN_S = 0.5
JOURNAL = "commands.journal"
BEAM = "beam"
TRIES = 50


@dataclass(frozen=True)
class Timing:
    """How long the bridge waits, in s on the wall's clock.

    Without a beat for ``heartbeat_s`` the beam is blanked, for ``lease_s`` the lease is lost. ``silence_s`` is what the
    driver may take between two parts. ``serve`` ends once no client was heard for ``linger_s``, if that is set.
    """

    heartbeat_s: float = 0.4
    lease_s: float = 10.0
    silence_s: float = 60.0
    linger_s: float | None = None


class Server:
    """A bridge that listens; ``endpoint`` is its address and ``beam`` the file with the lines of the blanker."""

    def __init__(
        self,
        microscope: Microscope,
        limits: Limits,
        endpoint: str,
        journal_folder: Path | None = None,
        timing: Timing = Timing(),
        keys: ServerKeys | None = None,
    ) -> None:
        """Bind, read the journal, start the supervisor and all threads.

        Raises:
            ValueError: the endpoint is no address, or others than this machine could reach it and there are no keys.
            Rejected: the driver blanks too slowly for the beam to be blank within 0.5 s of the last beat.
            OSError: the address or the journal is in use, or cannot be written.
            JournalDamaged: the journal cannot be relied on.
        """
        self._closing = contextlib.ExitStack()
        try:
            self._open(microscope, limits, _allowed(endpoint, keys), journal_folder, timing, keys)
        except BaseException:
            self._closing.close()
            raise

    def _open(
        self,
        microscope: Microscope,
        limits: Limits,
        endpoint: Endpoint,
        folder: Path | None,
        timing: Timing,
        keys: ServerKeys | None,
    ) -> None:
        _check_latency(microscope, timing)
        if folder is None:
            if microscope.describe().time == "real":
                _log.warning("no folder for a journal: dose and commands are forgotten when this process ends")
            folder = Path(self._closing.enter_context(tempfile.TemporaryDirectory(prefix="adaptem-")))
        folder.mkdir(parents=True, exist_ok=True)
        journal = FileJournal(folder / JOURNAL)
        self._closing.callback(journal.close)
        _restore(microscope, journal.past)
        self.beam = folder / BEAM
        blanker = Blanker(self.beam)  # left open: a driver that hangs may still hold the line when this ends
        blanker.blank()
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(IO_THREADS)
        self._closing.callback(context.destroy, linger=0)
        gate = None
        if keys is not None:
            gate = Gate(context, keys)
            self._closing.callback(gate.close)
            gate.start()
        bound, (control, safety, data) = _bind(context, endpoint, gate)
        self.endpoint = str(bound)

        lease = Lease(timing.heartbeat_s, timing.lease_s, journal.past.token)
        shutter = Shutter(microscope, blanker, lease.is_live)
        guard = Guard(shutter, limits, journal, journal.past.ledger(limits), journal.past.settled)
        hand = Hand()
        self._runner = Runner(
            guard, DataPort(data, bound.is_local), lease, hand, lambda: self._wall.is_watched(), timing.silence_s
        )
        self._wall = Wall(safety, lease, self._runner, hand, blanker, (guard.blank, guard.stop))
        self._desk = Desk(control, guard, lease, self._runner, journal, self._wall.blank)
        hand.do(guard.blank)  # what an earlier session left behind ends here
        for thread in (hand, self._wall, self._runner, self._desk):
            thread.start()
        self._closing.callback(self._end_threads, hand)
        supervisor = Supervisor(blanker)
        self._closing.callback(supervisor.close)
        self._wall.watched_by(supervisor)

    @property
    def idle_s(self) -> float:
        """How long no client was heard."""
        return time.monotonic() - max(self._desk.heard_s, self._wall.heard_s)

    def close(self) -> None:
        """Blank, end what runs, give everything back."""
        self._closing.close()

    def _end_threads(self, hand: Hand) -> None:
        self._wall.blank()
        hand.settled(1.0)
        for part in (self._desk, self._runner, self._wall, hand):
            part.close()
        for thread in (self._desk, self._runner, self._wall, hand):
            thread.join(2.0)


def serve(
    microscope: Microscope,
    limits: Limits,
    endpoint: str,
    *,
    journal_folder: Path | None = None,
    timing: Timing = Timing(),
    keys: ServerKeys | None = None,
) -> None:
    """Serve an instrument until SIGTERM, SIGINT, or until no client was heard for ``timing.linger_s``.

    Prints one line, ``ready ENDPOINT``, once clients can connect. Call it from the main thread; raises what ``Server``
    raises.
    """
    ended = threading.Event()
    server = Server(microscope, limits, endpoint, journal_folder, timing, keys)
    before = {number: signal.signal(number, lambda *_: ended.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        print(f"ready {server.endpoint}", flush=True)
        while not ended.wait(0.1):
            if timing.linger_s is not None and server.idle_s > timing.linger_s:
                return
    finally:
        server.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _allowed(text: str, keys: ServerKeys | None) -> Endpoint:
    endpoint = parse(text)
    if keys is None and not endpoint.is_local:
        raise ValueError(
            f"endpoint = {text!r}: other machines could reach it and commands are not encrypted; "
            "make keys, or use 127.0.0.1 or ipc"
        )
    return endpoint


def _check_latency(microscope: Microscope, timing: Timing) -> None:
    latency_s = microscope.describe().blank_latency_s
    blanked_s = timing.heartbeat_s + TICK_S + latency_s
    if not blanked_s <= BLANKED_WITHIN_S:
        raise Rejected(
            "blank_latency",
            "blank_latency_s",
            f"{latency_s:g} s after a heartbeat time-out of {timing.heartbeat_s:g} s",
            f"{BLANKED_WITHIN_S - timing.heartbeat_s - TICK_S:g} s",
        )


def _restore(microscope: Microscope, past: Past) -> None:
    """Bring an instrument that lives in this process, in stepped time, to where its last process left it.

    Its specimen died with that process; the same commands make it the same again. A real one kept its state.
    """
    if microscope.describe().time != "stepped":
        return
    for settled in past.settled.values():
        if settled.end is not None:
            microscope.submit(settled.command)
            for _ in microscope.watch(BLANKED_WITHIN_S):
                pass


def _bind(
    context: zmq.Context[zmq.Socket[bytes]], endpoint: Endpoint, gate: Gate | None
) -> tuple[Endpoint, list[zmq.Socket[bytes]]]:
    """Bind the three sockets; port 0 tries free ones until three lie side by side."""
    for _ in range(TRIES):
        chosen = endpoint if endpoint.path or endpoint.port else Endpoint(endpoint.host, _free_port(endpoint.host))
        bound: list[zmq.Socket[bytes]] = []
        try:
            for channel in CHANNELS:
                bound.append(_router(context))
                bound[-1].setsockopt(zmq.AFFINITY, affinity(channel))
                if channel == "data":
                    bound[-1].setsockopt(zmq.SNDHWM, 0)  # the readers' windows bound what is under way, in bytes
                if gate is not None:
                    gate.lock(bound[-1])
                _refuse_to_steal(chosen, channel)
                bound[-1].bind(chosen.address(channel))
        except (zmq.ZMQError, OSError) as error:
            for socket in bound:
                socket.close(0)
            if chosen == endpoint:
                raise OSError(f"endpoint = {endpoint}: cannot listen there: {error}") from None
            continue
        return chosen, bound
    raise OSError(f"endpoint = {endpoint}: no three free ports side by side were found")


def _router(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
    socket.setsockopt(zmq.LINGER, 0)
    return socket


def _free_port(host: str) -> int:
    with sockets.create_server((host.strip("[]"), 0), family=sockets.AF_INET6 if ":" in host else sockets.AF_INET) as s:
        return min(int(s.getsockname()[1]), 65533)


def _refuse_to_steal(endpoint: Endpoint, channel: str) -> None:
    # Binding to an ipc path would quietly take it away from a server that lives.
    if endpoint.path:
        with sockets.socket(sockets.AF_UNIX) as probe, contextlib.suppress(ConnectionRefusedError, FileNotFoundError):
            probe.connect(endpoint.address(channel).removeprefix("ipc://"))
            raise OSError("another server listens")
