"""The holder of the lease gets all of the stream or the beam goes off; all others never hold it up."""

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from bench import LIMITS, Bench, scan
from processes import served, wait_until

from hardware_bridge import dataport
from hardware_bridge.client import Client
from hardware_bridge.errors import Rejected, Unreachable
from hardware_bridge.messages import Acquire, Command, End, Start
from hardware_bridge.microscope import execute
from hardware_bridge.observation import Chunk, Gap, Part, whole
from hardware_bridge.reader import Intake
from hardware_bridge.server import Server

NEWEST = Intake(window_bytes=1)
WAYS = [Intake(), Intake(ring=False), Intake(ring=False, encoding="zlib")]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def server(bench: Bench, tmp_path: Path) -> Iterator[Server]:
    running = Server(bench, LIMITS, "tcp://127.0.0.1:0", tmp_path)
    yield running
    running.close()


def big(name: str, frames: int = 64) -> Command:
    """Half a MB a frame, in chunks of 8 KB."""
    acquire = Acquire(mode="HAADF", fov_nm=256.0, pixels_x=512, pixels_y=512, dwell_s=1e-7, max_frames=frames)
    return Command(id=name, acquire=acquire)


class Onlooker:
    """Looks on in a thread of its own until an End has come."""

    def __init__(self, server: Server, intake: Intake, after_each_s: float = 0.0) -> None:
        self.parts: list[Part] = []
        self.client = Client(server.endpoint, holder=None, intake=intake)
        self._after_each_s = after_each_s
        assert next(self.client.look_on(0.0), None) is None  # from now on it is attached
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        for part in self.client.look_on(5.0):
            self.parts.append(part)
            if isinstance(part, End):
                return
            time.sleep(self._after_each_s)

    def end(self) -> list[Part]:
        self._thread.join(10.0)
        assert not self._thread.is_alive()
        self.client.close()
        return self.parts


def chunks(parts: list[Part]) -> list[int]:
    return [part.header.sequence for part in parts if isinstance(part, Chunk)]


def dropped(parts: list[Part]) -> int:
    assert not any(part.lost for part in parts if isinstance(part, Gap))
    return sum(part.dropped for part in parts if isinstance(part, Gap))


def test_whoever_looks_on_sees_what_the_holder_sees(server: Server) -> None:
    onlookers = [Onlooker(server, intake) for intake in WAYS]
    with Client(server.endpoint) as client:
        client.submit(scan("a", frames=3))
        parts = list(whole(client.watch(5.0)))
    for onlooker in onlookers:
        seen = onlooker.end()
        assert list(whole(seen)) == seen
        assert chunks(seen) == chunks(parts) == list(range(12))
        assert (seen[0], seen[-1]) == (parts[0], parts[-1])


@pytest.mark.parametrize("ring", [True, False], ids=["ring", "socket"])
def test_whoever_does_not_keep_up_misses_parts_and_is_told_how_many(server: Server, bench: Bench, ring: bool) -> None:
    bench.chunk_s = 1e-4
    onlooker = Onlooker(server, Intake(window_bytes=20_000, ring=ring), after_each_s=0.02)
    with Client(server.endpoint) as client:
        since = time.monotonic()
        client.submit(big("a", frames=8))
        assert len(chunks(list(whole(client.watch(5.0))))) == 512
        assert time.monotonic() - since < 4.0  # one who waited for the onlooker would take ten seconds
    seen = onlooker.end()
    assert 2 <= len(chunks(seen)) < 512
    assert len(chunks(seen)) + dropped(seen) == 512
    assert onlooker.client.dropped_parts == dropped(seen)
    assert isinstance(seen[0], Start)
    assert isinstance(seen[-1], End)


def test_a_window_of_one_part_shows_the_newest(server: Server, bench: Bench) -> None:
    """Each chunk that is seen is at most three older than the one being taken: none waits in a queue."""
    bench.chunk_s = 0.01
    onlooker = Onlooker(server, NEWEST, after_each_s=0.05)
    with Client(server.endpoint) as client:
        execute(client, scan("a", rows=256, frames=4), 5.0)
    seen = chunks(onlooker.end())
    assert 5 < len(seen) < 60
    assert min(later - earlier for earlier, later in itertools.pairwise(seen[1:])) > 1


def test_one_who_comes_in_mid_scan_is_told_what_runs(server: Server, bench: Bench) -> None:
    bench.chunk_s = 0.02
    with Client(server.endpoint) as client, Client(server.endpoint, holder=None) as late:
        client.submit(scan("a", rows=256))
        parts = client.watch(5.0)
        taken = [next(parts) for _ in range(4)]
        reading = threading.Thread(target=lambda: taken.extend(parts))
        reading.start()
        seen = []
        for part in late.look_on(5.0):
            seen.append(part)
            if isinstance(part, End):
                break
        reading.join()
    assert seen[0] == taken[0]
    assert chunks(seen) == chunks(taken)[-len(chunks(seen)) :]
    assert 3 < len(chunks(seen)) < 32


@pytest.mark.parametrize("ring", [True, False], ids=["ring", "socket"])
def test_a_holder_who_beats_and_does_not_read_loses_the_beam(tmp_path: Path, ring: bool) -> None:
    intake = Intake(window_bytes=1 << 20, ring=ring)
    with served(tmp_path) as server, Client(server.endpoint, intake=intake) as client:
        client.submit(big("a"))
        wait_until(lambda: not server.beam.is_blanked)
        since_ns = time.monotonic_ns()
        while not server.beam.is_blanked:
            client.beat()
            time.sleep(0.02)
            assert time.monotonic_ns() - since_ns < 2e9
        assert 300e6 < server.beam.changed_ns - since_ns < 700e6
        *_, end = client.watch(5.0)
        assert isinstance(end, End)
        assert (end.aborted, end.reason) == (True, "the holder of the lease has not read the stream")
        assert client.fate("a").end.reason == end.reason  # type: ignore[union-attr]
        assert execute(client, scan("b"), 5.0).gaps == 0


def test_a_holder_who_reads_slowly_keeps_the_beam(tmp_path: Path) -> None:
    """Its window is 32 chunks and it takes longer than the stall time for them, but it goes on reading."""
    with served(tmp_path) as server, Client(server.endpoint, intake=Intake(window_bytes=300_000)) as client:
        client.submit(big("a", frames=2))
        parts: list[Part] = []
        for part in whole(client.watch(5.0)):
            parts.append(part)
            time.sleep(0.02)
        assert len(chunks(parts)) == 128
        assert not parts[-1].aborted  # type: ignore[union-attr]


@pytest.mark.parametrize("ring", [True, False], ids=["ring", "socket"])
def test_a_frozen_onlooker_costs_the_bridge_its_window_and_no_more(tmp_path: Path, ring: bool) -> None:
    window = 8 << 20
    with served(tmp_path) as server, Client(server.endpoint, intake=Intake(window_bytes=1 << 20)) as client:
        execute(client, big("first"), 5.0)
        process = psutil.Process(server.process.pid)
        before = process.memory_info().rss
        with Client(server.endpoint, holder=None, intake=Intake(window_bytes=window, ring=ring)) as frozen:
            assert next(frozen.look_on(0.0), None) is None
            sent = 0
            for number in range(5):  # 160 MB go by
                client.submit(big(f"c{number}"))
                sent += next(part.chunks for part in client.watch(5.0) if isinstance(part, End))
            assert process.memory_info().rss - before < window + (16 << 20)
            seen = []
            for part in frozen.look_on(0.3):
                seen.append(part)
            assert len(seen) > 500
            assert len(chunks(seen)) + dropped(seen) == sent > 8 * window // 8192


def test_only_so_many_may_look_on_and_those_who_are_gone_make_room(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataport, "MAX_SUBSCRIBERS", 3)
    with Client(server.endpoint) as holder:
        others = [Client(server.endpoint, holder=None) for _ in range(3)]
        for client in others[:2]:
            assert next(client.look_on(0.0), None) is None
        with pytest.raises(Rejected, match=r"subscribers.*limit 3 readers"):
            next(others[2].look_on(0.0), None)
        # One that ends without a word, as a process that dies.
        others[0]._attached()._socket.close(0)
        wait_until(lambda: _may_look_on(others[2]), 3.0)
        for client in others[1:]:
            client.close()
        others[0]._link.close()
        assert execute(holder, scan("a"), 5.0).gaps == 0


def _may_look_on(client: Client) -> bool:
    try:
        return next(client.look_on(0.0), None) is None
    except Rejected:
        time.sleep(0.05)
        return False


def test_who_holds_the_lease_does_not_look_on(server: Server) -> None:
    with Client(server.endpoint) as client, pytest.raises(Rejected, match="holder"):
        next(client.look_on(1.0))


def test_one_who_looks_on_is_told_that_the_instrument_failed(server: Server, bench: Bench) -> None:
    def fail(*_: object) -> Iterator[Part]:
        raise RuntimeError("the scan engine lost its clock")
        yield

    bench._parts = fail  # type: ignore[method-assign]
    with Client(server.endpoint) as client, Client(server.endpoint, holder=None) as other:
        assert next(other.look_on(0.0), None) is None
        client.submit(scan("a"))
        with pytest.raises(Unreachable, match="lost its clock"):
            list(other.look_on(5.0))
        with pytest.raises(Unreachable, match="lost its clock"):
            client.gather(5.0)


def test_what_an_instrument_itself_missed_is_a_gap_for_all(server: Server, bench: Bench) -> None:
    parts = bench._parts

    def holed(name: str, acquire: Acquire) -> Iterator[Part]:
        for part in parts(name, acquire):
            hole = isinstance(part, Chunk) and part.header.sequence == 1
            yield Gap(dropped=2, lost=1) if hole else part

    bench._parts = holed  # type: ignore[method-assign]
    onlooker = Onlooker(server, Intake())
    with Client(server.endpoint) as client:
        client.submit(scan("a"))
        seen = list(client.watch(5.0))
    for parts_seen in (seen, onlooker.end()):
        assert [part for part in parts_seen if isinstance(part, Gap)] == [Gap(dropped=3, lost=0)]
        assert chunks(parts_seen) == [0, 2, 3]
