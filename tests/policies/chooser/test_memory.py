"""What the chooser remembers of a run is what happened in it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from hardware_bridge.messages import Go
from hardware_bridge.report import Percept
from policies.book import blank_state
from policies.chooser.memory import Memory, cells_shown
from policies.commands import View, looking
from policies.interface import Proposal, Setup, Situation, Turn


class Told:
    """An outlook that says what a test wants it to."""

    ways = ()
    surprise = 3.0
    loss_left = 0.7

    def begin(self) -> None: ...

    def add(self, percept: Percept) -> None: ...

    def left(self, cells: np.ndarray, at_s: float) -> float:
        return 0.25

    def information(self, *_: object) -> np.ndarray:
        return np.zeros(1)


@pytest.mark.parametrize(
    ("middle", "width", "cells"),
    [
        ((-896.0, -896.0), 256.0, [0]),
        ((-896.0, -896.0), 32.0, [0]),
        ((-768.0, -896.0), 510.0, [0, 1]),
        ((-768.0, -768.0), 512.0, [0, 1, 8, 9]),
        ((1023.0, 1023.0), 8.0, [63]),
        ((5000.0, 0.0), 8.0, []),
    ],
)
def test_a_field_shows_the_cells_whose_middles_it_covers(
    middle: tuple[float, float], width: float, cells: list[int]
) -> None:
    assert cells_shown(middle, (width, width), 2048.0, 8).tolist() == cells


@pytest.fixture
def setup(make_bench: Callable[..., Any]) -> Setup:
    found: Setup = make_bench().setup
    return found


def looked(setup: Setup, usable: float = 1.0) -> Turn:
    command = looking("look-1", Go(stage_x_nm=0.0, stage_y_nm=0.0), View(fov_nm=200.0, pixels=16, dwell_s=1e-5), 5.0, 0)
    percept = Percept(
        command_id="look-1",
        mode="HAADF",
        start_s=setup.start_s + 9.0,
        end_s=setup.start_s + 10.0,
        x_nm=100.0,
        y_nm=100.0,
        width_nm=200.0,
        height_nm=200.0,
        quality={"usable": usable},
    )
    return Turn(index=0, command=command, percept=percept, verdict="approved", reason="")


def proposal(setup: Setup, x_nm: float, y_nm: float) -> Proposal:
    # On this bench the specimen's x is the stage's -y.
    go = Go(stage_x_nm=y_nm, stage_y_nm=-x_nm)
    command = looking("next", go, View(fov_nm=200.0, pixels=16, dwell_s=1e-5), 5.0, 0.0)
    return Proposal(
        command=command, information=0.01, information_sd=0, electrons=1e6, time_s=2.0, reason="", proposer="HAADF"
    )


def situation(setup: Setup, clock_s: float) -> Situation:
    state = replace(blank_state(setup), clock_s=setup.start_s + clock_s)
    return Situation(turn=1, state=state, electrons_left=1e8, time_left_s=setup.end_s - setup.start_s - clock_s)


def test_a_look_is_remembered_where_it_was(setup: Setup) -> None:
    memory = Memory(setup, Told())
    memory.ingest(looked(setup))
    offers = memory.offers([proposal(setup, 100.0, 100.0), proposal(setup, -900.0, 500.0)], situation(setup, 70.0))
    assert offers.looks.tolist() == [1.0, 0.0]
    assert offers.age.tolist() == pytest.approx([0.1, 1.0])
    assert offers.exposed[0] > 0.0
    assert offers.exposed[1] == 0.0
    assert offers.left.tolist() == [0.25, 0.25]
    assert offers.cells.tolist() == [1.0, 1.0]


def test_how_the_last_looks_went_fades(setup: Setup) -> None:
    memory = Memory(setup, Told())
    memory.ingest(looked(setup))
    memory.ingest(looked(setup, usable=0.0))
    standing = memory.standing(situation(setup, 70.0))
    assert standing.surprise == 3.0
    assert standing.surprise_recent == pytest.approx(1.0 + 2.0 * (1 - 0.8**2))
    assert standing.missed_recent == pytest.approx(0.2)
    assert standing.looks == 2.0
    assert standing.loss_left == pytest.approx(0.7)


def test_a_turn_without_a_percept_is_none(setup: Setup) -> None:
    memory = Memory(setup, Told())
    memory.ingest(Turn(index=0, command=None, percept=None, verdict="refused", reason=""))
    assert memory.standing(situation(setup, 0.0)).looks == 0.0
