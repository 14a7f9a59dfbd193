"""One contract for all: bench and twin, guarded in process and over TCP and a socket file; all reject alike."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from bench import LIMITS, Bench, expected, scan
from contract import BAD_COMMANDS, CHECKS, Acquisition, refusal

from digital_twin.apparatus import START_HOLDER
from digital_twin.holder import TwinHolder
from digital_twin.instrument import Twin
from digital_twin.liquid_cell import LiquidCell
from hardware_bridge.client import Client
from hardware_bridge.guard import Guard
from hardware_bridge.holder import WithHolder
from hardware_bridge.microscope import Microscope, execute
from hardware_bridge.server import Server

Way = Callable[[Microscope, Path], contextlib.AbstractContextManager[Microscope]]


def twin_and_holder() -> Microscope:
    column = Twin(LiquidCell(5), seed=5)
    return WithHolder(column, TwinHolder(START_HOLDER, lambda: column.state().clock_s, seed=5))


INSTRUMENTS: dict[str, Callable[[], Microscope]] = {"bench": Bench, "twin": twin_and_holder}


@contextlib.contextmanager
def in_process(instrument: Microscope, folder: Path) -> Iterator[Microscope]:
    yield Guard(instrument, LIMITS)


@contextlib.contextmanager
def over_tcp(instrument: Microscope, folder: Path) -> Iterator[Microscope]:
    with over(instrument, folder, "tcp://127.0.0.1:0") as client:
        yield client


@contextlib.contextmanager
def over_ipc(instrument: Microscope, folder: Path) -> Iterator[Microscope]:
    with over(instrument, folder, f"ipc://{folder}/s") as client:
        yield client


@contextlib.contextmanager
def over(instrument: Microscope, folder: Path, endpoint: str) -> Iterator[Microscope]:
    server = Server(instrument, LIMITS, endpoint, folder / "journal")
    try:
        with Client(server.endpoint) as client:
            yield client
    finally:
        server.close()


WAYS: dict[str, Way] = {"in process": in_process, "tcp": over_tcp, "ipc": over_ipc}


@pytest.fixture(params=[(i, w) for i in INSTRUMENTS for w in WAYS], ids=" ".join)
def microscope(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Microscope]:
    instrument, way = request.param
    with WAYS[way](INSTRUMENTS[instrument](), tmp_path) as made:
        yield made


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(microscope: Microscope, check: Callable[[Microscope, Acquisition], None]) -> None:
    check(microscope, lambda name, frames: scan(name, rows=256, frames=frames))


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_all_reject_the_same_with_the_same_words(name: str, tmp_path: Path) -> None:
    make = INSTRUMENTS[name]
    with in_process(make(), tmp_path) as here, over_tcp(make(), tmp_path) as there:
        said = {bad: (refusal(here, command), refusal(there, command)) for bad, command in BAD_COMMANDS.items()}
    assert {bad: pair[0] for bad, pair in said.items()} == {bad: pair[1] for bad, pair in said.items()}


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_the_same_data_come_to_the_last_bit(name: str, tmp_path: Path) -> None:
    command = scan("same", rows=32, frames=2, dwell_s=1e-5)
    with in_process(INSTRUMENTS[name](), tmp_path) as microscope:
        here = execute(microscope, command, 5.0)
    with over_tcp(INSTRUMENTS[name](), tmp_path) as microscope:
        there = execute(microscope, command, 5.0)
    np.testing.assert_array_equal(there.data, here.data)
    np.testing.assert_array_equal(there.row_start_s, here.row_start_s)
    assert there.statistics == here.statistics
    assert there.state == here.state
    assert (there.electrons, there.electrons_charged) == (here.electrons, here.electrons_charged)


def test_the_bench_is_seen_as_it_is(tmp_path: Path) -> None:
    command = scan("known", rows=64)
    assert command.acquire is not None
    with over_tcp(Bench(), tmp_path) as microscope:
        np.testing.assert_array_equal(execute(microscope, command, 5.0).data, expected(command.acquire))
