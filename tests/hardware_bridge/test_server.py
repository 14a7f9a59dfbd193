"""When a bridge refuses to start, and what it does when the agent, the disk or the bridge itself is gone."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import CAPABILITIES, LIMITS, Bench, scan
from msgspec.structs import replace
from processes import wait_until

from hardware_bridge.client import Client
from hardware_bridge.errors import NotHeld, Rejected, Unreachable
from hardware_bridge.messages import Capabilities
from hardware_bridge.microscope import execute
from hardware_bridge.server import Server, Timing

LOCAL = "tcp://127.0.0.1:0"


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def server(bench: Bench, tmp_path: Path) -> Iterator[Server]:
    running = Server(bench, LIMITS, LOCAL, tmp_path / "journal", Timing(lease_s=1.0))
    yield running
    running.close()


@pytest.mark.parametrize("endpoint", ["tcp://0.0.0.0:0", "tcp://192.168.1.5:5570", "tcp://microscope:5570"])
def test_what_other_machines_could_reach_is_not_served(endpoint: str) -> None:
    with pytest.raises(ValueError, match="other machines could reach it"):
        Server(Bench(), LIMITS, endpoint)


def test_a_driver_that_blanks_too_slowly_is_not_served() -> None:
    class Slow(Bench):
        def describe(self) -> Capabilities:
            return replace(CAPABILITIES, blank_latency_s=0.1)

    with pytest.raises(Rejected, match=r"0\.1 s after a heartbeat time-out of 0\.4 s .* limit 0\.08 s"):
        Server(Slow(), LIMITS, LOCAL)
    Server(Slow(), LIMITS, LOCAL, timing=Timing(heartbeat_s=0.35)).close()


def test_a_server_closes_in_order_when_its_driver_can_no_longer_blank(tmp_path: Path) -> None:
    class Gone(Bench):
        def blank(self) -> None:
            super().blank()
            raise Unreachable("the instrument is gone")

    gone = Gone()
    server = Server(gone, LIMITS, LOCAL, tmp_path)
    wait_until(lambda: gone.blanks == 1)
    server.close()
    assert gone.blanks == 2


def test_an_address_or_a_journal_in_use_is_not_taken_away(server: Server, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot listen there"):
        Server(Bench(), LIMITS, server.endpoint)
    with pytest.raises(OSError, match="temporarily unavailable"):
        Server(Bench(), LIMITS, LOCAL, tmp_path / "journal")
    socket_file = f"ipc://{tmp_path}/s"
    first = Server(Bench(), LIMITS, socket_file)
    with pytest.raises(OSError, match="another server listens"):
        Server(Bench(), LIMITS, socket_file)
    with Client(first.endpoint) as client:
        execute(client, scan("a"), 5.0)
    first.close()
    Server(Bench(), LIMITS, socket_file).close()


def test_the_holder_goes_to_its_safe_state_when_the_agent_is_lost(server: Server, bench: Bench) -> None:
    client = Client(server.endpoint)
    try:
        execute(client, scan("a"), 5.0)
        wait_until(lambda: len(bench.seen) == 2)  # nobody beats and nobody has blanked
        assert bench.seen[-1].set.holder.flow_nl_per_s == 0.0
        with pytest.raises(NotHeld, match="nobody"):
            client.submit(scan("b"))
    finally:
        client.close()


def test_a_client_that_leaves_in_good_order_changes_nothing_at_the_holder(server: Server, bench: Bench) -> None:
    with Client(server.endpoint) as client:
        execute(client, scan("a"), 5.0)
    time.sleep(1.3)
    assert len(bench.seen) == 1


def test_without_a_journal_nothing_runs_and_blank_works(
    server: Server, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(server.endpoint) as client:
        monkeypatch.setattr(os, "fdatasync", _full)
        with pytest.raises(Rejected, match=r"journal that can be written \(disk full\)"):
            client.submit(scan("a"))
        blanks = bench.blanks
        client.blank()
        assert (bench.blanks, bench.seen) == (blanks + 1, [])
        monkeypatch.undo()
        assert not execute(client, scan("a"), 5.0).aborted


def _full(descriptor: int) -> None:
    raise OSError("disk full")


def test_a_bridge_started_anew_knows_what_ran_and_its_twin_is_where_it_was(tmp_path: Path) -> None:
    first = Server(Bench(), LIMITS, LOCAL, tmp_path)
    with Client(first.endpoint) as client:
        for name in ("a", "b"):
            seen = execute(client, scan(name), 5.0)
        state = client.state()
    first.close()

    again = Bench()
    second = Server(again, LIMITS, LOCAL, tmp_path)
    try:
        with Client(second.endpoint) as client:
            assert [command.id for command in again.seen] == ["a", "b"]
            assert client.state() == state
            assert execute(client, scan("b"), 5.0).end_s == seen.end_s
            assert len(again.seen) == 2
            with pytest.raises(Rejected, match="id_reused"):
                client.submit(scan("a", rows=64))
    finally:
        second.close()


def test_a_client_of_the_bridge_before_is_told(tmp_path: Path) -> None:
    first = Server(Bench(), LIMITS, LOCAL, tmp_path / "1")
    with Client(first.endpoint) as client:
        execute(client, scan("a"), 5.0)
        first.close()
        second = Server(Bench(), LIMITS, first.endpoint, tmp_path / "2")
        try:
            with pytest.raises((NotHeld, Unreachable)):
                client.submit(scan("b"))
        finally:
            second.close()
