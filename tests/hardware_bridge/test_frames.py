"""Parts come back from their frames as they went, and nothing that was changed on its way is taken for data."""

import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from experiments.small_column import STATE
from hardware_bridge.errors import BridgeError, Malformed
from hardware_bridge.frames import Address, Failure, pack, unpack
from hardware_bridge.messages import Axis, ChunkHeader, End, Start
from hardware_bridge.observation import Chunk
from hardware_bridge.wire import ChunkPart
from hardware_bridge.words import encode

TO = Address(session="0" * 32, position=3, dropped_total=1)
START = Start(
    command_id="a",
    epoch=1,
    kind="frame",
    mode="HAADF",
    axes=(
        Axis(name="y", size=4, offset=0.0, scale=1.0, unit="nm"),
        Axis(name="x", size=5, offset=0.0, scale=1.0, unit="nm"),
    ),
    dtype="uint16",
    frames=1,
    start_s=0.0,
)
END = End(
    command_id="a",
    epoch=1,
    end_s=1.0,
    electrons=1.0,
    beam_on_share=1.0,
    aborted=False,
    reason="",
    chunks=1,
    state=STATE,
)
HEADER = ChunkHeader(command_id="a", epoch=1, sequence=2, frame=0, row_start=0, rows=2, start_s=0.0, end_s=1.0)


def chunk(values: np.ndarray) -> Chunk:
    return Chunk(HEADER, values)


def sent(part: Chunk) -> list[bytes]:
    """The frames as they arrive."""
    return [bytes(frame) for frame in pack(part, TO)]


@pytest.mark.parametrize("part", [START, END, Failure("a", "broken")], ids=lambda part: type(part).__name__)
def test_headers_come_back_as_they_went(part: Start | End | Failure) -> None:
    message, back = unpack([bytes(frame) for frame in pack(part, TO)])
    assert back == part
    assert message.position == 3  # type: ignore[union-attr]


@given(
    values=hnp.arrays(
        dtype=st.sampled_from(["<u1", "<u2", ">u2", "<u4", ">u4", "<f4", ">f4"]),
        shape=hnp.array_shapes(min_dims=1, max_dims=5, max_side=4),
    )
)
def test_values_come_back_bit_by_bit_whatever_their_byte_order(values: np.ndarray) -> None:
    _, back = unpack(sent(chunk(values)))
    assert isinstance(back, Chunk)
    assert back.data.dtype.name == values.dtype.name
    assert back.data.astype("<" + values.dtype.str[1:]).tobytes() == values.astype("<" + values.dtype.str[1:]).tobytes()
    assert back.data.shape == values.shape


def test_a_strided_view_is_sent_in_the_order_of_its_rows() -> None:
    values = np.arange(60, dtype=np.uint16).reshape(6, 10)[::2, ::3]
    _, back = unpack(sent(chunk(values)))
    assert isinstance(back, Chunk)
    np.testing.assert_array_equal(back.data, values)


def test_values_in_order_are_not_copied() -> None:
    values = np.zeros((4, 5), np.uint16)
    raw = pack(chunk(values), TO)[1]
    assert np.shares_memory(np.frombuffer(raw, np.uint8), values)


@given(at=st.integers(0, 39), bit=st.integers(0, 7))
def test_a_flipped_bit_in_the_values_is_a_gap(at: int, bit: int) -> None:
    header, raw = sent(chunk(np.arange(20, dtype=np.uint16).reshape(4, 5)))
    changed = bytearray(raw)
    changed[at] ^= 1 << bit
    message, part = unpack([header, bytes(changed)])
    assert part is None
    assert message.position == 3  # type: ignore[union-attr]


@given(cut=st.integers(0, 39))
def test_values_cut_short_are_a_gap(cut: int) -> None:
    header, raw = sent(chunk(np.arange(20, dtype=np.uint16).reshape(4, 5)))
    assert unpack([header, raw[:cut]])[1] is None
    assert unpack([header, raw + b"\0" * (cut + 1)])[1] is None


@given(frames=st.lists(st.binary(max_size=60), max_size=4))
def test_no_frames_do_more_than_raise_malformed(frames: list[bytes]) -> None:
    with pytest.raises(Malformed):
        unpack(frames)


@pytest.mark.parametrize("dtype", ["int16", "float64", "complex64", "object"])
def test_values_that_the_wire_does_not_carry_are_refused(dtype: str) -> None:
    with pytest.raises(BridgeError, match=dtype):
        pack(chunk(np.zeros((2, 2), dtype)), TO)


def test_compressed_bytes_that_swell_take_no_more_memory_than_the_values_would() -> None:
    bomb = zlib.compress(bytes(1 << 26), 9)
    header = ChunkPart(
        session="0" * 32,
        sequence=0,
        position=0,
        dropped_total=0,
        header=HEADER,
        dtype="uint16",
        shape=(2, 5),
        encoding="zlib",
        nbytes=len(bomb),
        hash="0" * 16,
    )
    tracemalloc.start()
    try:
        assert unpack([encode(header), bomb])[1] is None
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
