"""The bytes of version 1 stay what they are, and no bytes from the network do more than get an answer."""

import contextlib
import random
import time
from collections.abc import Iterator

import msgspec
import pytest
import zmq
from bench import LIMITS, Bench, scan
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hardware_bridge import wire
from hardware_bridge.client import Client
from hardware_bridge.endpoint import CHANNELS, parse
from hardware_bridge.errors import Malformed
from hardware_bridge.messages import Command
from hardware_bridge.microscope import execute
from hardware_bridge.server import Server
from hardware_bridge.words import encode

SESSION = "00112233445566778899aabbccddeeff"
HEAD = {"session": SESSION, "sequence": 5, "token": 2}
REQUESTS = {
    "control": [
        wire.Hello(software="x", **HEAD),
        wire.TakeLease(holder="x", **HEAD),
        wire.DropLease(**HEAD),
        wire.Describe(**HEAD),
        wire.GetState(**HEAD),
        wire.Submit(command=scan("fuzz"), deadline_ns=1, **HEAD),
        wire.Recover(command_id="a", **HEAD),
    ],
    "safety": [wire.Beat(**HEAD), wire.Present(**HEAD), wire.Blank(**HEAD), wire.Stop(**HEAD)],
    "data": [wire.Attach(window_bytes=1, **HEAD), wire.Credit(position=1, **HEAD)],
}
READERS = {"control": wire.CONTROL_REQUESTS, "safety": wire.SAFETY_REQUESTS, "data": wire.DATA_REQUESTS}

# What clients of version 1 send. These bytes do not change; another meaning needs another version.
GOLDEN: dict[str, str] = {
    "Hello": (
        "87a474797065a548656c6c6fa776657273696f6e01a773657373696f6ed92030303131323233333434353536363737383839"
        "39616162626363646465656666a873657175656e636505a5746f6b656e02ab646561646c696e655f6e7300a8736f66747761"
        "7265a178"
    ),
    "TakeLease": (
        "87a474797065a954616b654c65617365a776657273696f6e01a773657373696f6ed920303031313232333334343535363637"
        "3738383939616162626363646465656666a873657175656e636505a5746f6b656e02ab646561646c696e655f6e7300a6686f"
        "6c646572a178"
    ),
    "DropLease": (
        "86a474797065a944726f704c65617365a776657273696f6e01a773657373696f6ed920303031313232333334343535363637"
        "3738383939616162626363646465656666a873657175656e636505a5746f6b656e02ab646561646c696e655f6e7300"
    ),
    "Describe": (
        "86a474797065a84465736372696265a776657273696f6e01a773657373696f6ed92030303131323233333434353536363737"
        "38383939616162626363646465656666a873657175656e636505a5746f6b656e02ab646561646c696e655f6e7300"
    ),
    "GetState": (
        "86a474797065a84765745374617465a776657273696f6e01a773657373696f6ed92030303131323233333434353536363737"
        "38383939616162626363646465656666a873657175656e636505a5746f6b656e02ab646561646c696e655f6e7300"
    ),
    "Submit": (
        "87a474797065a65375626d6974a776657273696f6e01a773657373696f6ed920303031313232333334343535363637373838"
        "3939616162626363646465656666a873657175656e636505a5746f6b656e02ab646561646c696e655f6e7301a7636f6d6d61"
        "6e6484a26964a466757a7aa2676f8baa73746167655f785f6e6dc0aa73746167655f795f6e6dc0aa73746167655f7a5f6e6d"
        "c0ae74696c745f616c7068615f646567c0ad74696c745f626574615f646567c0af6265616d5f73686966745f785f6e6dc0af"
        "6265616d5f73686966745f795f6e6dc0b0696d6167655f73686966745f785f6e6dc0b0696d6167655f73686966745f795f6e"
        "6dc0b17363616e5f726f746174696f6e5f646567c0a8617070726f616368a6646972656374a373657482a66f707469637389"
        "af6265616d5f63757272656e745f7041c0a64331305f6e6dc0a64331325f6e6dc0a970686931325f726164c0a64332315f6e"
        "6dc0a970686932315f726164c0a64332335f6e6dc0a970686932335f726164c0a64333305f756dc0a6686f6c64657283ad74"
        "656d70657261747572655f4bc0a6626961735f56c0ad666c6f775f6e6c5f7065725f73c0a76163717569726587a46d6f6465"
        "a54841414446a6666f765f6e6dcb4070000000000000a8706978656c735f7820a8706978656c735f7920a76477656c6c5f73"
        "cb3eb0c6f7a0b5ed8daa6d61785f6672616d657301a7626c616e6b6564c2"
    ),
    "Recover": (
        "87a474797065a75265636f766572a776657273696f6e01a773657373696f6ed9203030313132323333343435353636373738"
        "383939616162626363646465656666a873657175656e636505a5746f6b656e02ab646561646c696e655f6e7300aa636f6d6d"
        "616e645f6964a161"
    ),
    "Beat": (
        "86a474797065a442656174a776657273696f6e01a773657373696f6ed9203030313132323333343435353636373738383939"
        "616162626363646465656666a873657175656e636505a5746f6b656e02ab646561646c696e655f6e7300"
    ),
    "Present": (
        "86a474797065a750726573656e74a776657273696f6e01a773657373696f6ed9203030313132323333343435353636373738"
        "383939616162626363646465656666a873657175656e636505a5746f6b656e02ab646561646c696e655f6e7300"
    ),
    "Blank": (
        "86a474797065a5426c616e6ba776657273696f6e01a773657373696f6ed92030303131323233333434353536363737383839"
        "39616162626363646465656666a873657175656e636505a5746f6b656e02ab646561646c696e655f6e7300"
    ),
    "Stop": (
        "86a474797065a453746f70a776657273696f6e01a773657373696f6ed9203030313132323333343435353636373738383939"
        "616162626363646465656666a873657175656e636505a5746f6b656e02ab646561646c696e655f6e7300"
    ),
    "Attach": (
        "89a474797065a6417474616368a776657273696f6e01a773657373696f6ed920303031313232333334343535363637373838"
        "3939616162626363646465656666a873657175656e636505a5746f6b656e02ab646561646c696e655f6e7300ac77696e646f"
        "775f627974657301a472696e67c2a8656e636f64696e67a3726177"
    ),
    "Credit": (
        "87a474797065a6437265646974a776657273696f6e01a773657373696f6ed920303031313232333334343535363637373838"
        "3939616162626363646465656666a873657175656e636505a5746f6b656e02ab646561646c696e655f6e7300a8706f736974"
        "696f6e01"
    ),
}


@pytest.mark.parametrize("channel", CHANNELS)
def test_requests_come_back_as_they_went(channel: str) -> None:
    for request in REQUESTS[channel]:
        assert wire.read(READERS[channel], encode(request)) == request


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_bytes_of_version_1(name: str) -> None:
    request = next(r for requests in REQUESTS.values() for r in requests if type(r).__name__ == name)
    assert encode(request).hex() == GOLDEN[name]


def test_every_request_has_its_golden_bytes() -> None:
    assert {type(r).__name__ for requests in REQUESTS.values() for r in requests} == set(GOLDEN)


@pytest.mark.parametrize("version", [0, 2, 65535])
def test_another_version_is_named_even_where_its_fields_are_unknown(version: int) -> None:
    data = msgspec.msgpack.encode({"type": "Hullo", "version": version, "colour": "green"})
    with pytest.raises(Malformed, match=f"version = {version}"):
        wire.read(wire.CONTROL_REQUESTS, data)


@given(data=st.binary(max_size=300))
def test_no_bytes_do_more_than_raise_malformed(data: bytes) -> None:
    for reader in (*READERS.values(), wire.REPLIES, wire.STREAM):
        with pytest.raises(Malformed):
            wire.read(reader, data)


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


@pytest.fixture(scope="module")
def server(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(bench, LIMITS, "tcp://127.0.0.1:0", tmp_path_factory.mktemp("journal"))
    yield made
    made.close()


@contextlib.contextmanager
def raw(server: Server, channel: str) -> Iterator["zmq.Socket[bytes]"]:
    """A socket of somebody who writes its own messages."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.IDENTITY, SESSION.encode())
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVTIMEO, 5000)
        socket.connect(parse(server.endpoint).address(channel))
        yield socket


def mutated(data: bytes, dice: random.Random) -> bytes:
    """The bytes with a few of them flipped, cut out, doubled or replaced."""
    changed = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(changed) + 1)
        kind = dice.randrange(4)
        if kind == 0 and at < len(changed):
            changed[at] = dice.randrange(256)
        elif kind == 1:
            del changed[at : at + dice.randint(1, 8)]
        elif kind == 2:
            changed[at:at] = changed[at : at + dice.randint(1, 30)]
        else:
            changed[at:at] = dice.randbytes(dice.randint(1, 8))
        if not changed:
            return b""
    return bytes(changed)


@pytest.mark.parametrize("channel", CHANNELS)
def test_thousands_of_broken_messages_have_no_effect(server: Server, bench: Bench, channel: str) -> None:
    dice = random.Random(channel)
    # Whoever asks for the lease in a valid message gets it; all else is without effect, valid or not.
    valid = [r for requests in REQUESTS.values() for r in requests if not isinstance(r, wire.TakeLease)]
    last = {"control": wire.Describe, "safety": wire.Beat, "data": wire.Attach}[channel]
    seen, answers = len(bench.seen), 0
    with raw(server, channel) as socket:
        for number in range(1500):
            request = replace(dice.choice(valid), sequence=number, token=2**40)
            socket.send_multipart([mutated(encode(request), dice) for _ in range(dice.choice((1, 1, 1, 1, 2, 3)))])
            while socket.poll(0):
                answers += bool(socket.recv_multipart())
        # Messages keep their order: once this one is answered, all before it were read.
        more = {"window_bytes": 1} if channel == "data" else {}
        socket.send(encode(last(session=SESSION, sequence=2000, **more)))
        while wire.read(wire.REPLIES, socket.recv()).sequence != 2000:
            answers += 1
    assert answers > 500
    assert len(bench.seen) == seen
    with Client(server.endpoint) as client:
        assert not execute(client, scan(f"after-{channel}"), 5.0).aborted


def test_a_message_over_its_limit_ends_the_connection_and_nothing_else(server: Server) -> None:
    with raw(server, "control") as socket:
        socket.send(b"\0" * (wire.MAX_MESSAGE_BYTES + 1))
        time.sleep(0.1)
    with Client(server.endpoint) as client:
        assert not execute(client, scan("after-large"), 5.0).aborted


def asked(socket: "zmq.Socket[bytes]", request: wire.Message) -> wire.Reply:
    """The reply to one request."""
    socket.send(encode(request))
    assert socket.poll(2000), "no answer"
    return wire.read(wire.REPLIES, socket.recv())


def test_without_the_lease_or_with_a_stale_token_nothing_runs(server: Server, bench: Bench) -> None:
    seen = len(bench.seen)
    with raw(server, "control") as socket, Client(server.endpoint) as holder:
        holders = holder._token
        for sequence, token in enumerate((0, holders - 1, holders, holders + 1), start=1):
            request = wire.Submit(session=SESSION, sequence=sequence, token=token, command=scan("theirs"))
            assert isinstance(asked(socket, request), wire.NotHolder)
        assert not execute(holder, scan("ours"), 5.0).aborted
    assert [command.id for command in bench.seen[seen:]] == ["ours"]


def test_nan_behind_the_client_is_stopped_by_the_server(server: Server, bench: Bench) -> None:
    seen = len(bench.seen)
    command = encode(Command(id="nan"))
    plain = msgspec.msgpack.decode(command)
    plain["go"] = {"stage_x_nm": float("nan")}
    with raw(server, "control") as socket:
        message = {"type": "Submit", "version": 1, "session": SESSION, "sequence": 99, "token": 1, "command": plain}
        socket.send(msgspec.msgpack.encode(message))
        assert socket.poll(2000)
        reply = wire.read(wire.REPLIES, socket.recv())
    assert isinstance(reply, wire.Invalid)
    assert "stage_x_nm" in reply.reason
    assert len(bench.seen) == seen


def test_the_same_request_twice_is_carried_out_once_and_answered_twice(server: Server, bench: Bench) -> None:
    seen = len(bench.seen)
    with raw(server, "control") as socket:
        lease = asked(socket, wire.TakeLease(session=SESSION, sequence=201, holder="raw"))
        assert isinstance(lease, wire.Leased)
        submit = wire.Submit(session=SESSION, sequence=202, token=lease.token, command=scan("twice"))
        assert asked(socket, submit) == asked(socket, submit)
        late = wire.Submit(session=SESSION, sequence=203, token=lease.token, command=scan("late"), deadline_ns=1)
        assert isinstance(asked(socket, late), wire.Expired)
        drop = wire.DropLease(session=SESSION, sequence=204, token=lease.token)
        assert isinstance(asked(socket, drop), wire.Noted)
        assert isinstance(asked(socket, drop), wire.Noted)
    assert [command.id for command in bench.seen[seen:]] == ["twice"]
