"""Ten thousand commands at once, or all connections that there can be: beats are answered, blank and stop work."""

import contextlib
import os
import socket as sockets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from bench import LIMITS, Bench, scan
from processes import served, wait_until

from hardware_bridge import wire
from hardware_bridge.blanker import Blanker
from hardware_bridge.client import Client
from hardware_bridge.endpoint import CHANNELS, parse
from hardware_bridge.microscope import execute
from hardware_bridge.server import Server
from hardware_bridge.words import encode

MANY = 10_000
BLANKED_WITHIN_S = 0.5


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Its scans take long."""
    running = Server(Bench(chunk_s=0.01), LIMITS, "tcp://127.0.0.1:0", tmp_path / "journal")
    yield running
    running.close()


def flood(server: Server, session: str, token: int) -> Counter[str]:
    """Send 10,000 commands on a connection of one's own, and count the answers."""
    said: Counter[str] = Counter()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.IDENTITY, session.encode())
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.connect(parse(server.endpoint).address("control"))
        for number in range(MANY):
            command = scan(f"flood-{number}", rows=8)
            socket.send(encode(wire.Submit(session=session, sequence=number, token=token, command=command)))
        while sum(said.values()) < MANY and socket.poll(5000):
            said[type(wire.read(wire.REPLIES, socket.recv())).__name__] += 1
    return said


def test_a_flood_of_a_stranger_is_refused_while_a_scan_goes_on_and_blank_works(server: Server) -> None:
    beam, said = Blanker(server.beam), Counter[str]()
    with Client(server.endpoint) as client:
        client.submit(scan("a", rows=256, frames=64))
        parts = client.watch(5.0)
        next(parts)
        flooding = threading.Thread(target=lambda: said.update(flood(server, "stranger", 1)))
        flooding.start()
        beats = 0
        while flooding.is_alive():
            next(parts)  # beats too, and raises where they were not answered for long
            assert not beam.is_blanked
            beats += 1
        since_s = time.monotonic()
        client.blank()
        assert time.monotonic() - since_s < BLANKED_WITHIN_S
        assert list(parts)[-1].aborted  # type: ignore[union-attr]
    assert said == {"NotHolder": MANY}
    assert beats > 20


def test_a_flood_of_the_holder_itself_waits_for_its_turn_and_can_be_stopped(server: Server) -> None:
    """A holder that has lost its mind: its commands come from its own session while one of them runs."""
    beam, said = Blanker(server.beam), Counter[str]()
    with Client(server.endpoint) as client, Client(server.endpoint, holder=None) as onlooker:
        client.submit(scan("a", rows=256, frames=64))
        wait_until(lambda: not beam.is_blanked)
        flooding = threading.Thread(target=lambda: said.update(flood(server, client._link.session, client._token)))
        flooding.start()
        time.sleep(0.1)
        since_s = time.monotonic()
        onlooker.stop()
        assert time.monotonic() - since_s < BLANKED_WITHIN_S
        assert beam.is_blanked
        flooding.join()
        assert beam.is_blanked
        assert set(said) == {"Refused"}
        assert onlooker.state().beam_blanked


def test_connections_of_strangers_use_up_all_files_and_the_holder_works_on(tmp_path: Path) -> None:
    """They say nothing, then nonsense; nobody new can come in until they go, and nothing else is lost."""
    few_files = ("sh", "-c", 'ulimit -n 64; exec "$@"', "sh")
    with served(tmp_path, few_files, chunk_s=0.03) as server, contextlib.ExitStack() as strangers:
        base = parse(server.endpoint).port
        with Client(server.endpoint) as client:
            client.submit(scan("a", rows=256, frames=64))
            parts = client.watch(5.0)
            wait_until(lambda: next(parts) is not None and not server.beam.is_blanked)
            made = []
            for number in range(120):
                made.append(strangers.enter_context(sockets.socket()))
                made[-1].setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    made[-1].connect(("127.0.0.1", base + number % len(CHANNELS)))
            open_files = Path(f"/proc/{server.process.pid}/fd")
            wait_until(lambda: next(parts) is not None and len(list(open_files.iterdir())) >= 64)
            for stranger in made:
                with contextlib.suppress(OSError):
                    stranger.send(os.urandom(200))
            for _ in range(10):
                next(parts)  # beats too, and raises where they were not answered for long
            assert not server.beam.is_blanked
            client.blank()
            assert server.beam.is_blanked
            assert list(parts)[-1].aborted  # type: ignore[union-attr]
        strangers.close()
        with Client(server.endpoint) as client:
            assert not execute(client, scan("b", rows=8), 5.0).aborted
