"""A second opinion on every message, written from the documents and not from the code it judges.

It reads plain numbers, texts and maps, knows every field with its bounds, and says what a message may do at most.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Literal

import msgspec

from experiments.small_column import RANGES

Verdict = Literal["malformed", "stale", "unsafe", "harmless", "may act"]
Plain = object
Test = Callable[[Plain], bool]
Fields = dict[str, tuple[Test, bool]]  # what a field may be, and whether it must be there


def _integer(low: int, high: int) -> Test:
    return lambda x: type(x) is int and low <= x <= high


def _number(low: float, high: float, is_open: bool = False) -> Test:
    def test(x: Plain) -> bool:
        if type(x) is not int and type(x) is not float:
            return False
        return math.isfinite(x) and low <= x <= high and not (is_open and x == low)

    return test


def _one_of(*words: str) -> Test:
    return lambda x: isinstance(x, str) and x in words


def _maybe(test: Test) -> Test:
    return lambda x: x is None or test(x)


def _name(x: Plain) -> bool:
    return isinstance(x, str) and re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", x) is not None


def _text(x: Plain) -> bool:
    return isinstance(x, str) and len(x) <= 2000


def _map(fields: Fields) -> Test:
    def test(x: Plain) -> bool:
        if not isinstance(x, dict) or not set(x) <= set(fields):
            return False
        return all(fields[k][0](x[k]) if k in x else not fields[k][1] for k in fields)

    return test


_ANY = _number(-1e15, 1e15)
_AMOUNT = _number(0.0, 1e18)
_MORE = _number(0.0, 1e15, is_open=True)
_COUNT = _integer(0, 2**62)
_SIZE = _integer(1, 2**20)
_PLACES = (
    "stage_x_nm", "stage_y_nm", "stage_z_nm", "tilt_alpha_deg", "tilt_beta_deg", "beam_shift_x_nm", "beam_shift_y_nm",
    "image_shift_x_nm", "image_shift_y_nm", "scan_rotation_deg",
)  # fmt: skip
_LENSES = ("C10_nm", "C12_nm", "phi12_rad", "C21_nm", "phi21_rad", "C23_nm", "phi23_rad", "C30_um")
_GO: Fields = {name: (_maybe(_ANY), False) for name in _PLACES} | {
    "approach": (_one_of("direct", "from_negative"), False)
}
_OPTICS: Fields = {name: (_maybe(_ANY), False) for name in _LENSES} | {"beam_current_pA": (_maybe(_AMOUNT), False)}
_HOLDER: Fields = {
    "temperature_K": (_maybe(_AMOUNT), False),
    "bias_V": (_maybe(_ANY), False),
    "flow_nl_per_s": (_maybe(_AMOUNT), False),
}
_ACQUIRE: Fields = {
    "mode": (_one_of("HAADF", "ABF", "BF", "HRTEM", "EELS", "EDS", "CBED", "4DSTEM"), True),
    "fov_nm": (_MORE, True),
    "pixels_x": (_SIZE, True),
    "pixels_y": (_SIZE, True),
    "dwell_s": (_MORE, True),
    "max_frames": (_SIZE, False),
    "blanked": (lambda x: isinstance(x, bool), False),
}
_COMMAND: Fields = {
    "id": (_name, True),
    "go": (_map(_GO), False),
    "set": (_map({"optics": (_map(_OPTICS), False), "holder": (_map(_HOLDER), False)}), False),
    "acquire": (_maybe(_map(_ACQUIRE)), False),
}
_HEAD: Fields = {
    "type": (lambda x: True, True),
    "version": (_integer(1, 1), False),
    "session": (_name, True),
    "sequence": (_COUNT, True),
    "token": (_COUNT, False),
    "deadline_ns": (_COUNT, False),
}
_BODIES: dict[str, dict[str, Fields]] = {
    "control": {
        "Hello": {"software": (_text, True)},
        "TakeLease": {"holder": (_text, True)},
        "DropLease": {},
        "Describe": {},
        "GetState": {},
        "Submit": {"command": (_map(_COMMAND), True)},
        "Recover": {"command_id": (_name, True)},
    },
    "safety": {"Beat": {}, "Present": {}, "Blank": {}, "Stop": {}},
    "data": {
        "Attach": {
            "window_bytes": (_integer(0, 2**26), True),
            "ring": (lambda x: isinstance(x, bool), False),
            "encoding": (_one_of("raw", "zlib"), False),
        },
        "Credit": {"position": (_COUNT, True)},
    },
}
_WHOLE = {channel: {kind: _map(_HEAD | body) for kind, body in bodies.items()} for channel, bodies in _BODIES.items()}
_FENCED = ("DropLease", "Submit", "Beat")


def judge(channel: str, identity: bytes, frames: list[bytes], held: tuple[str | None, int], now_ns: int) -> Verdict:
    """What one message may do at most, given who holds the lease under which token."""
    try:
        plain = msgspec.msgpack.decode(frames[0] if len(frames) == 1 else b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, TypeError):
        return "malformed"
    if not isinstance(plain, dict):
        return "malformed"
    kind = plain.get("type")
    test = _WHOLE[channel].get(kind) if isinstance(kind, str) else None
    if test is None or not test(plain) or plain["session"].encode() != identity:
        return "malformed"
    if kind in _FENCED and (plain["session"], plain.get("token", 0)) != held:
        return "stale"
    if kind == "Submit":
        if 0 < plain.get("deadline_ns", 0) < now_ns:
            return "stale"
        return "may act" if _is_inside(plain["command"]) else "unsafe"
    if kind in ("DropLease", "Stop") or (kind == "TakeLease" and held[0] is None):
        return "may act"
    return "harmless"


def _is_inside(command: dict[str, dict[str, Plain]]) -> bool:
    settings = command.get("set", {})
    asked: dict[str, Plain] = {}
    for group in (command.get("go", {}), settings.get("optics", {}), settings.get("holder", {})):
        assert isinstance(group, dict)
        asked |= {name: value for name, value in group.items() if not isinstance(value, str)}
    acquire = dict(command.get("acquire") or {})
    mode = acquire.pop("mode", "HAADF")
    if acquire.pop("blanked", False):
        return False  # the fuzzed instrument takes no dark references
    asked |= acquire
    for name, value in asked.items():
        allowed = RANGES.get(name)
        if isinstance(value, int | float) and (allowed is None or not allowed.low <= value <= allowed.high):
            return False
    return mode in ("HAADF", "EELS")
