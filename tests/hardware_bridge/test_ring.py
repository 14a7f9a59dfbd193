"""What lies in a ring is what was put there until it is freed, and nobody reads beside it."""

import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from hardware_bridge import ring as rings
from hardware_bridge.errors import Malformed
from hardware_bridge.ring import BLOCK_BYTES, FOLDER, PREFIX, Ring, RingView, copy_hashed, sweep


@pytest.fixture
def ring() -> Iterator[Ring]:
    made = Ring(1000)
    yield made
    made.close()


def values(number: int, size: int) -> bytes:
    return bytes([number % 251]) * size


def put(ring: Ring, number: int, size: int) -> int | None:
    """Write ``size`` times the number."""
    return ring.put(size, lambda place: place.fill(number % 251))


def copied(view: RingView, at: int, size: int) -> bytes:
    """What lies there; its hash is right."""
    found = view.copy(at, size)
    assert found is not None
    assert found[1] == xxhash.xxh3_64_hexdigest(found[0])
    return bytes(found[0])


@given(steps=st.lists(st.one_of(st.integers(1, 1000), st.just("free"), st.just("take back")), max_size=60))
def test_what_is_in_it_stays_until_it_is_freed(steps: list[int | str]) -> None:
    ring = Ring(1000)
    view = RingView(ring.name, 1000)
    there: deque[tuple[int, int, int]] = deque()
    try:
        for number, step in enumerate(steps):
            if isinstance(step, int):
                at = put(ring, number, step)
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
                assert copied(view, at, size) == values(first, size)
    finally:
        view.close()
        ring.close()


def test_what_is_larger_than_the_ring_has_no_place_in_it(ring: Ring) -> None:
    assert put(ring, 1, 1001) is None
    assert put(ring, 1, 1000) == 0


def test_it_goes_on_at_the_start_once_there_is_room(ring: Ring) -> None:
    assert [put(ring, n, 400) for n in range(3)] == [0, 400, None]
    ring.free()
    assert put(ring, 3, 399) == 0
    assert put(ring, 4, 1) is None  # its end would lie where the oldest begins
    ring.free()
    assert put(ring, 4, 100) == 399


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
    put(ring, 7, 5)
    copy = view.copy(0, 5)
    ring.free()
    put(ring, 8, 5)
    assert copy is not None
    assert bytes(copy[0]) == values(7, 5)
    view.close()


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 5 * BLOCK_BYTES + 7])
def test_a_copy_in_blocks_is_whole_and_its_hash_is_that_of_the_whole(size: int) -> None:
    source = np.random.default_rng(1).integers(0, 256, size, np.uint8)
    target = np.zeros(size, np.uint8)
    assert copy_hashed(target, source) == xxhash.xxh3_64_hexdigest(source.data)
    np.testing.assert_array_equal(target, source)


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
