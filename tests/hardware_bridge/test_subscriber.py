"""However much is sent and however little read, no more than a window is under way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.small_column import STATE
from hardware_bridge import subscriber
from hardware_bridge.frames import Values, unpack
from hardware_bridge.messages import ChunkHeader, End
from hardware_bridge.observation import Chunk
from hardware_bridge.ring import Ring
from hardware_bridge.subscriber import HEAD_BYTES, RESERVE_BYTES, Subscriber
from hardware_bridge.wire import Attach, ChunkPart

HEADER = ChunkHeader(command_id="a", epoch=1, sequence=0, frame=0, row_start=0, rows=1, start_s=0.0, end_s=1.0)
END = End(
    command_id="a",
    epoch=1,
    end_s=1.0,
    electrons=0.0,
    beam_on_share=1.0,
    aborted=False,
    reason="",
    chunks=1,
    state=STATE,
)


def made(window_bytes: int, encoding: str = "raw", ring: Ring | None = None) -> Subscriber:
    request = Attach(session="me", sequence=1, window_bytes=window_bytes, encoding=encoding)  # type: ignore[arg-type]
    return Subscriber(request, ring)


def chunk(nbytes: int) -> Chunk:
    return Chunk(HEADER, np.zeros((1, nbytes), np.uint8))


def sent(to: Subscriber, part: Chunk | End, is_holder: bool = False) -> bool:
    frames = to.frames(part, Values(part) if isinstance(part, Chunk) else None, is_holder)
    to.position += frames is not None
    return frames is not None


@given(
    window_bytes=st.integers(1, 50_000),
    steps=st.lists(st.one_of(st.integers(1, 20_000), st.just("end"), st.just("credit")), max_size=60),
    in_ring=st.booleans(),
)
def test_what_is_under_way_is_bounded_and_credit_makes_room(
    window_bytes: int, steps: list[int | str], in_ring: bool
) -> None:
    ring = Ring(window_bytes) if in_ring else None
    to, unread = made(window_bytes, ring=ring), []
    try:
        for step in steps:
            if step == "credit":
                to.credit(to.position)
                unread.clear()
            else:
                nbytes = step if isinstance(step, int) else 0
                went = sent(to, chunk(nbytes) if nbytes else END)
                assert went or unread  # with nothing under way there is room for anything
                unread += [nbytes + HEAD_BYTES] * went
            most = window_bytes + RESERVE_BYTES
            assert sum(unread) <= most or len(unread) == 1 or sum(unread[1:]) <= RESERVE_BYTES
    finally:
        if ring is not None:
            ring.close()


def test_an_end_goes_to_one_who_has_no_room_for_values() -> None:
    to = made(10_000)
    assert sent(to, chunk(8000))
    assert not sent(to, chunk(8000))
    assert all(sent(to, END) for _ in range(60))
    assert not all(sent(to, END) for _ in range(10))


def test_credit_for_what_was_never_sent_or_twice_changes_nothing() -> None:
    to = made(20_000)
    assert sent(to, chunk(8000))
    to.credit(0)
    assert to.read == 0
    to.credit(2**62)
    to.credit(2**62)
    assert to.read == 1
    assert sent(to, chunk(8000))
    assert sent(to, chunk(8000))
    assert not sent(to, chunk(8000))


def test_what_could_not_be_sent_leaves_its_room() -> None:
    ring = Ring(10_000)
    try:
        to = made(20_000, ring=ring)
        for _ in range(5):
            assert to.frames(chunk(8000), Values(chunk(8000)), is_holder=False) is not None
            to.take_back()
    finally:
        ring.close()


def test_compression_for_one_who_looks_on_takes_a_tenth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return now[0]

    class Slow(Values):
        @property
        def deflated(self) -> bytes:  # type: ignore[override]
            now[0] += 0.03
            return b""

    monkeypatch.setattr(subscriber, "time", Clock)
    to = made(1 << 26, "zlib")
    went = 0
    for _ in range(1000):
        went += to.frames(chunk(10), Slow(chunk(10)), is_holder=False) is not None
        now[0] += 0.001
    assert 3 <= went < 20
    assert to.frames(chunk(10), Slow(chunk(10)), is_holder=True) is not None


def test_compressed_values_say_so_and_come_back() -> None:
    part = chunk(10_000)
    frames = made(1 << 20, "zlib").frames(part, Values(part), is_holder=True)
    assert frames is not None
    assert len(frames[1]) < 200
    message, back = unpack([bytes(frame) for frame in frames])
    assert isinstance(message, ChunkPart)
    assert isinstance(back, Chunk)
    np.testing.assert_array_equal(back.data, part.data)
