"""What a client may be sent on the stream, and what it makes of it where it was changed: nothing that is not so.

A chunk whose values were changed is a gap. A header that was changed in its meaning alone is not noticed, since the
hash is that of the values.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np

from experiments.small_column import STATE
from hardware_bridge import wire
from hardware_bridge.errors import Malformed
from hardware_bridge.frames import Address, Failure, Values, pack, unpack
from hardware_bridge.messages import Axis, ChunkHeader, End, Reading, Start
from hardware_bridge.observation import Chunk
from hardware_bridge.words import encode

SESSION = "reader-0123456789"
PIXELS = 8
KINDS = ("start", "raw", "zlib", "ring", "end", "failed", "attached", "refused", "invalid")


@dataclass(frozen=True)
class Sent:
    """Frames as they leave the bridge, and the values that they carry."""

    frames: list[bytes]
    values: bytes | None = None


def whole(dice: random.Random, number: int) -> Sent:
    """One valid message of the stream, of any kind."""
    to, kind = Address(SESSION, number, dice.randrange(3)), dice.choice(KINDS)
    head = {"session": SESSION, "sequence": number}
    if kind == "attached":
        return Sent([encode(wire.Attached(ring="ring-1", ring_bytes=4096, **head))])  # type: ignore[arg-type]
    if kind == "refused":
        refused = wire.Refused(code="window", path="window_bytes", value="0", limit="1", **head)  # type: ignore[arg-type]
        return Sent([encode(refused)])
    if kind == "invalid":
        return Sent([encode(wire.Invalid(reason="no message", **head))])  # type: ignore[arg-type]
    if kind == "failed":
        return _sent(pack(Failure("a", "the detector is gone"), to))
    if kind == "start":
        return _sent(pack(_start(), to))
    if kind == "end":
        return _sent(pack(_end(), to))
    chunk = _chunk(dice, number)
    if kind == "ring":  # whoever has no ring cannot read it
        return _sent(pack(chunk, to, Values(chunk), "raw", 0))
    return _sent(pack(chunk, to, Values(chunk), "zlib" if kind == "zlib" else "raw"), chunk.data.tobytes())


def wrong(frames: list[bytes], values: bytes | None) -> str:
    """What a reader makes of frames that should not have been, in words; empty where it is a refusal, a gap or true."""
    try:
        _, part = unpack(frames)
    except Malformed:
        return ""
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        return f"{type(error).__name__}: {error}"
    if isinstance(part, Chunk) and part.data.tobytes() != values:
        return "values that were never sent were taken for data"
    return ""


def _sent(frames: list[bytes | memoryview], values: bytes | None = None) -> Sent:
    return Sent([bytes(frame) for frame in frames], values)


def _start() -> Start:
    axes = tuple(Axis(name=name, size=PIXELS, offset=0.0, scale=2.0, unit="nm") for name in "yx")
    return Start(command_id="a", epoch=1, kind="frame", mode="HAADF", axes=axes, dtype="uint16", frames=4, start_s=0.0)


def _chunk(dice: random.Random, number: int) -> Chunk:
    frames = dice.choice((1, 2))
    shape = (PIXELS, PIXELS) if frames == 1 else (frames, PIXELS, PIXELS)
    data = np.frombuffer(dice.randbytes(2 * math.prod(shape)), dtype=np.uint16).reshape(shape)
    header = ChunkHeader(
        command_id="a", epoch=1, sequence=number, frame=0, frames=frames, row_start=0, rows=PIXELS, start_s=0.0,
        end_s=1.0,
    )  # fmt: skip
    return Chunk(header, data)


def _end() -> End:
    readings = tuple(Reading(clock_s=float(second), holder=STATE.holder) for second in range(3))
    return End(
        command_id="a", epoch=1, end_s=2.0, electrons=1e4, beam_on_share=1.0, aborted=False, reason="", chunks=4,
        state=STATE, readings=readings,
    )  # fmt: skip
