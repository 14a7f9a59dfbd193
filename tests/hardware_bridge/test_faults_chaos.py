"""Messages that come late, twice, in another order, or again when all is over: nothing runs twice or for a stranger."""

import random
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import pytest
from bench import LIMITS, Bench, expected, scan
from chaos import Chaos, Passing, calm
from msgspec.structs import replace
from processes import wait_until

from hardware_bridge import wire
from hardware_bridge.blanker import Blanker
from hardware_bridge.client import Client
from hardware_bridge.errors import BridgeError
from hardware_bridge.microscope import execute
from hardware_bridge.server import Server, Timing

BLANKED_WITHIN_S = 0.5


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def server(bench: Bench, tmp_path: Path) -> Iterator[Server]:
    running = Server(bench, LIMITS, "tcp://127.0.0.1:0", tmp_path / "journal", Timing(lease_s=1.0))
    yield running
    running.close()


@pytest.fixture
def chaos(server: Server, tmp_path: Path) -> Iterator[Chaos]:
    with Chaos(server.endpoint, tmp_path) as proxy:
        yield proxy


def test_every_message_twice_is_as_good_as_once(chaos: Chaos, bench: Bench) -> None:
    chaos.fate = lambda passing: [0.0, 0.0] if passing.channel != "data" else [0.0]
    with Client(chaos.endpoint) as client:
        for number in range(20):
            seen = execute(client, scan(f"a-{number}"), 5.0)
            assert (seen.aborted, seen.gaps) == (False, 0)
        client.blank()
    assert [command.id for command in bench.seen] == [f"a-{number}" for number in range(20)]


def test_late_messages_in_another_order_change_nothing_but_the_time(chaos: Chaos, bench: Bench) -> None:
    dice = random.Random(1)
    chaos.fate = lambda passing: [dice.uniform(0.0, 0.15)] if passing.channel != "data" else [0.0]
    with Client(chaos.endpoint) as client:
        for number in range(8):
            seen = execute(client, scan(f"a-{number}"), 5.0)
            assert (seen.aborted, seen.gaps) == (False, 0)
    assert [command.id for command in bench.seen] == [f"a-{number}" for number in range(8)]


@pytest.mark.parametrize("delays", [[0.0, 0.0], [0.0, 0.02], [0.02]], ids=["twice", "again later", "late"])
def test_a_stream_out_of_order_is_right_or_says_that_it_is_not(chaos: Chaos, delays: list[float]) -> None:
    dice = random.Random(2)
    chaos.fate = lambda to: delays if to.channel == "data" and not to.to_bridge and dice.random() < 0.1 else [0.0]
    command, told = scan("x", rows=128), 0
    assert command.acquire is not None
    image = expected(command.acquire)
    for number in range(20):
        try:
            with Client(chaos.endpoint) as client:
                seen = execute(client, replace(command, id=f"a-{number}"), 5.0)
        except BridgeError:
            told += 1
            continue
        assert seen.data is not None
        assert np.array_equal(seen.data[seen.row_seen], image[seen.row_seen])
        assert seen.row_seen.all() or seen.gaps > 0 or seen.aborted
        told += seen.gaps > 0 or seen.aborted
    assert told < 20
    assert told > 0 or delays != [0.02]


def test_beats_that_come_too_late_are_no_beats(tmp_path: Path) -> None:
    slow = Bench(chunk_s=0.01)
    with (
        closing(Server(slow, LIMITS, "tcp://127.0.0.1:0", tmp_path / "journal")) as server,
        Chaos(server.endpoint, tmp_path) as chaos,
        Client(chaos.endpoint) as client,
    ):
        beam = Blanker(server.beam)
        client.submit(scan("a", rows=256, frames=64))
        parts = client.watch(5.0)
        wait_until(lambda: next(parts) is not None and not beam.is_blanked)
        since_s = time.monotonic()
        chaos.fate = lambda passing: [1.0] if passing.channel == "safety" else [0.0]
        for _ in parts:
            if beam.is_blanked:
                break
        assert time.monotonic() - since_s < BLANKED_WITHIN_S
        time.sleep(1.2)  # those late beats arrive, of a holder who is in time otherwise
        assert beam.is_blanked
        chaos.fate = calm


def test_a_command_replayed_is_not_run_again(chaos: Chaos, bench: Bench) -> None:
    with Client(chaos.endpoint) as client:
        for name in ("a", "b"):
            execute(client, scan(name), 5.0)
        for passing in requests(chaos, wire.Submit):
            chaos.replay(passing)
        assert not execute(client, scan("c"), 5.0).aborted
        assert [command.id for command in bench.seen] == ["a", "b", "c"]


def test_whatever_a_former_holder_said_is_replayed_in_vain(chaos: Chaos, server: Server, bench: Bench) -> None:
    with Client(chaos.endpoint) as former:
        execute(former, scan("a"), 5.0)
    with Client(server.endpoint) as holder:
        for kind in (wire.Submit, wire.Beat, wire.Present, wire.DropLease, wire.TakeLease):
            for passing in requests(chaos, kind):
                chaos.replay(passing)
        time.sleep(0.3)
        assert not execute(holder, scan("b"), 5.0).aborted
    assert [command.id for command in bench.seen] == ["a", "b"]
    assert bench.state().beam_blanked


def test_a_request_for_the_lease_that_comes_when_its_sender_is_gone_gives_it_to_nobody(
    chaos: Chaos, server: Server, bench: Bench
) -> None:
    with Client(chaos.endpoint, timeout_s=0.5) as former:
        execute(former, scan("a"), 5.0)
    time.sleep(0.5)
    (asked,) = requests(chaos, wire.TakeLease)
    chaos.replay(asked)
    wait_until(lambda: any(isinstance(answer, wire.Expired) for answer in answers(chaos)))
    with Client(server.endpoint, lease_wait_s=0.0) as holder:
        execute(holder, scan("b"), 5.0)
    assert len(bench.seen) == 2  # the holder of the specimen was not brought to its safe state either


def requests(chaos: Chaos, kind: type[wire.Message]) -> list[Passing]:
    """What was sent to the bridge of one kind."""
    return [
        passing
        for passing in list(chaos.passed)
        if passing.to_bridge and msgspec.msgpack.decode(passing.frames[0])["type"] == kind.__name__
    ]


def answers(chaos: Chaos) -> list[wire.Reply]:
    """What the bridge said on the control channel."""
    return [
        wire.read(wire.REPLIES, passing.frames[0])
        for passing in list(chaos.passed)
        if passing.channel == "control" and not passing.to_bridge
    ]
