"""The smaller share of the fuzz: the same broken messages through real sockets to a real server with its supervisor."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import zmq

from experiments.bridge_faults.fuzz import STRANGER, bytes_mutated, field_mutated
from experiments.bridge_faults.instrument import Instrument
from experiments.small_column import LIMITS
from hardware_bridge import wire
from hardware_bridge.client import Client
from hardware_bridge.endpoint import CHANNELS, parse
from hardware_bridge.messages import Acquire, Command
from hardware_bridge.microscope import execute
from hardware_bridge.server import JOURNAL, Server
from hardware_bridge.words import encode

LOOK = Acquire(mode="HAADF", fov_nm=256.0, pixels_x=8, pixels_y=16, dwell_s=1e-6)
BATCH = 200
WAIT_MS = 5000


@dataclass
class Wired:
    """What was sent and answered, and what should not have happened."""

    messages: int = 0
    answers: int = 0
    wrong: tuple[str, ...] = ()


def fuzz_wired(folder: Path, messages: int, seed: int) -> Wired:
    """Send broken messages of somebody without the lease; nothing may change, and the server must go on serving."""
    dice, found, instrument = random.Random(seed), Wired(), Instrument()
    with ExitStack() as stack:
        server = Server(instrument, LIMITS, "tcp://127.0.0.1:0", folder)
        stack.callback(server.close)
        journal = folder / JOURNAL
        with Client(server.endpoint) as client:
            execute(client, Command(id="before", acquire=LOOK), 5.0)
        before = (len(instrument.seen), journal.stat().st_size)
        sockets = {channel: stack.enter_context(_raw(server, channel)) for channel in CHANNELS}
        for start in range(0, messages, BATCH):
            for channel, socket in sockets.items():
                found.messages += BATCH // len(sockets)
                found.answers += _batch(socket, channel, start, dice)
            if (len(instrument.seen), journal.stat().st_size) != before or not instrument.state().beam_blanked:
                found.wrong += (f"after {found.messages} messages something had happened",)
                break
        with Client(server.endpoint) as client:
            if execute(client, Command(id="after", acquire=LOOK), 5.0).aborted:
                found.wrong += ("the command after the fuzz was aborted",)
    return found


def _batch(socket: zmq.Socket[bytes], channel: str, start: int, dice: random.Random) -> int:
    """Send a batch and wait until all of it was read; returns how many answers came."""
    answers = 0
    for number in range(BATCH // len(CHANNELS)):
        data = encode(_request(channel, start + number, dice))
        frames = [field_mutated(data, dice)] if number % 2 else bytes_mutated(data, dice) or [b""]
        socket.send_multipart(frames)
        while socket.poll(0):
            answers += bool(socket.recv_multipart())
    # Messages keep their order: once this one is answered, all before it were read.
    last = 2**40 + start
    more = {"window_bytes": 1} if channel == "data" else {}
    kind = {"control": wire.Describe, "safety": wire.Beat, "data": wire.Attach}[channel]
    socket.send(encode(kind(session=STRANGER, sequence=last, **more)))
    while wire.read(wire.REPLIES, socket.recv()).sequence != last:
        answers += 1
    return answers


def _request(channel: str, number: int, dice: random.Random) -> wire.Message:
    # Whoever asks for a free lease in a valid message gets it, so nobody asks here.
    if channel == "data":
        return dice.choice(
            (
                wire.Attach(session=STRANGER, sequence=number, window_bytes=1),
                wire.Credit(session=STRANGER, sequence=number, position=number),
            )
        )
    if channel == "safety":
        beat = dice.choice((wire.Beat, wire.Present, wire.Blank, wire.Stop))
        return beat(session=STRANGER, sequence=number, token=1)
    return dice.choice(
        (
            wire.DropLease(session=STRANGER, sequence=number, token=1),
            wire.Describe(session=STRANGER, sequence=number),
            wire.GetState(session=STRANGER, sequence=number),
            wire.Submit(session=STRANGER, sequence=number, token=1, command=Command(id="fuzz", acquire=LOOK)),
            wire.Recover(session=STRANGER, sequence=number, command_id="before"),
        )
    )


@contextmanager
def _raw(server: Server, channel: str) -> Iterator[zmq.Socket[bytes]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.IDENTITY, STRANGER.encode())
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVTIMEO, WAIT_MS)
        socket.connect(parse(server.endpoint).address(channel))
        yield socket
