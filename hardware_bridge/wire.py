"""What is said on the wire: one frozen word a message, with a tag that names it.

control  Hello TakeLease DropLease Describe GetState Submit Recover
         -> Welcome Leased Noted Described StateIs Accepted Done Running NotStarted Unknown
safety   Beat Blank Stop -> Alive; Present
data     Attach Credit -> Attached, then StartPart ChunkPart EndPart FailedPart
On any of them, instead: Refused, NotHolder, Expired, Invalid, Failed.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from hardware_bridge.errors import Malformed
from hardware_bridge.messages import Capabilities, ChunkHeader, Command, End, InstrumentState, Start
from hardware_bridge.words import Count, Name, NotNegative, Number, Positive, Size, Text, Word

PROTOCOL = 1
MAX_MESSAGE_BYTES = 1 << 20
MAX_PART_BYTES = 1 << 28
MAX_WINDOW_BYTES = 1 << 26

Version = Annotated[int, Meta(ge=0, le=65535)]
Dtype = Literal["uint8", "uint16", "uint32", "float32"]
Encoding = Literal["raw", "zlib"]
Window = Annotated[int, Meta(ge=0, le=MAX_WINDOW_BYTES)]
Shape = Annotated[tuple[Size, ...], Meta(min_length=1, max_length=5)]


class Message(Word, frozen=True, kw_only=True, tag=True):
    """What every message carries.

    ``session`` is random, one a client; ``sequence`` numbers its requests and a reply repeats the one it answers.
    ``token`` is the fencing token of the lease, 0 without one. ``deadline_ns`` is on the monotonic clock of the server,
    0 without one: a request read later than that is not carried out.
    """

    version: Version = PROTOCOL
    session: Name
    sequence: Count
    token: Count = 0
    deadline_ns: Count = 0


class Hello(Message, frozen=True, kw_only=True):
    """The first message."""

    software: Text


class TakeLease(Message, frozen=True, kw_only=True):
    """Asks to become the one who may command; ``holder`` is what others are told."""

    holder: Text


class DropLease(Message, frozen=True, kw_only=True):
    """Gives the lease back."""


class Describe(Message, frozen=True, kw_only=True):
    """Asks what the instrument can do."""


class GetState(Message, frozen=True, kw_only=True):
    """Asks for a read-back."""


class Submit(Message, frozen=True, kw_only=True):
    """Asks to run a command."""

    command: Command


class Recover(Message, frozen=True, kw_only=True):
    """Asks what became of a command."""

    command_id: Name


class Beat(Message, frozen=True, kw_only=True):
    """The agent's control loop makes progress. Never sent by a thread beside it."""


class Present(Message, frozen=True, kw_only=True):
    """The agent's process lives. It keeps the lease while the beam is blanked, and counts for nothing else."""


class Blank(Message, frozen=True, kw_only=True):
    """Blank now and end what is running; anybody may. From the holder: no beats are due until the next Submit."""


class Stop(Message, frozen=True, kw_only=True):
    """Blank, abort and refuse every further command until the lease is taken anew; anybody may."""


class Attach(Message, frozen=True, kw_only=True):
    """Asks for the data stream, counted from here on; 0 for ``window_bytes`` asks for it no longer.

    At most ``window_bytes`` may be under way unread, or one part where that is larger. ``ring`` asks for values through
    shared memory, ``encoding`` for how they are written where they come through the socket.
    """

    window_bytes: Window
    ring: bool = False
    encoding: Encoding = "raw"


class Credit(Message, frozen=True, kw_only=True):
    """Every part before ``position`` has been read, or will never come."""

    position: Count


class Welcome(Message, frozen=True, kw_only=True):
    """Answers Hello, with the server's monotonic clock when Hello came and when this left."""

    software: Text
    received_ns: Count
    sent_ns: Count


class Leased(Message, frozen=True, kw_only=True):
    """The lease is yours, under ``token``: beat within ``heartbeat_s`` while a command runs, else ``lease_s``."""

    heartbeat_s: Positive
    lease_s: Positive


class Noted(Message, frozen=True, kw_only=True):
    """Done, and nothing more to say."""


class Described(Message, frozen=True, kw_only=True):
    """What the instrument can do."""

    capabilities: Capabilities


class StateIs(Message, frozen=True, kw_only=True):
    """A read-back."""

    state: InstrumentState


class Accepted(Message, frozen=True, kw_only=True):
    """The command runs, or its stored result comes; ``before`` is the state when it was first accepted."""

    command_id: Name
    before: InstrumentState


class Done(Message, frozen=True, kw_only=True):
    """The command ended so."""

    command_id: Name
    end: End


class Running(Message, frozen=True, kw_only=True):
    """The command has not ended yet."""

    command_id: Name


class NotStarted(Message, frozen=True, kw_only=True):
    """The instrument never saw such a command."""

    command_id: Name


class Unknown(Message, frozen=True, kw_only=True):
    """The command was begun, and how it ended cannot be known; its whole dose is charged."""

    command_id: Name


class Alive(Message, frozen=True, kw_only=True):
    """Answers Beat, Blank and Stop.

    ``blanked`` is read from the beam's own line; ``confirmed`` is false where the driver has not answered yet;
    ``running`` is the command under way.
    """

    blanked: bool
    confirmed: bool = True
    running: Name | None = None


class Attached(Message, frozen=True, kw_only=True):
    """The stream is yours; ``ring`` is the shared memory of ``ring_bytes`` that is offered (ring.py), if it is."""

    ring: Name | None = None
    ring_bytes: Count = 0


class Refused(Message, frozen=True, kw_only=True):
    """The command is outside what is safe; nothing was done."""

    code: Text
    path: Text
    value: Text
    limit: Text


class NotHolder(Message, frozen=True, kw_only=True):
    """The lease is not yours: who has it (empty: nobody), for how long, and how long they have been silent, in s."""

    holder: Text
    held_s: NotNegative
    silent_s: NotNegative


class Expired(Message, frozen=True, kw_only=True):
    """The request was read after its deadline; nothing was done."""

    late_s: Number


class Invalid(Message, frozen=True, kw_only=True):
    """What came was no message; nothing was done."""

    reason: Text


class Failed(Message, frozen=True, kw_only=True):
    """The instrument behind the bridge failed while it was asked."""

    reason: Text


class PartMessage(Message, frozen=True, kw_only=True):
    """What heads every part of the stream.

    ``position`` counts the parts meant for this subscriber, so that a gap shows; ``dropped_total`` those of them that
    the server gave up because there was no room.
    """

    position: Count
    dropped_total: Count


class StartPart(PartMessage, frozen=True, kw_only=True):
    """Opens an acquisition."""

    start: Start


class ChunkPart(PartMessage, frozen=True, kw_only=True):
    """Heads raw little-endian numbers in C order; ``hash`` is their XXH3-64 in hexadecimal.

    They lie, as ``encoding`` says, in a second frame of ``nbytes``; or, where ``ring_at`` is set, raw in the ring.
    """

    header: ChunkHeader
    dtype: Dtype
    shape: Shape
    encoding: Encoding = "raw"
    nbytes: Count
    ring_at: Count | None = None
    hash: Name


class EndPart(PartMessage, frozen=True, kw_only=True):
    """Closes a command."""

    end: End


class FailedPart(PartMessage, frozen=True, kw_only=True):
    """The instrument behind the bridge failed; how the command ended is not known."""

    command_id: Name
    reason: Text


ControlRequest = Hello | TakeLease | DropLease | Describe | GetState | Submit | Recover
SafetyRequest = Beat | Present | Blank | Stop
DataRequest = Attach | Credit
Trouble = Refused | NotHolder | Expired | Invalid | Failed
Fate = Done | Running | NotStarted | Unknown
Reply = Welcome | Leased | Noted | Described | StateIs | Accepted | Fate | Alive | Attached | Trouble
StreamPart = StartPart | ChunkPart | EndPart | FailedPart

MessageT = TypeVar("MessageT", bound=Message)

CONTROL_REQUESTS: msgspec.msgpack.Decoder[ControlRequest] = msgspec.msgpack.Decoder(ControlRequest)
SAFETY_REQUESTS: msgspec.msgpack.Decoder[SafetyRequest] = msgspec.msgpack.Decoder(SafetyRequest)
DATA_REQUESTS: msgspec.msgpack.Decoder[DataRequest] = msgspec.msgpack.Decoder(DataRequest)
REPLIES: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
STREAM: msgspec.msgpack.Decoder[StreamPart | Attached | Trouble] = msgspec.msgpack.Decoder(
    StreamPart | Attached | Trouble
)


class _Speaks(msgspec.Struct):
    # Unknown fields are let pass here: another protocol is told apart by its number alone.
    version: Version


_SPEAKS = msgspec.msgpack.Decoder(_Speaks)
_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)


def read(decoder: msgspec.msgpack.Decoder[MessageT], data: bytes | memoryview) -> MessageT:
    """Read one message, checking every field and bound.

    Raises:
        Malformed: naming the field, or the protocol version where that is what differs.
    """
    try:
        message = decoder.decode(data)
    except _ERRORS as error:
        _check_version(_version(data))
        raise Malformed(f"not a valid message: {error}") from None
    _check_version(message.version)
    return message


def _version(data: bytes | memoryview) -> int:
    try:
        return _SPEAKS.decode(data).version
    except _ERRORS:
        return PROTOCOL


def _check_version(version: int) -> None:
    if version != PROTOCOL:
        raise Malformed(f"version = {version}: this side speaks protocol {PROTOCOL}")
