"""What bridges of version 1 send: these bytes do not change, since clients of version 1 must go on reading them.

Another meaning, or another field, needs another version. `python test_wire_golden.py` writes the bytes anew.
"""

import json
from pathlib import Path
from typing import get_args

import pytest

from experiments.small_column import CAPABILITIES, STATE
from hardware_bridge import wire
from hardware_bridge.messages import Axis, ChunkHeader, End, Holder, Reading, Start
from hardware_bridge.words import encode

FILE = Path(__file__).with_name("golden_version_1.json")
HEAD = {"session": "00112233445566778899aabbccddeeff", "sequence": 5, "token": 2}
PART = {**HEAD, "position": 7, "dropped_total": 1}
END = End(
    command_id="a",
    epoch=1,
    end_s=1.5,
    electrons=1e6,
    beam_on_share=0.5,
    aborted=True,
    reason="blanked",
    chunks=2,
    state=STATE,
    readings=(Reading(clock_s=1.0, holder=Holder(temperature_K=300.0)),),
)
START = Start(
    command_id="a",
    epoch=1,
    kind="spectrum",
    mode="EELS",
    axes=(Axis(name="y", size=4, offset=0.0, scale=0.5, unit="nm"),),
    dtype="float32",
    frames=2,
    start_s=0.5,
)
HEADER = ChunkHeader(command_id="a", epoch=1, sequence=2, frame=1, row_start=2, rows=2, start_s=0.5, end_s=1.0)
SENT: list[wire.Message] = [
    wire.Welcome(software="x", received_ns=1, sent_ns=2, **HEAD),
    wire.Leased(heartbeat_s=0.4, lease_s=10.0, **HEAD),
    wire.Noted(**HEAD),
    wire.Described(capabilities=CAPABILITIES, **HEAD),
    wire.StateIs(state=STATE, **HEAD),
    wire.Accepted(command_id="a", before=STATE, **HEAD),
    wire.Done(command_id="a", end=END, **HEAD),
    wire.Running(command_id="a", **HEAD),
    wire.NotStarted(command_id="a", **HEAD),
    wire.Unknown(command_id="a", **HEAD),
    wire.Alive(blanked=True, confirmed=False, running="a", **HEAD),
    wire.Attached(ring="adaptem-ring-0", ring_bytes=4096, **HEAD),
    wire.Refused(code="range", path="go.stage_x_nm", value="2000", limit="-1000..1000", **HEAD),
    wire.NotHolder(holder="x", held_s=1.0, silent_s=0.5, **HEAD),
    wire.Expired(late_s=0.1, **HEAD),
    wire.Invalid(reason="x", **HEAD),
    wire.Failed(reason="x", **HEAD),
    wire.StartPart(start=START, **PART),
    wire.ChunkPart(header=HEADER, dtype="uint16", shape=(2, 4), nbytes=16, ring_at=64, hash="0123456789abcdef", **PART),
    wire.EndPart(end=END, **PART),
    wire.FailedPart(command_id="a", reason="x", **PART),
]


def golden() -> dict[str, str]:
    told: dict[str, str] = json.loads(FILE.read_text())
    return told


@pytest.mark.parametrize("message", SENT, ids=lambda message: type(message).__name__)
def test_what_a_bridge_sends_is_read_by_clients_of_version_1(message: wire.Message) -> None:
    data = bytes.fromhex(golden()[type(message).__name__])
    assert encode(message) == data
    reader = wire.STREAM if isinstance(message, wire.PartMessage) else wire.REPLIES
    assert wire.read(reader, data) == message


def test_everything_that_a_bridge_sends_has_its_golden_bytes() -> None:
    kinds = {kind.__name__ for kind in (*get_args(wire.Reply), *get_args(wire.StreamPart))}
    assert kinds == {type(message).__name__ for message in SENT} == set(golden())


if __name__ == "__main__":
    FILE.write_text(json.dumps({type(message).__name__: encode(message).hex() for message in SENT}, indent=1) + "\n")
