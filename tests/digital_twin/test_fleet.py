"""A fleet's instruments give what they would give alone."""

from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

from digital_twin.fleet import Fleet
from digital_twin.instrument import Twin
from digital_twin.liquid_cell import LiquidCell
from digital_twin.shortcuts import NONE
from digital_twin.world import LEARNING_SMOOTH, apparatus_of
from hardware_bridge.errors import Rejected
from hardware_bridge.messages import Acquire, Command, Go, Holder, Optics, Settings
from hardware_bridge.microscope import execute

SEEDS, BEAT_S = (3, 4, 9), 8.0
MODES = ("HAADF", "EELS", "CBED", "HRTEM", "BF")


def look(turn: int, place: int) -> Command:
    """Another mode, place, focus and current for each seat and turn."""
    mode = MODES[(turn + place) % len(MODES)]
    pixels = {"EELS": 2, "CBED": 1}.get(mode, 24)
    dwell_s = {"EELS": 2e-3, "CBED": 2e-2, "HRTEM": 0.1}.get(mode, 5e-6)
    return Command(
        id=f"look-{turn}",
        go=Go(stage_x_nm=100.0 * turn - 150.0 * place, stage_y_nm=40.0 * place),
        set=Settings(optics=Optics(C10_nm=-300.0 + 100.0 * place, beam_current_pA=20.0 + place)),
        acquire=Acquire(mode=mode, fov_nm=96.0, pixels_x=pixels, pixels_y=pixels, dwell_s=dwell_s),
    )


@pytest.mark.parametrize("shortcuts", [NONE, LEARNING_SMOOTH])
def test_every_seat_gives_the_data_of_a_lone_twin(shortcuts):
    fleet = Fleet(LiquidCell, SEEDS, BEAT_S, shortcuts)
    apparatus = replace(apparatus_of(LiquidCell.facts), beat_s=BEAT_S, shortcuts=shortcuts)
    alone = [Twin(LiquidCell(seed), seed, apparatus=apparatus) for seed in SEEDS]
    for turn in range(5):
        # One of them waits now and then.
        busy = [place for place in range(3) if (turn, place) != (2, 1)]
        for place in busy:
            fleet.seats[place].submit(look(turn, place))
        if len(busy) < 3:
            execute(alone[1], Command(id="wait"), 1.0)
        for place in busy:
            seen, true = fleet.seats[place].gather(1.0), execute(alone[place], look(turn, place), 1.0)
            assert seen.data is not None
            assert true.data is not None
            assert np.array_equal(seen.data, true.data)
            assert (seen.start_s, seen.end_s, seen.electrons) == (true.start_s, true.end_s, true.electrons)
            assert BEAT_S * (turn + 1) < seen.end_s < BEAT_S * (turn + 1) + 1.0


def test_a_seat_without_a_command_has_nothing_to_give():
    fleet = Fleet(LiquidCell, SEEDS, BEAT_S)
    with pytest.raises(Rejected, match="no command"):
        fleet.seats[0].gather(1.0)


def test_what_would_take_the_others_along_is_refused():
    seat = Fleet(LiquidCell, (3,), BEAT_S).seats[0]
    command = look(0, 0)
    assert command.acquire is not None
    for changes, told in (
        ({"max_frames": 2}, "2 frames"),
        ({"dwell_s": 1e-3}, "of beam refused .* one frame of up to 0.4 s"),
    ):
        asked = Command(id="long", acquire=structs.replace(command.acquire, **changes))
        with pytest.raises(Rejected, match=told):
            seat.submit(asked)
    with pytest.raises(Rejected, match=r"set\.holder"):
        seat.submit(Command(id="bias", set=Settings(holder=Holder(flow_nl_per_s=1.0))))
