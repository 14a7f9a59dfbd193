"""What every Microscope does, in process and over the wire alike: call each of ``CHECKS`` on one, the last one last.

A check takes the instrument and ``acquisition(name, frames)``, which makes a command of that many frames for it; 64 of
them must take well over the time of a round trip.
"""

import math
import threading
from collections.abc import Callable

import pytest
from bench import LIMITS, scan
from msgspec.structs import replace

from hardware_bridge.errors import Malformed, Rejected
from hardware_bridge.messages import Command, Go, Holder, InstrumentState, Optics, Settings
from hardware_bridge.microscope import Microscope, execute
from hardware_bridge.observation import Chunk

Acquisition = Callable[[str, int], Command]

SILENCE_S = 5.0
BAD_COMMANDS = {
    "nan": Command(id="x", go=Go(stage_x_nm=math.nan)),
    "infinite": Command(id="x", go=Go(stage_x_nm=math.inf)),
    "huge": Command(id="x", go=Go(stage_x_nm=1e308)),
    "bool": Command(id="x", go=Go(stage_x_nm=True)),
    "text": Command(id="x", go=Go(stage_x_nm="1")),  # type: ignore[arg-type]
    "object": Command(id="x", go=Go(stage_x_nm=object())),  # type: ignore[arg-type]
    "id": Command(id="not a name"),
    "dwell": replace(scan("x"), acquire=replace(scan("x").acquire, dwell_s=-1e-6)),  # type: ignore[type-var]
    "far": Command(id="x", go=Go(stage_x_nm=LIMITS.ranges["stage_x_nm"].high + 1)),
    "no range": Command(id="x", set=Settings(optics=Optics(C30_um=1.0))),
    "path": Command(id="x", go=Go(stage_x_nm=500.0, stage_y_nm=500.0)),
    "tilted": Command(id="x", go=Go(tilt_alpha_deg=30.0, stage_z_nm=4000.0)),
    "mode": replace(scan("x"), acquire=replace(scan("x").acquire, mode="4DSTEM")),  # type: ignore[type-var]
    "holder": Command(id="x", set=Settings(holder=Holder(flow_nl_per_s=51.0))),
}


def refusal(microscope: Microscope, command: Command) -> tuple[str, str]:
    """Kind and text of the error that a command meets."""
    with pytest.raises((Malformed, Rejected)) as caught:
        microscope.submit(command)
    return type(caught.value).__name__, str(caught.value)


def check_shape(microscope: Microscope, acquisition: Acquisition) -> None:
    assert isinstance(microscope, Microscope)
    assert microscope.describe() == microscope.describe()
    assert isinstance(microscope.state(), InstrumentState)


def check_scan(microscope: Microscope, acquisition: Acquisition) -> None:
    command = acquisition("scan", 2)
    assert command.acquire is not None
    before = microscope.state()
    seen = execute(microscope, command, SILENCE_S)
    assert seen.command == command
    assert seen.data is not None
    wanted = (command.acquire.pixels_y, command.acquire.pixels_x)
    assert seen.data.shape == wanted == tuple(axis.size for axis in seen.axes)
    assert seen.statistics[-1].mean == pytest.approx(seen.data.mean())
    assert seen.row_seen.all()
    assert [line.frame for line in seen.statistics] == [0, 1]
    assert (seen.gaps, seen.dropped, seen.aborted) == (0, 0, False)
    assert before.clock_s < seen.end_s == seen.state.clock_s
    assert 0 < seen.electrons <= seen.electrons_charged
    charged = before.electrons_charged + seen.electrons_charged
    assert microscope.state().electrons_charged == pytest.approx(charged)


def check_move(microscope: Microscope, acquisition: Acquisition) -> None:
    seen = execute(microscope, Command(id="move", go=Go(stage_x_nm=-100.0)), SILENCE_S)
    assert seen.data is None
    assert seen.electrons_charged == 0.0
    assert seen.state.go.stage_x_nm == microscope.state().go.stage_x_nm == pytest.approx(-100.0)


def check_order(microscope: Microscope, acquisition: Acquisition) -> None:
    with pytest.raises(Rejected, match="idle"):
        microscope.gather(SILENCE_S)
    with pytest.raises(Rejected, match="idle"):
        next(iter(microscope.watch(SILENCE_S)))
    microscope.submit(acquisition("first", 1))
    assert refusal(microscope, acquisition("second", 1)) == (
        "Rejected",
        "id = second refused (busy): limit command first has not been gathered",
    )
    assert microscope.gather(SILENCE_S).command.id == "first"


def check_repeat(microscope: Microscope, acquisition: Acquisition) -> None:
    """The same id runs once: a repeat gives the stored end and charges nothing; other arguments are an error."""
    first = execute(microscope, acquisition("once", 1), SILENCE_S)
    clock_s = microscope.state().clock_s
    again = execute(microscope, acquisition("once", 1), SILENCE_S)
    assert again.end_s == first.end_s
    assert again.electrons == first.electrons
    if microscope.describe().time == "stepped":
        assert microscope.state().clock_s == clock_s
    assert microscope.state().electrons_charged == first.state.electrons_charged
    assert "id_reused" in refusal(microscope, acquisition("once", 2))[1]


def check_blank_ends_a_scan(microscope: Microscope, acquisition: Acquisition) -> None:
    """Blank from another thread in mid scan; what came before is kept and only that is charged."""
    before = microscope.state().electrons_charged
    microscope.submit(acquisition("long", 64))
    blanking = threading.Thread(target=microscope.blank)
    chunks = 0
    for part in microscope.watch(SILENCE_S):
        chunks += isinstance(part, Chunk)
        if chunks == 3 and not blanking.ident:
            blanking.start()
            blanking.join()
        last = part
    assert last.aborted  # type: ignore[union-attr]
    assert 0 < chunks == last.chunks  # type: ignore[union-attr]
    assert 0 < last.beam_on_share < 1  # type: ignore[union-attr]
    assert microscope.state().beam_blanked
    charged = microscope.state().electrons_charged - before
    assert 0 < last.electrons <= charged < last.electrons * 1.1  # type: ignore[union-attr]
    assert not execute(microscope, acquisition("after", 1), SILENCE_S).aborted


def check_stop(microscope: Microscope, acquisition: Acquisition) -> None:
    microscope.stop()
    kind, text = refusal(microscope, acquisition("stopped", 1))
    assert kind == "Rejected"
    assert "stopped" in text
    assert microscope.state().beam_blanked


CHECKS = (
    check_shape,
    check_scan,
    check_move,
    check_order,
    check_repeat,
    check_blank_ends_a_scan,
    check_stop,
)
