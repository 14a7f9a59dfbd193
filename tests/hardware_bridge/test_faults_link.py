"""The cable to the bridge is pulled, the connection reset, packets are lost: blank in time, and it is told."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from nets import BRIDGE, Net, cabled, missing
from processes import Served, running, served, wait_line, wait_until

from hardware_bridge.keys import make

BLANKED_WITHIN_NS = 500_000_000
WHY_NOT = missing()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
OPTIONS = {"endpoint": f"tcp://{BRIDGE}:0", "lease_s": 1.5}


@pytest.fixture
def net() -> Iterator[Net]:
    with cabled() as made:
        yield made


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return make(tmp_path / "keys", "agent", "operator")


@pytest.fixture
def slow(net: Net, key: Path, tmp_path: Path) -> Iterator[Served]:
    """Over the cable, encrypted; its scans take about a minute."""
    options = {**OPTIONS, "keys": key.parent, "chunk_s": 0.03}
    with served(tmp_path / "bridge", net.inside(net.bridge), **options) as server:
        yield server


def blanked_after_ns(server: Served, since_ns: int) -> int:
    wait_until(lambda: server.beam.is_blanked)
    return server.beam.changed_ns - since_ns


def test_a_pulled_cable_blanks_in_time_and_is_told_within_two_seconds(slow: Served, net: Net, key: Path) -> None:
    agent_inside = net.inside(net.agent)
    with running("agent_process.py", slow.endpoint, "scan", str(key), inside=agent_inside) as agent:
        wait_line(agent, "scanning")
        assert not slow.beam.is_blanked
        net.cable("down")
        since_ns = time.monotonic_ns()
        assert blanked_after_ns(slow, since_ns) < BLANKED_WITHIN_NS
        assert wait_line(agent, "told ", 5.0) == "Unreachable"
        assert time.monotonic_ns() - since_ns < 2_000_000_000
    assert slow.beam.is_blanked
    net.cable("up")
    with running("agent_process.py", slow.endpoint, "turns", str(key), inside=agent_inside) as agent:
        assert wait_line(agent, "ended ") == "False 0"


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param("meta l4proto tcp reject with tcp reset", id="reset"),
        pytest.param("meta l4proto tcp drop", id="nothing arrives", marks=pytest.mark.slow),
        pytest.param("meta l4proto tcp reject", id="unreachable", marks=pytest.mark.slow),
    ],
)
def test_a_connection_that_is_cut_blanks_in_time_and_is_told(slow: Served, net: Net, key: Path, rule: str) -> None:
    with running("agent_process.py", slow.endpoint, "scan", str(key), inside=net.inside(net.agent)) as agent:
        wait_line(agent, "scanning")
        net.rule(rule)
        since_ns = time.monotonic_ns()
        assert blanked_after_ns(slow, since_ns) < BLANKED_WITHIN_NS
        assert wait_line(agent, "told ", 5.0) == "Unreachable"
        assert time.monotonic_ns() - since_ns < 2_000_000_000
        net.no_rules()
        time.sleep(0.3)
        assert slow.beam.is_blanked


def test_a_short_interruption_ends_the_scan_or_leaves_no_hole_untold(slow: Served, net: Net, key: Path) -> None:
    with running("agent_process.py", slow.endpoint, "scan", str(key), inside=net.inside(net.agent)) as agent:
        wait_line(agent, "scanning")
        net.rule("meta l4proto tcp drop")
        time.sleep(0.8)
        net.no_rules()
        assert wait_line(agent, "ended ", 10.0).startswith("True")
        assert slow.beam.is_blanked


def test_one_packet_in_ten_lost_costs_time_and_nothing_else(net: Net, key: Path, tmp_path: Path) -> None:
    inside, options = net.inside(net.agent), {**OPTIONS, "keys": key.parent}
    with (
        served(tmp_path / "bridge", net.inside(net.bridge), **options) as server,
        running("agent_process.py", server.endpoint, "turns", str(key), inside=inside) as agent,
    ):
        wait_line(agent, "ended ")
        net.rule("numgen random mod 10 < 1 drop")
        said = [wait_line(agent, "ended ", 20.0).split() for _ in range(10)]
        whole = [line for line in said if line == ["False", "0"]]
        assert len(whole) >= 5
        # A beat that came too late ends a scan, and then that is said.
        assert all(line == ["False", "0"] or line[0] == "True" for line in said)
        since_ns = time.monotonic_ns()
        os.kill(agent.pid, signal.SIGKILL)
        wait_until(lambda: server.beam.is_blanked)
        assert server.beam.changed_ns - since_ns < BLANKED_WITHIN_NS


def test_the_namespaces_are_gone_afterwards() -> None:
    with cabled() as net:
        assert Path("/run/netns", net.agent).exists()
    assert not Path("/run/netns", net.agent).exists()
