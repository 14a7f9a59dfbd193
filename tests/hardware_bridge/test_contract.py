"""One contract for all: the guarded bench in process and over TCP and a socket file, which must also reject alike."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bench import LIMITS, Bench
from contract import BAD_COMMANDS, CHECKS, refusal

from hardware_bridge.client import Client
from hardware_bridge.guard import Guard
from hardware_bridge.microscope import Microscope
from hardware_bridge.server import Server

Factory = Callable[[Path], contextlib.AbstractContextManager[Microscope]]


@contextlib.contextmanager
def in_process(folder: Path) -> Iterator[Microscope]:
    yield Guard(Bench(), LIMITS)


@contextlib.contextmanager
def over_tcp(folder: Path) -> Iterator[Microscope]:
    yield from _over(folder, "tcp://127.0.0.1:0")


@contextlib.contextmanager
def over_ipc(folder: Path) -> Iterator[Microscope]:
    yield from _over(folder, f"ipc://{folder}/s")


def _over(folder: Path, endpoint: str) -> Iterator[Microscope]:
    server = Server(Bench(), LIMITS, endpoint, folder / "journal")
    try:
        with Client(server.endpoint) as client:
            yield client
    finally:
        server.close()


# A further instrument joins with one line here.
FACTORIES: dict[str, Factory] = {"in process": in_process, "tcp": over_tcp, "ipc": over_ipc}


@pytest.fixture(params=FACTORIES)
def microscope(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Microscope]:
    with FACTORIES[request.param](tmp_path) as made:
        yield made


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(microscope: Microscope, check: Callable[[Microscope], None]) -> None:
    check(microscope)


def test_all_reject_the_same_with_the_same_words(tmp_path: Path) -> None:
    with in_process(tmp_path) as here, over_tcp(tmp_path) as there:
        said = {name: (refusal(here, bad), refusal(there, bad)) for name, bad in BAD_COMMANDS.items()}
    assert {name: pair[0] for name, pair in said.items()} == {name: pair[1] for name, pair in said.items()}
