"""How the parts of a stream become frames on the data socket, and back, checked.

A part is one header; a chunk has its raw little-endian values in a second frame, hashed, so that nothing that was
changed on its way is taken for data.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict, get_args

import numpy as np
import xxhash

from hardware_bridge.errors import BridgeError, Malformed
from hardware_bridge.messages import End, Start
from hardware_bridge.observation import Chunk, Part
from hardware_bridge.wire import (
    STREAM,
    Attached,
    ChunkPart,
    Dtype,
    EndPart,
    FailedPart,
    StartPart,
    StreamPart,
    Trouble,
    read,
)
from hardware_bridge.words import encode

Frame = bytes | memoryview


@dataclass(frozen=True)
class Failure:
    """In place of an End: the instrument behind the bridge failed in the middle of a command."""

    command_id: str
    reason: str


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


def pack(part: Part | Failure, to: Address) -> list[Frame]:
    """Turn a part into frames: a header and, for a chunk, its values without a copy where they lie in order.

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
    if part.data.dtype.name not in get_args(Dtype):
        raise BridgeError(f"a chunk of {part.data.dtype} cannot be sent; use one of {', '.join(get_args(Dtype))}")
    values = np.ascontiguousarray(part.data)
    if values.dtype.byteorder == ">" or (sys.byteorder == "big" and values.dtype.itemsize > 1):
        values = values.astype(values.dtype.newbyteorder("<"))
    raw = values.reshape(-1).view(np.uint8).data
    header = ChunkPart(
        header=part.header,
        dtype=values.dtype.name,
        shape=values.shape,
        nbytes=raw.nbytes,
        hash=xxhash.xxh3_64_hexdigest(raw),
        **head,
    )
    return [encode(header), raw]


def unpack(frames: Sequence[Frame]) -> tuple[StreamPart | Attached | Trouble, Part | Failure | None]:
    """Turn frames back into a message and the part in it; a chunk's array lies on the received bytes, read-only.

    A chunk whose bytes do not fit its header comes back without its part: it is a gap.

    Raises:
        Malformed: it is no message of the stream.
    """
    if not frames:
        raise Malformed("not a part of a stream: it is empty")
    message = read(STREAM, frames[0])
    if len(frames) != (2 if isinstance(message, ChunkPart) else 1):
        raise Malformed(f"not a part of a stream: {type(message).__name__} in {len(frames)} frames")
    if isinstance(message, StartPart):
        return message, message.start
    if isinstance(message, EndPart):
        return message, message.end
    if isinstance(message, FailedPart):
        return message, Failure(message.command_id, message.reason)
    if isinstance(message, ChunkPart):
        return message, _chunk(message, memoryview(frames[1]))
    return message, None


def _chunk(message: ChunkPart, raw: memoryview) -> Chunk | None:
    dtype = np.dtype(message.dtype).newbyteorder("<")
    if not math.prod(message.shape) * dtype.itemsize == message.nbytes == raw.nbytes:
        return None
    if xxhash.xxh3_64_hexdigest(raw) != message.hash:
        return None
    return Chunk(message.header, np.frombuffer(raw, dtype=dtype).reshape(message.shape))
