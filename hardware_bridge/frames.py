"""How the parts of a stream become frames on the data socket, and back, checked.

A part is one header; a chunk has its raw little-endian values in a second frame or in shared memory, hashed, so that
nothing that was changed on its way is taken for data.
"""

from __future__ import annotations

import math
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypedDict, get_args

import numpy as np
import xxhash
from numpy.typing import NDArray

from hardware_bridge.errors import BridgeError, Malformed
from hardware_bridge.messages import End, Start
from hardware_bridge.observation import Chunk
from hardware_bridge.ring import RingView, copy_hashed
from hardware_bridge.wire import (
    MAX_PART_BYTES,
    STREAM,
    Attached,
    ChunkPart,
    Dtype,
    Encoding,
    EndPart,
    FailedPart,
    StartPart,
    StreamPart,
    Trouble,
    read,
)
from hardware_bridge.words import encode

DTYPES: tuple[Dtype, ...] = get_args(Dtype)
FASTEST = 1

Frame = bytes | memoryview


@dataclass(frozen=True)
class Failure:
    """In place of an End: the instrument behind the bridge failed in the middle of a command."""

    command_id: str
    reason: str


Sendable = Start | Chunk | End | Failure


@dataclass(frozen=True)
class Address:
    """Which subscriber a part goes to and how many went before it."""

    session: str
    position: int
    dropped_total: int


class _Head(TypedDict):
    session: str
    sequence: int
    position: int
    dropped_total: int


class Values:
    """The values of a chunk as they travel: hashed and compressed at most once, however many they go to."""

    def __init__(self, chunk: Chunk) -> None:
        """Take the values without a copy where they lie in order.

        Raises:
            BridgeError: the driver delivered values of a type that the wire does not carry.
        """
        name = chunk.data.dtype.name
        if name not in DTYPES:
            raise BridgeError(f"a chunk of {name} cannot be sent; use one of {', '.join(DTYPES)}")
        values = np.ascontiguousarray(chunk.data)
        if values.dtype.byteorder == ">" or (sys.byteorder == "big" and values.dtype.itemsize > 1):
            values = values.astype(values.dtype.newbyteorder("<"))
        self.dtype, self.shape = name, values.shape
        self._hash: str | None = None
        self.raw: NDArray[np.uint8] = values.reshape(-1).view(np.uint8)

    @property
    def hash(self) -> str:
        """XXH3-64 of the values, in hexadecimal."""
        if self._hash is None:
            self._hash = xxhash.xxh3_64_hexdigest(self.raw.data)
        return self._hash

    def write(self, place: NDArray[np.uint8]) -> None:
        """Write the values, (nbytes,), to a place in memory; the first time they are hashed on the way."""
        if self._hash is None:
            self._hash = copy_hashed(place, self.raw)
        else:
            place[:] = self.raw

    @cached_property
    def deflated(self) -> bytes:
        """The values compressed by zlib, quickly rather than well."""
        return zlib.compress(self.raw.data, FASTEST)


def pack(
    part: Sendable, to: Address, values: Values | None = None, encoding: Encoding = "raw", ring_at: int | None = None
) -> list[Frame]:
    """Turn a part into frames: a header and, for a chunk whose values are not in shared memory, its values.

    Raises:
        BridgeError: the driver delivered values of a type that the wire does not carry.
    """
    head = _Head(session=to.session, sequence=0, position=to.position, dropped_total=to.dropped_total)
    if isinstance(part, Start):
        return [encode(StartPart(start=part, **head))]
    if isinstance(part, End):
        return [encode(EndPart(end=part, **head))]
    if isinstance(part, Failure):
        return [encode(FailedPart(command_id=part.command_id, reason=part.reason[:2000], **head))]
    values = values or Values(part)
    payload = memoryview(values.deflated) if encoding == "zlib" else values.raw.data
    header = ChunkPart(
        header=part.header,
        dtype=values.dtype,
        shape=values.shape,
        encoding=encoding,
        nbytes=payload.nbytes,
        ring_at=ring_at,
        hash=values.hash,
        **head,
    )
    return [encode(header), payload] if ring_at is None else [encode(header)]


def unpack(
    frames: Sequence[Frame], ring: RingView | None = None
) -> tuple[StreamPart | Attached | Trouble, Sendable | None]:
    """Turn frames back into a message and the part in it.

    A chunk's array is read-only; it lies on the received bytes, or is a copy out of the ring. A chunk whose bytes do
    not fit its header comes back without its part: it is a gap.

    Raises:
        Malformed: it is no message of the stream.
    """
    if not frames:
        raise Malformed("not a part of a stream: it is empty")
    message = read(STREAM, frames[0])
    if len(frames) != (2 if isinstance(message, ChunkPart) and message.ring_at is None else 1):
        raise Malformed(f"not a part of a stream: {type(message).__name__} in {len(frames)} frames")
    if isinstance(message, StartPart):
        return message, message.start
    if isinstance(message, EndPart):
        return message, message.end
    if isinstance(message, FailedPart):
        return message, Failure(message.command_id, message.reason)
    if isinstance(message, ChunkPart):
        return message, _chunk(message, frames, ring)
    return message, None


def _chunk(message: ChunkPart, frames: Sequence[Frame], ring: RingView | None) -> Chunk | None:
    dtype = np.dtype(message.dtype).newbyteorder("<")
    nbytes = math.prod(message.shape) * dtype.itemsize
    found = _raw(message, nbytes, frames, ring) if nbytes <= MAX_PART_BYTES else None
    if found is None:
        return None
    raw, found_hash = found
    if raw.nbytes != nbytes or found_hash != message.hash:
        return None
    data = np.frombuffer(raw, dtype=dtype).reshape(message.shape)
    data.flags.writeable = False
    return Chunk(message.header, data)


def _raw(
    message: ChunkPart, nbytes: int, frames: Sequence[Frame], ring: RingView | None
) -> tuple[memoryview, str] | None:
    """The values of a chunk and their hash; None, or not ``nbytes`` of them, where the message tells no truth."""
    if message.ring_at is not None:
        if ring is None or message.encoding != "raw" or message.nbytes != nbytes:
            return None
        return ring.copy(message.ring_at, nbytes)
    sent = memoryview(frames[1])
    if sent.nbytes != message.nbytes:
        return None
    raw = sent if message.encoding == "raw" else _inflated(sent, nbytes)
    return None if raw is None else (raw, xxhash.xxh3_64_hexdigest(raw))


def _inflated(deflated: memoryview, nbytes: int) -> memoryview | None:
    # However much a few bytes would swell to, no more memory is used than the values may take.
    inflating = zlib.decompressobj()
    try:
        raw = inflating.decompress(deflated, nbytes + 1)
    except zlib.error:
        return None
    return memoryview(raw) if inflating.eof and not inflating.unused_data else None
