"""The ground all words stand on: frozen, unknown field = error, every number finite and bounded."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from hardware_bridge.errors import Malformed

Number = Annotated[float, Meta(ge=-1e15, le=1e15)]
Positive = Annotated[float, Meta(gt=0, le=1e15)]
NotNegative = Annotated[float, Meta(ge=0, le=1e18)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=2**62)]
Size = Annotated[int, Meta(ge=1, le=2**20)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:\-]{1,64}\Z")]
Text = Annotated[str, Meta(max_length=2000)]

WordT = TypeVar("WordT", bound="Word")


class Word(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every message: frozen, keyword only, unknown fields are errors."""


def encode(word: Word) -> bytes:
    """Write a word as MessagePack."""
    return msgspec.msgpack.encode(word)


def decode(kind: type[WordT], data: bytes | memoryview) -> WordT:
    """Read a word of one kind from MessagePack, checking every field and bound.

    Raises:
        Malformed: naming the field, if the bytes are not such a word.
    """
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise Malformed(f"not a valid {kind.__name__}: {error}") from None


def validated(word: WordT) -> WordT:
    """Return the word after a round trip through its encoding, since constructing a Struct checks nothing.

    Raises:
        Malformed: naming the field that holds a wrong type, NaN, infinity or a number out of bounds.
    """
    try:
        data = encode(word)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Malformed(f"not a valid {type(word).__name__}: {error}") from None
    return decode(type(word), data)
