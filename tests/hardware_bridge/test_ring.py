"""What lies in a ring is what was put there until it is freed, and nobody reads beside it."""

import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware_bridge import ring as rings
from hardware_bridge.errors import Malformed
from hardware_bridge.ring import FOLDER, PREFIX, Ring, RingView, sweep


@pytest.fixture
def ring() -> Iterator[Ring]:
    made = Ring(1000)
    yield made
    made.close()


def values(number: int, size: int) -> np.ndarray:
    return np.full(size, number % 251, np.uint8)


@given(steps=st.lists(st.one_of(st.integers(1, 1000), st.just("free"), st.just("take back")), max_size=60))
def test_what_is_in_it_stays_until_it_is_freed(steps: list[int | str]) -> None:
    ring = Ring(1000)
    view = RingView(ring.name, 1000)
    there: deque[tuple[int, int, int]] = deque()
    try:
        for number, step in enumerate(steps):
            if isinstance(step, int):
                at = ring.put(values(number, step))
                if at is not None:
                    there.append((at, step, number))
                assert at is not None or there  # an empty ring has room for all that is not larger than it
            elif there and step == "free":
                ring.free()
                there.popleft()
            elif there:
                ring.take_back()
                there.pop()
            for at, size, first in there:
                copy = view.copy(at, size)
                assert copy is not None
                assert bytes(copy) == values(first, size).tobytes()
    finally:
        view.close()
        ring.close()


def test_what_is_larger_than_the_ring_has_no_place_in_it(ring: Ring) -> None:
    assert ring.put(values(1, 1001)) is None
    assert ring.put(values(1, 1000)) == 0


def test_it_goes_on_at_the_start_once_there_is_room(ring: Ring) -> None:
    assert [ring.put(values(n, 400)) for n in range(3)] == [0, 400, None]
    ring.free()
    assert ring.put(values(3, 399)) == 0
    assert ring.put(values(4, 1)) is None  # its end would lie where the oldest begins
    ring.free()
    assert ring.put(values(4, 100)) == 399


@pytest.mark.parametrize(
    ("at", "nbytes"), [(-1, 10), (0, 1001), (1000, 1), (2**62, 1), (0, 2**62), (999, 2), (2**63, 2**63)]
)
def test_nothing_outside_is_read(ring: Ring, at: int, nbytes: int) -> None:
    view = RingView(ring.name, 1000)
    assert view.copy(at, nbytes) is None
    assert view.copy(1000 - 3, 3) is not None
    view.close()


def test_what_was_copied_out_does_not_change(ring: Ring) -> None:
    view = RingView(ring.name, 1000)
    ring.put(values(7, 5))
    copy = view.copy(0, 5)
    ring.free()
    ring.put(values(8, 5))
    assert bytes(copy or b"") == bytes([7] * 5)
    view.close()


def test_only_its_owner_may_open_it_and_it_is_gone_in_the_end() -> None:
    ring = Ring(1000)
    path = FOLDER / ring.name
    assert path.stat().st_mode & 0o777 == 0o600
    ring.close()
    assert not path.exists()


@pytest.mark.parametrize(
    "name", ["", "..", "../etc/passwd", "adaptem-ring-", PREFIX + "0" * 31, PREFIX + "0" * 32 + "\n"]
)
def test_other_names_are_no_rings(name: str) -> None:
    with pytest.raises(Malformed, match="not the name of a ring"):
        RingView(name, 1000)


def test_what_is_not_such_a_file_is_not_opened(ring: Ring) -> None:
    with pytest.raises(FileNotFoundError):
        RingView(PREFIX + "0" * 32, 1000)
    for size in (0, 999, 1001, -1):
        with pytest.raises(Malformed, match="bytes"):
            RingView(ring.name, size)
    link = FOLDER / (PREFIX + "f" * 32)
    link.symlink_to(FOLDER / ring.name)
    try:
        with pytest.raises(OSError, match="symbolic"):
            RingView(link.name, 1000)
    finally:
        link.unlink()


def test_a_failure_leaves_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(rings, "FOLDER", tmp_path)
    with pytest.raises(OSError, match=r"space|large"):
        Ring(1 << 50)
    assert not list(tmp_path.iterdir())


def test_what_a_dead_server_left_is_removed_and_nothing_else(ring: Ring) -> None:
    code = "from hardware_bridge.ring import Ring; import os; print(Ring(1000).name, flush=True); os._exit(9)"
    said = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False).stdout.decode().strip()
    assert (FOLDER / said).exists()
    sweep()
    assert not (FOLDER / said).exists()
    assert (FOLDER / ring.name).exists()
