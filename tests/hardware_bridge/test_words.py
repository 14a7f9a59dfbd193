"""Words are strict: unknown fields, wrong types and numbers that are not finite never become one."""

import math

import msgspec
import pytest
from bench import scan
from hypothesis import given
from hypothesis import strategies as st

from experiments.small_column import STATE
from hardware_bridge.errors import Malformed
from hardware_bridge.messages import Acquire, Command, Go, Optics, Settings
from hardware_bridge.words import decode, encode, validated

# The bytes of version 1 of a command: whoever changes what they mean changes the version of the protocol.
COMMAND = Command(
    id="look-1",
    go=Go(stage_x_nm=12.5),
    set=Settings(optics=Optics(C10_nm=-40.0)),
    acquire=Acquire(mode="HAADF", fov_nm=256.0, pixels_x=128, pixels_y=64, dwell_s=2e-6, max_frames=3),
)


def test_a_word_comes_back_as_it_went() -> None:
    assert decode(Command, encode(COMMAND)) == COMMAND
    assert decode(type(STATE), encode(STATE)) == STATE
    assert validated(COMMAND) == COMMAND


def test_words_are_plain_messagepack_maps_by_field_name() -> None:
    plain = msgspec.msgpack.decode(encode(COMMAND))
    assert plain["id"] == "look-1"
    assert plain["go"]["stage_x_nm"] == 12.5
    assert plain["acquire"] == {
        "mode": "HAADF",
        "fov_nm": 256.0,
        "pixels_x": 128,
        "pixels_y": 64,
        "dwell_s": 2e-6,
        "max_frames": 3,
        "blanked": False,
    }


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"surprise": 1}, "surprise"),
        ({"id": "two words"}, "id"),
        ({"id": "a\n"}, "id"),
        ({"id": "x" * 65}, "id"),
        ({"go": {"stage_x_nm": math.nan}}, "stage_x_nm"),
        ({"go": {"stage_x_nm": math.inf}}, "stage_x_nm"),
        ({"go": {"stage_x_nm": 1.1e15}}, "stage_x_nm"),
        ({"go": {"stage_x_nm": True}}, "stage_x_nm"),
        ({"go": {"stage_x_nm": "1"}}, "stage_x_nm"),
        ({"go": {"stage_x_um": 1.0}}, "stage_x_um"),
        ({"set": {"optics": {"beam_current_pA": -1.0}}}, "beam_current_pA"),
        ({"acquire": {"mode": "XRAY", "fov_nm": 1.0, "pixels_x": 8, "pixels_y": 8, "dwell_s": 1.0}}, "mode"),
        ({"acquire": {"mode": "HAADF", "fov_nm": 1.0, "pixels_x": 0, "pixels_y": 8, "dwell_s": 1.0}}, "pixels_x"),
        ({"acquire": {"mode": "HAADF", "fov_nm": 1.0, "pixels_x": 8.5, "pixels_y": 8, "dwell_s": 1.0}}, "pixels_x"),
        ({"acquire": {"mode": "HAADF", "fov_nm": 1.0, "pixels_x": 8, "pixels_y": 8, "dwell_s": 0.0}}, "dwell_s"),
        ({"acquire": {"mode": "HAADF", "fov_nm": 1.0, "pixels_x": 8, "pixels_y": 8}}, "dwell_s"),
    ],
)
def test_the_error_names_the_field(change: dict[str, object], field: str) -> None:
    with pytest.raises(Malformed, match=field):
        decode(Command, msgspec.msgpack.encode({"id": "a", **change}))


@given(data=st.binary(max_size=200))
def test_no_bytes_do_more_than_raise_malformed(data: bytes) -> None:
    try:
        decode(Command, data)
    except Malformed:
        return


@given(at=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_a_flipped_byte_gives_a_valid_command_or_malformed(at: int, flip: int) -> None:
    data = bytearray(encode(scan("a")))
    data[at % len(data)] ^= flip
    try:
        command = decode(Command, bytes(data))
    except Malformed:
        return
    assert validated(command) == command


def test_deep_nesting_is_malformed_and_no_crash() -> None:
    with pytest.raises(Malformed):
        decode(Command, b"\x91" * 100_000)


def test_a_struct_that_was_built_from_nonsense_does_not_pass() -> None:
    with pytest.raises(Malformed, match="Command"):
        validated(Command(id="a", go=Go(stage_x_nm=object())))  # type: ignore[arg-type]
