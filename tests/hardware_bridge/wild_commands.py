"""Commands for the state machine: good ones, and ones that differ from them in a field or two, close to the walls."""

import math
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from hardware_bridge.messages import Acquire, Command, Go, Holder, Optics, Settings

# And what may go wrong about them.
ENTRIES = ("Intent", "Result", "Withdrawn", "Tokens")
POINTS = ("before submit", "after submit", *(f"{when} {entry}" for when in ("before", "after") for entry in ENTRIES))
FAULTS = ("state breaks", "submit refuses", "submit breaks", "blanked meanwhile", "clamps")
ACTS = ("beat", "silence", "pause", "blank", "stop", "drop", "unwatched", "breaks", "crash", "state", "repeat", "disk")


def some(*values: object) -> st.SearchStrategy[object]:
    return st.sampled_from((None, *values))


def acquires(**wild: tuple[object, ...]) -> st.SearchStrategy[Acquire]:
    tame = {"mode": ("HAADF", "EELS"), "fov_nm": (256.0,), "pixels_x": (8,), "pixels_y": (16, 24), "dwell_s": (1e-6,),
            "max_frames": (1, 2)}  # fmt: skip
    return st.builds(Acquire, **{name: st.sampled_from(values + wild.get(name, ())) for name, values in tame.items()})


TAME = st.builds(
    Command,
    id=st.just("new"),
    go=st.builds(Go, stage_x_nm=some(7.0, -260.0, 120.0, 450.0), stage_y_nm=some(7.0, -510.0)),
    set=st.builds(
        Settings,
        optics=st.builds(Optics, C10_nm=some(100.0), beam_current_pA=some(10.0, 50.0)),
        holder=st.builds(Holder, flow_nl_per_s=some(5.0, 20.0)),
    ),
    acquire=st.one_of(acquires(), acquires(), st.none()),
)
# What a command may have besides, most of it on one side or the other of a wall.
DEVIATIONS: dict[str, tuple[object, ...]] = {
    "go.stage_x_nm": (math.nextafter(300.0, 0), 300.0, 350.0, -1000.0, math.nextafter(1000.0, 2000), math.nan),
    "go.stage_y_nm": (math.nextafter(300.0, 0), 350.0, 401.0, 999.0),
    "go.stage_z_nm": (2000.0, 2000.5, -5000.0, 5000.5),
    "go.tilt_alpha_deg": (0.0, 30.0, -30.0, 30.5),
    "go.beam_shift_x_nm": (0.0, 200.0, math.nextafter(200.0, 201.0)),
    "go.image_shift_x_nm": (0.0,),
    "set.optics.C10_nm": (2000.0, 2000.5),
    "set.optics.beam_current_pA": (0.0, 80.0, 160.0, 200.5),
    "set.holder.flow_nl_per_s": (0.0, 50.0, 50.5),
    "set.holder.temperature_K": (300.0,),
    "acquire.mode": ("HRTEM",),
    "acquire.fov_nm": (10.0, 600.0, 600.5),
    "acquire.pixels_y": (7, 8),
    "id": ("on-loss-1-1-1",),
}


def deviating(word: Any, path: str, value: object) -> Any:
    """A word with one field, at some depth, replaced; itself where it does not have it."""
    name, _, rest = path.partition(".")
    if word is None:
        return None
    return replace(word, **{name: deviating(getattr(word, name), rest, value) if rest else value})


DEVIATION = st.sampled_from([(path, value) for path, values in DEVIATIONS.items() for value in values])
WILD = st.builds(lambda command, one: deviating(command, *one), TAME, DEVIATION)
WILDER = st.builds(lambda command, one: deviating(command, *one), WILD, DEVIATION)
COMMANDS = st.one_of(TAME, WILD, WILDER)
