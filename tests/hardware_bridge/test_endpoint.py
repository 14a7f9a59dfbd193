"""Addresses are read strictly, and what others could reach is told from what only this machine can."""

import re
from pathlib import Path

import pytest
import zmq
from bench import LIMITS, Bench

from hardware_bridge.endpoint import CHANNELS, parse
from hardware_bridge.link import Link
from hardware_bridge.server import Server


@pytest.mark.parametrize(
    "text", ["tcp://127.0.0.1:5570", "tcp://[::1]:5570", "tcp://localhost:1", "ipc:///run/adaptem"]
)
def test_local_addresses(text: str) -> None:
    endpoint = parse(text)
    assert str(endpoint) == text
    assert endpoint.is_local
    assert len({endpoint.address(channel) for channel in CHANNELS}) == 3


@pytest.mark.parametrize(
    "text", ["tcp://0.0.0.0:5570", "tcp://192.168.0.7:5570", "tcp://lab.example:5570", "tcp://*:1"]
)
def test_the_bridge_listens_nowhere_that_others_could_reach(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        Server(Bench(), LIMITS, text, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    ["", "127.0.0.1:5570", "tcp://127.0.0.1", "tcp://127.0.0.1:70000", "ipc://relative", "udp://127.0.0.1:1",
     "tcp://127.0.0.1:5570\n", "ipc:///run/adaptem\n"],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"endpoint = "):
        parse(text)


def test_an_address_in_use_is_told(tmp_path: Path) -> None:
    for endpoint in ("tcp://127.0.0.1:0", f"ipc://{tmp_path}/s"):
        first = Server(Bench(), LIMITS, endpoint, tmp_path / "first")
        try:
            with pytest.raises(OSError, match="cannot listen"):
                Server(Bench(), LIMITS, first.endpoint, tmp_path / "second")
        finally:
            first.close()


def test_the_stream_has_an_io_thread_of_its_own_at_either_end(tmp_path: Path) -> None:
    """What is asked then does not wait behind megabytes; that it is faster is for the benchmark to say."""
    server = Server(Bench(), LIMITS, f"ipc://{tmp_path}/bridge")
    link = Link(parse(server.endpoint))
    data = link.connect("data")
    try:
        ours = {**link._sockets, "data": data}
        theirs = {"control": server._desk._socket, "safety": server._wall._socket, "data": server._runner._port.socket}
        for sockets in (ours, theirs):
            masks = {channel: sockets[channel].getsockopt(zmq.AFFINITY) for channel in CHANNELS}
            assert masks == {"control": 1, "safety": 1, "data": 2}
            assert sockets["data"].context.get(zmq.IO_THREADS) == 2
    finally:
        data.close(0)
        link.close()
        server.close()
