"""What the client makes of a stream with holes, of a failing driver and of silence."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bench import LIMITS, Bench, scan
from msgspec.structs import replace

from hardware_bridge.client import Client
from hardware_bridge.dataport import DataPort
from hardware_bridge.errors import Malformed, Unreachable
from hardware_bridge.frames import Frame
from hardware_bridge.messages import InstrumentState
from hardware_bridge.microscope import execute
from hardware_bridge.observation import Part
from hardware_bridge.server import Server
from hardware_bridge.wire import STREAM, ChunkPart, Done, EndPart, NotStarted, Running, read


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def server(bench: Bench, tmp_path: Path) -> Iterator[Server]:
    running = Server(bench, LIMITS, "tcp://127.0.0.1:0", tmp_path)
    yield running
    running.close()


def swallow(monkeypatch: pytest.MonkeyPatch, kind: type[ChunkPart] | type[EndPart], position: int) -> None:
    """Have the network lose one part of the stream."""
    put = DataPort._put

    def lossy(port: DataPort, identity: bytes, frames: list[Frame]) -> bool:
        part = read(STREAM, frames[0])
        return (isinstance(part, kind) and part.position == position) or put(port, identity, frames)

    monkeypatch.setattr(DataPort, "_put", lossy)


def test_a_lost_chunk_is_counted_and_the_rest_is_there(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    swallow(monkeypatch, ChunkPart, 2)
    with Client(server.endpoint) as client:
        seen = execute(client, scan("a"), 5.0)
        assert (seen.gaps, client.lost_parts) == (1, 1)
        np.testing.assert_array_equal(np.flatnonzero(~seen.row_seen), np.arange(8, 16))
        assert execute(client, scan("b"), 5.0).gaps == 0


def test_a_lost_end_is_asked_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    swallow(monkeypatch, EndPart, 5)
    with Client(server.endpoint) as client:
        begun = time.monotonic()
        seen = execute(client, scan("a"), 5.0)
        assert time.monotonic() - begun < 2.0
        assert (seen.gaps, seen.aborted, seen.row_seen.all()) == (0, False, True)


def test_a_hundred_streams_leave_no_hole(server: Server) -> None:
    with Client(server.endpoint) as client:
        for number in range(100):
            assert execute(client, scan(f"c{number}"), 5.0).gaps == 0
        assert client.lost_parts == 0


def test_what_became_of_a_command_can_be_asked(server: Server, bench: Bench) -> None:
    bench.chunk_s = 0.1
    with Client(server.endpoint) as client:
        assert isinstance(client.fate("a"), NotStarted)
        client.submit(scan("a"))
        assert isinstance(client.fate("a"), Running)
        seen = client.gather(5.0)
        fate = client.fate("a")
        assert isinstance(fate, Done)
        assert fate.end.end_s == seen.end_s


def test_a_driver_that_fails_in_mid_scan_is_told_with_its_words(server: Server, bench: Bench) -> None:
    def fail(*_: object) -> Iterator[Part]:
        raise RuntimeError("the scan engine lost its clock")
        yield

    bench._parts = fail  # type: ignore[method-assign]
    with Client(server.endpoint) as client:
        client.submit(scan("a"))
        with pytest.raises(Unreachable, match="RuntimeError: the scan engine lost its clock"):
            client.gather(5.0)
        del bench._parts
        assert not execute(client, scan("b"), 5.0).aborted


def test_a_read_back_that_is_no_number_does_not_pass_for_one(server: Server, bench: Bench) -> None:
    def broken() -> InstrumentState:
        return replace(Bench().state(), clock_s=float("nan"))

    with Client(server.endpoint) as client:
        bench.state = broken  # type: ignore[method-assign]
        with pytest.raises(Malformed, match="clock_s"):
            client.state()
        with pytest.raises(Malformed, match="clock_s"):
            client.submit(scan("a"))
        assert bench.seen == []


def test_silence_is_told_after_the_time_that_was_given_for_it(server: Server, bench: Bench) -> None:
    bench.chunk_s = 30.0
    with Client(server.endpoint) as client:
        client.submit(scan("a"))
        begun = time.monotonic()
        with pytest.raises(Unreachable, match=r"nothing came from the instrument for 0\.7 s"):
            client.gather(0.7)
        assert time.monotonic() - begun < 1.5
        bench.chunk_s = 0.0


def test_one_time_line_for_both_clocks(server: Server) -> None:
    with Client(server.endpoint) as client:
        assert abs(client._offset_ns) < 50_000_000  # both on one machine


def test_the_instrument_gets_the_numbers_that_were_sent_to_the_last_bit(server: Server, bench: Bench) -> None:
    command = scan("a", dwell_s=1.0000000000000002e-6)
    with Client(server.endpoint) as client:
        execute(client, command, 5.0)
    assert bench.seen == [command]
