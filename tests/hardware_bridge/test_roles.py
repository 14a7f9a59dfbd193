"""With keys: who gets in, what each role may do, and what is said to those who may not. Real sockets throughout."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from socket import SHUT_RDWR, create_server

import pytest
import zmq
from bench import LIMITS, Bench, scan

from hardware_bridge import wire
from hardware_bridge.client import Client
from hardware_bridge.endpoint import CHANNELS, parse
from hardware_bridge.errors import KeyRefused, Rejected
from hardware_bridge.keys import ClientKeys, make, read_client, read_server
from hardware_bridge.microscope import execute
from hardware_bridge.refusals import raise_refusal
from hardware_bridge.roles import OBSERVING, ROLES, check_role
from hardware_bridge.server import Server
from hardware_bridge.words import encode

HEAD = {"session": "00112233", "sequence": 1}
REQUESTS: dict[str, wire.Message] = {
    "Hello": wire.Hello(software="x", **HEAD),
    "TakeLease": wire.TakeLease(holder="x", **HEAD),
    "DropLease": wire.DropLease(**HEAD),
    "Describe": wire.Describe(**HEAD),
    "GetState": wire.GetState(**HEAD),
    "Submit": wire.Submit(command=scan("a"), **HEAD),
    "Recover": wire.Recover(command_id="a", **HEAD),
    "Beat": wire.Beat(**HEAD),
    "Present": wire.Present(**HEAD),
    "Blank": wire.Blank(**HEAD),
    "Stop": wire.Stop(**HEAD),
    "Attach": wire.Attach(window_bytes=1, **HEAD),
    "Credit": wire.Credit(position=1, **HEAD),
}
FORBIDDEN = ("TakeLease", "DropLease", "Submit", "Beat", "Present")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(tmp_path / "keys", "agent", "operator")
    make(tmp_path / "keys", "visitor", "observer")
    return tmp_path / "keys"


@pytest.fixture
def operator(folder: Path) -> ClientKeys:
    return read_client(folder / "agent.key")


@pytest.fixture
def observer(folder: Path) -> ClientKeys:
    return read_client(folder / "visitor.key")


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def server(bench: Bench, folder: Path) -> Iterator[Server]:
    # All addresses of the machine, as beside an instrument.
    running = Server(bench, LIMITS, "tcp://0.0.0.0:0", keys=read_server(folder))
    yield running
    running.close()


def local(server: Server) -> str:
    return server.endpoint.replace("0.0.0.0", "127.0.0.1")


def test_the_table_of_roles() -> None:
    assert set(ROLES) == {"operator", "observer"}
    for name, request in REQUESTS.items():
        check_role("operator", request)
        assert isinstance(request, OBSERVING) == (name not in FORBIDDEN)
        if name in FORBIDDEN:
            with pytest.raises(Rejected, match=rf"^{name} = .* observer refused \(role\): limit the role operator"):
                check_role("observer", request)
        else:
            check_role("observer", request)
    asked = {kind.__name__ for kind in wire.ControlRequest.__args__ + wire.SafetyRequest.__args__}
    assert asked | {"Attach", "Credit"} == set(REQUESTS)  # a new request is not forgotten here


def test_an_operator_works_as_without_keys(server: Server, operator: ClientKeys) -> None:
    plain = Server(Bench(), LIMITS, "tcp://127.0.0.1:0")
    try:
        with Client(plain.endpoint) as client:
            expected = execute(client, scan("a"), 5.0)
    finally:
        plain.close()
    with Client(local(server), keys=operator) as client:
        seen = execute(client, scan("a"), 5.0)
    assert (seen.data == expected.data).all()
    assert (seen.gaps, seen.end_s, seen.electrons) == (0, expected.end_s, expected.electrons)


def test_keys_work_over_ipc(folder: Path, operator: ClientKeys, tmp_path: Path) -> None:
    running = Server(Bench(), LIMITS, f"ipc://{tmp_path}/s", keys=read_server(folder))
    try:
        with Client(running.endpoint, keys=operator) as client:
            assert execute(client, scan("a"), 5.0).gaps == 0
    finally:
        running.close()


def test_an_observer_reads_and_may_not_command(server: Server, bench: Bench, observer: ClientKeys) -> None:
    with Client(local(server), holder=None, keys=observer) as client:
        assert client.describe() == bench.describe()
        assert client.state().beam_blanked
        assert isinstance(client.fate("a"), wire.NotStarted)
        with pytest.raises(Rejected, match=r"Submit = asked for by an observer refused \(role\)"):
            client.submit(scan("a"))
    with pytest.raises(Rejected, match=r"TakeLease = asked for by an observer refused \(role\)"):
        Client(local(server), keys=observer)
    assert bench.seen == []


def test_an_observer_may_blank_and_stop(
    server: Server, bench: Bench, operator: ClientKeys, observer: ClientKeys
) -> None:
    bench.chunk_s = 0.05
    with Client(local(server), keys=operator) as client, Client(local(server), None, keys=observer) as visitor:
        for number, act in enumerate((visitor.blank, visitor.stop)):
            client.submit(scan(f"c{number}", rows=256))
            parts = client.watch(5.0)
            next(parts)
            act()
            end = list(parts)[-1]
            assert end.aborted
            assert bench.state().beam_blanked
        with pytest.raises(Rejected, match="stop"):
            client.submit(scan("after"))


def test_an_observer_under_a_holders_name_and_token_is_still_an_observer(
    server: Server, operator: ClientKeys, observer: ClientKeys, bench: Bench
) -> None:
    """The role comes with the key of the connection, not with anything that a message says."""
    with Client(local(server), keys=operator) as client:
        session, token = client._link.session, client._token
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        for channel, kind, fields in (
            ("control", wire.Submit, {"command": scan("stolen")}),
            ("safety", wire.Beat, {}),
        ):
            socket = dealer(context, server, channel, observer)
            socket.send(encode(kind(session=socket.identity.decode(), sequence=9, token=token, **fields)))
            assert socket.poll(2000)
            with pytest.raises(Rejected, match=f"{kind.__name__} = asked for by an observer"):
                raise_refusal(wire.read(wire.REPLIES, socket.recv()))
            socket.close(0)
        socket = dealer(context, server, "control", observer, session)  # takes the holder's connection over
        socket.send(encode(wire.Submit(session=session, sequence=10**6, token=token, command=scan("stolen"))))
        assert socket.poll(2000)
        with pytest.raises(Rejected, match="Submit = asked for by an observer"):
            raise_refusal(wire.read(wire.REPLIES, socket.recv()))
        context.destroy(0)
    assert bench.seen == []


def dealer(
    context: zmq.Context[zmq.Socket[bytes]], server: Server, channel: str, keys: ClientKeys, session: str = "visitor"
) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.DEALER)
    socket.identity = session.encode()
    socket.curve_publickey, socket.curve_secretkey = keys.public.encode(), keys.secret.encode()
    socket.curve_serverkey = keys.server.encode()
    socket.connect(parse(local(server)).address(channel))
    return socket


def refused(endpoint: str, keys: ClientKeys | None) -> str:
    begun = time.monotonic()
    with pytest.raises(KeyRefused) as caught:
        Client(endpoint, keys=keys)
    assert time.monotonic() - begun < 2.0
    return str(caught.value)


def test_wrong_keys_are_told_within_two_seconds(
    server: Server, bench: Bench, operator: ClientKeys, tmp_path: Path
) -> None:
    stranger = read_client(make(tmp_path / "other", "agent", "operator"))
    assert "another server key" in refused(local(server), stranger)
    assert "does not know this key" in refused(local(server), replace(stranger, server=operator.server))
    assert "another server key" in refused(local(server), replace(operator, server=stranger.server))
    assert "only clients with a key" in refused(local(server), None)
    with Client(local(server), keys=operator) as client:
        execute(client, scan("a"), 5.0)
    assert len(bench.seen) == 1


def test_that_keys_are_missing_is_told_also_where_the_handshake_never_says_why() -> None:
    # Which side closes first is a race that the client loses six times in ten; here, every time.
    with create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1] - CHANNELS.index("safety")
        thread = threading.Thread(target=close_each, args=(closing,))
        thread.start()
        try:
            assert "only clients with a key" in refused(f"tcp://127.0.0.1:{port}", None)
        finally:
            closing.shutdown(SHUT_RDWR)
            thread.join()


def close_each(closing: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = closing.accept()
            connection.close()


def test_a_client_with_keys_does_not_speak_in_the_open(operator: ClientKeys) -> None:
    plain = Server(Bench(), LIMITS, "tcp://127.0.0.1:0")
    try:
        assert "uses no keys" in refused(plain.endpoint, operator)
    finally:
        plain.close()


@pytest.mark.parametrize("endpoint", ["tcp://192.0.2.7:5570", "tcp://instrument:5570"])
def test_a_client_without_keys_does_not_try_to_leave_this_machine(endpoint: str) -> None:
    with pytest.raises(ValueError, match=f"'{endpoint}': is not on this machine"):
        Client(endpoint)


def test_nobody_gets_in_on_any_channel_without_a_key(server: Server) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sockets = []
    for channel in CHANNELS:
        socket = context.socket(zmq.DEALER)
        socket.identity = b"stranger"
        socket.connect(parse(local(server)).address(channel))
        socket.send(encode(wire.Hello(session="stranger", sequence=1, software="x")))
        sockets.append(socket)
    idle_s = server.idle_s
    time.sleep(0.5)
    assert not any(socket.poll(0) for socket in sockets)
    assert server.idle_s > idle_s
    context.destroy(0)


def test_the_gate_closes_first_to_strangers_and_the_address_is_free_again(folder: Path, operator: ClientKeys) -> None:
    for _ in range(3):
        running = Server(Bench(), LIMITS, "tcp://127.0.0.1:0", keys=read_server(folder))
        Client(running.endpoint, keys=operator).close()
        running.close()
    again = Server(Bench(), LIMITS, running.endpoint, keys=read_server(folder))
    try:
        Client(again.endpoint, keys=operator).close()
    finally:
        again.close()
