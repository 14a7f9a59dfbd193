"""A holder with electronics of its own, behind the same bridge, on the instrument's clock."""

from __future__ import annotations

import itertools
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bench import LIMITS, Bench, scan
from msgspec.structs import replace
from processes import running, wait_line, wait_until

from digital_twin.holder import NOISE, TwinHolder
from hardware_bridge.client import Client
from hardware_bridge.errors import Rejected, Unreachable
from hardware_bridge.guard import Guard
from hardware_bridge.holder import MOST_READINGS, HolderDevice, WithHolder
from hardware_bridge.messages import Command, Holder, Range, Settings
from hardware_bridge.microscope import execute
from hardware_bridge.server import Server

HEATED = replace(LIMITS, ranges={**LIMITS.ranges, "temperature_K": Range(low=290.0, high=400.0)})


class Heater:
    """The driver of the controller in heater_process.py."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=1.0)
        self._lines = self._socket.makefile("rw")

    def channels(self) -> tuple[str, ...]:
        return ("temperature_K",)

    def set(self, points: Holder) -> None:
        if points.temperature_K is not None:
            self._ask(f"SET {points.temperature_K}")

    def read(self) -> Holder:
        return Holder(temperature_K=float(self._ask("READ")))

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def _ask(self, line: str) -> str:
        try:
            self._lines.write(f"{line}\n")
            self._lines.flush()
            answer = self._lines.readline()
        except OSError as error:
            raise Unreachable(f"the heater does not answer: {error}") from None
        if not answer:
            raise Unreachable("the heater has closed its connection")
        return answer.strip()


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with running("heater_process.py", "300.0") as started:
        yield started


@pytest.fixture
def heater(process: subprocess.Popen[bytes]) -> Iterator[Heater]:
    made = Heater(int(wait_line(process, "ready ")))
    yield made
    made.close()


def heat(temperature_K: float, name: str = "heat") -> Command:
    return Command(id=name, set=Settings(holder=Holder(temperature_K=temperature_K)))


def test_what_the_holder_measures_comes_over_the_wire_with_the_instruments_clock(
    heater: Heater, tmp_path: Path
) -> None:
    assert isinstance(heater, HolderDevice)
    server = Server(WithHolder(Bench(chunk_s=0.1), heater), HEATED, "tcp://127.0.0.1:0", tmp_path)
    try:
        with Client(server.endpoint) as client:
            assert client.describe().holder_channels == ("temperature_K",)
            assert client.state().holder.temperature_K == pytest.approx(300.0)
            hot = replace(scan("hot", rows=64, dwell_s=1e-4), set=Settings(holder=Holder(temperature_K=350.0)))
            seen = execute(client, hot, 5.0)
    finally:
        server.close()
    clocks_s = [reading.clock_s for reading in seen.readings]
    warm_K = [reading.holder.temperature_K or 0.0 for reading in seen.readings]
    assert clocks_s == sorted(clocks_s)
    assert seen.start_s == clocks_s[0]
    assert clocks_s[-1] == pytest.approx(seen.end_s, abs=0.5)
    assert 300.0 <= warm_K[0] < 310.0
    assert warm_K == sorted(warm_K)
    assert 340.0 < (seen.state.holder.temperature_K or 0.0) < 350.0


def test_a_channel_that_the_holder_does_not_have_is_refused(heater: Heater) -> None:
    microscope = Guard(WithHolder(Bench(), heater), HEATED)
    with pytest.raises(Rejected, match=r"set\.holder\.flow_nl_per_s = set refused \(channel\): .* temperature_K"):
        microscope.submit(Command(id="flow", set=Settings(holder=Holder(flow_nl_per_s=1.0))))
    assert execute(microscope, heat(320.0), 5.0).electrons_charged == 0.0


def test_a_holder_that_dies_in_mid_scan_ends_it_blanked_and_unknown(
    process: subprocess.Popen[bytes], heater: Heater, tmp_path: Path
) -> None:
    bench = Bench(chunk_s=0.05)
    server = Server(WithHolder(bench, heater), HEATED, "tcp://127.0.0.1:0", tmp_path)
    try:
        with Client(server.endpoint) as client:
            client.submit(scan("long", rows=256, frames=8, dwell_s=1e-3))
            parts = client.watch(5.0)
            next(parts), next(parts)
            process.kill()
            with pytest.raises(Unreachable, match="heater"):
                list(parts)
            wait_until(lambda: bench.state().beam_blanked)
            assert type(client.fate("long")).__name__ == "Unknown"
    finally:
        server.close()


def test_a_long_command_has_readings_from_its_beginning_to_its_end_and_never_too_many() -> None:
    clock = itertools.count(0.0)
    holder = TwinHolder(Holder(temperature_K=300.0, flow_nl_per_s=5.0), lambda: next(clock), seed=1)
    microscope = WithHolder(Bench(), holder)
    seen = execute(microscope, scan("long", rows=512, frames=64, dwell_s=1e-3), 60.0)
    clocks_s = np.array([reading.clock_s for reading in seen.readings])
    assert MOST_READINGS / 2 <= clocks_s.size <= MOST_READINGS + 1
    assert clocks_s[0] == seen.start_s
    assert clocks_s[-1] > seen.end_s - 3 * np.diff(clocks_s).max()


def test_the_twins_holder_lags_as_its_specimen_does_and_reads_the_same_at_the_same_time() -> None:
    times = {"s": 0.0}
    holder, other = (
        TwinHolder(Holder(temperature_K=300.0, flow_nl_per_s=5.0), lambda: times["s"], seed=3) for _ in range(2)
    )
    holder.set(Holder(temperature_K=340.0))
    other.set(Holder(temperature_K=340.0))
    times["s"] = 20.0
    after = holder.read()
    assert after.temperature_K == pytest.approx(340.0 - 42.0 * np.exp(-1.0), abs=5 * NOISE[0])
    assert after.flow_nl_per_s == pytest.approx(5.0 * (1 - np.exp(-1.0)), abs=0.1)
    assert after.bias_V == pytest.approx(0.0, abs=5e-3)
    assert other.read() == after
