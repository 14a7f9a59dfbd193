"""What is lost, repeated, out of order or changed on the way is told, through shared memory and through the socket."""

import itertools
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from bench import LIMITS, Bench, scan

from hardware_bridge import ring as rings
from hardware_bridge.client import Client
from hardware_bridge.dataport import DataPort
from hardware_bridge.errors import GapFound
from hardware_bridge.frames import Frame
from hardware_bridge.messages import Start
from hardware_bridge.observation import Chunk, Gap, Part, collect, whole
from hardware_bridge.reader import Intake
from hardware_bridge.ring import Bytes, Ring
from hardware_bridge.server import Server
from hardware_bridge.wire import STREAM, Attached, ChunkPart, PartMessage, read
from hardware_bridge.words import decode, encode

WAYS = {"ring": Intake(), "socket": Intake(ring=False), "zlib": Intake(ring=False, encoding="zlib")}

NUMBERS = itertools.count()

Put = Callable[[DataPort, bytes, list[Frame]], bool]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(Bench(), LIMITS, "tcp://127.0.0.1:0", tmp_path_factory.mktemp("journal"))
    yield running
    running.close()


def position(frames: list[Frame]) -> int:
    """Where in the stream a message belongs, -1 for one that does not."""
    message = read(STREAM, frames[0])
    return message.position if isinstance(message, PartMessage) else -1


def network(monkeypatch: pytest.MonkeyPatch, carry: Callable[[list[list[Frame]]], list[list[Frame]]]) -> None:
    """Have the network carry parts 2 and 3 of the stream, chunks 1 and 2, as ``carry`` says."""
    put: Put = DataPort._put
    held: list[list[Frame]] = []

    def through(port: DataPort, identity: bytes, frames: list[Frame]) -> bool:
        if position(frames) not in (2, 3):
            return put(port, identity, frames)
        held.append(frames)
        return len(held) < 2 or all([put(port, identity, frames) for frames in carry(held)])

    monkeypatch.setattr(DataPort, "_put", through)


def parts_of(client: Client) -> list[Part]:
    client.submit(scan(f"c{next(NUMBERS)}"))
    return list(client.watch(5.0))


def _id(parts: list[Part]) -> str:
    assert isinstance(parts[0], Start)
    return parts[0].command_id


def rows(parts: list[Part]) -> list[int]:
    return [part.header.row_start for part in parts if isinstance(part, Chunk)]


@pytest.mark.parametrize("kind", ["tcp", "ipc"])
def test_the_stream_comes_whole_in_every_way(way: str, kind: str, tmp_path: Path) -> None:
    endpoint = "tcp://127.0.0.1:0" if kind == "tcp" else f"ipc://{tmp_path}/s"
    server = Server(Bench(), LIMITS, endpoint, tmp_path / "journal")
    try:
        with Client(server.endpoint, intake=WAYS[way]) as client:
            client.submit(scan("a"))
            parts = list(whole(client.watch(5.0)))
            assert (client._attached()._ring is not None) == (way == "ring")
            data = collect(scan("a"), client.state(), parts).data
    finally:
        server.close()
    np.testing.assert_array_equal(data, np.add.outer(np.arange(32) * 64, np.arange(32)))


@pytest.mark.parametrize(
    ("carry", "gap", "here", "strays"),
    [
        (lambda two: two[:1], Gap(dropped=0, lost=1), [0, 8, 24], 0),
        (lambda two: [two[0], two[0], two[1]], None, [0, 8, 16, 24], 1),
        (lambda two: [two[1], two[0]], Gap(dropped=0, lost=1), [0, 16, 24], 1),
        (lambda two: [two[0], [b"\xc1", *two[1][1:]]], Gap(dropped=0, lost=1), [0, 8, 24], 1),
        (lambda two: [two[0], [*two[1], b"more"]], Gap(dropped=0, lost=1), [0, 8, 24], 1),
    ],
    ids=["lost", "repeated", "out of order", "unreadable", "too many frames"],
)
def test_a_stream_with_a_fault_is_not_taken_for_a_whole_one(
    server: Server,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
    carry: Callable[[list[list[Frame]]], list[list[Frame]]],
    gap: Gap | None,
    here: list[int],
    strays: int,
) -> None:
    network(monkeypatch, carry)
    with Client(server.endpoint, intake=WAYS[way]) as client:
        parts = parts_of(client)
        assert rows(parts) == here
        assert [part for part in parts if isinstance(part, Gap)] == ([gap] if gap else [])
        assert client.lost_parts == (gap is not None)
        assert client._attached().strays == strays
        monkeypatch.undo()
        if gap is not None:
            with pytest.raises(GapFound, match="1 parts of the stream were lost"):
                list(whole(parts))
            assert collect(scan(_id(parts)), client.state(), parts).gaps == 1
        assert list(whole(parts_of(client)))


def test_values_that_were_changed_on_their_way_are_a_gap(
    server: Server, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "ring":
        put = Ring.put

        def spoiled(ring: Ring, nbytes: int, write: Callable[[Bytes], object]) -> int | None:
            at = put(ring, nbytes, write)
            assert at is not None
            if ring._bytes[at] == 0 and ring._bytes[at + 1] == 2:  # the first value of row 8 is 512
                ring._bytes[at + 7] ^= 1
            return at

        monkeypatch.setattr(Ring, "put", spoiled)
    else:

        def flip(two: list[list[Frame]]) -> list[list[Frame]]:
            changed = bytearray(two[0][1])
            changed[len(changed) // 2] ^= 1
            return [[two[0][0], bytes(changed)], two[1]]

        network(monkeypatch, flip)
    with Client(server.endpoint, intake=WAYS[way]) as client:
        parts = parts_of(client)
        assert rows(parts) == [0, 16, 24]
        assert parts[2] == Gap(dropped=0, lost=1)
        assert client.lost_parts == 1


@pytest.mark.parametrize(
    "lie",
    [
        {"ring_at": 2**62},
        {"ring_at": (48 << 20) - 511},
        {"ring_at": 0, "nbytes": 511},
        {"ring_at": 0, "shape": (8, 2**20, 2**20)},
        {"ring_at": 0, "shape": (2**20,) * 5},
        {"ring_at": 0, "encoding": "zlib"},
        {"ring_at": 0, "dtype": "uint32"},
        {"nbytes": 2**62},
        {"shape": (2**20, 2**20, 1, 1, 1)},
        {"encoding": "zlib"},
    ],
    ids=str,
)
@pytest.mark.parametrize("intake", [Intake(), Intake(ring=False)], ids=["ring", "socket"])
def test_a_header_that_points_elsewhere_is_a_gap_and_nothing_is_read_there(
    server: Server, intake: Intake, monkeypatch: pytest.MonkeyPatch, lie: dict[str, object]
) -> None:
    put: Put = DataPort._put

    def lying(port: DataPort, identity: bytes, frames: list[Frame]) -> bool:
        message = read(STREAM, frames[0])
        if isinstance(message, ChunkPart) and message.position == 2:
            plain = {name: getattr(message, name) for name in message.__struct_fields__}
            frames = [encode(ChunkPart(**{**plain, **lie})), *([] if "ring_at" in lie else [bytes(512)])]
        return put(port, identity, frames)

    monkeypatch.setattr(DataPort, "_put", lying)
    with Client(server.endpoint, intake=intake) as client:
        parts = parts_of(client)
        assert rows(parts) == [0, 16, 24]
        assert parts[2] == Gap(dropped=0, lost=1)


def test_compressed_bytes_that_swell_are_not_let(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zlib.compress(bytes(1 << 24), 9)
    network(monkeypatch, lambda two: [[_with_nbytes(two[0][0], len(bomb)), bomb], two[1]])
    with Client(server.endpoint, intake=WAYS["zlib"]) as client:
        assert rows(parts_of(client)) == [0, 16, 24]


def _with_nbytes(header: Frame, nbytes: int) -> bytes:
    message = decode(ChunkPart, header)
    return encode(ChunkPart(**{**{n: getattr(message, n) for n in message.__struct_fields__}, "nbytes": nbytes}))


def test_a_ring_that_cannot_be_opened_is_done_without(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    put: Put = DataPort._put

    def elsewhere(port: DataPort, identity: bytes, frames: list[Frame]) -> bool:
        message = read(STREAM, frames[0])
        if isinstance(message, Attached) and message.ring is not None:
            frames = [bytes(frames[0]).replace(message.ring.encode(), b"adaptem-ring-" + b"0" * 32)]
        return put(port, identity, frames)

    monkeypatch.setattr(DataPort, "_put", elsewhere)
    with Client(server.endpoint) as client:
        assert client._attached()._ring is None
        assert list(whole(parts_of(client)))


def test_where_there_is_no_memory_for_a_ring_the_socket_serves(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rings, "FOLDER", tmp_path)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with Client(server.endpoint) as client:
        assert client._attached()._ring is None
        assert not list(tmp_path.iterdir())
        assert list(whole(parts_of(client)))
