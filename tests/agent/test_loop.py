"""The loop gives up where nothing that it decides comes to anything, and says why; one good turn is enough to go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from msgspec.structs import replace

from agent.loop import MAX_REFUSALS_IN_A_ROW, Loop, Stuck
from agent.record import Record
from hardware_bridge.observation import Observation
from hardware_bridge.report import FrameEvent
from policies.interface import Turn

SLEW = "set.holder.temperature_K = a change of 5 refused (slew): limit 10 at once and 2 per s: wait 4 s"


class Indifferent:
    """A policy that learns nothing."""

    def ingest(self, turn: Turn) -> None:
        pass


@pytest.fixture
def loop() -> Loop:
    nobody = cast(Any, None)
    return Loop(
        microscope=nobody,
        policy=cast(Any, Indifferent()),
        perceive=nobody,
        review=nobody,
        recorder=nobody,
        setup=nobody,
    )


@pytest.fixture
def turn(make_record: Callable[..., Record], make_observation: Callable[..., Observation]) -> Record:
    return make_record(0, make_observation(0))


def refused(turn: Record) -> Record:
    decision = replace(turn.decision, verdict="refused", command=None, reason=SLEW)
    return replace(turn, percept=None, decision=decision)


def test_turns_that_run_nothing_end_it_with_the_last_reason(loop: Loop, turn: Record) -> None:
    for _ in range(MAX_REFUSALS_IN_A_ROW - 1):
        loop.learn(refused(turn))
    with pytest.raises(Stuck, match=r"20 turns in a row came to nothing; the last: .*wait 4 s"):
        loop.learn(refused(turn))


def test_turns_that_are_all_cut_short_end_it(loop: Loop, turn: Record) -> None:
    """Each of them costs disk, and hardly any time or dose: the budget does not end them."""
    for _ in range(MAX_REFUSALS_IN_A_ROW - 1):
        loop.learn(replace(turn, aborted=True))
    with pytest.raises(Stuck, match="the last: ended early, no beat"):
        loop.learn(replace(turn, aborted=True), "no beat")


def test_what_an_event_ends_is_no_trouble(loop: Loop, turn: Record) -> None:
    event = FrameEvent(kind="change", epoch=1, frame=3, time_s=1.0, value=9.0, limit=6.0)
    for _ in range(3 * MAX_REFUSALS_IN_A_ROW):
        loop.learn(replace(turn, aborted=True, events=(event,)))
    assert loop.refusals == 0


def test_one_good_turn_is_enough_to_go_on(loop: Loop, turn: Record) -> None:
    for number in range(3 * MAX_REFUSALS_IN_A_ROW):
        loop.learn(turn if number % MAX_REFUSALS_IN_A_ROW == 0 else refused(turn))
    assert loop.refusals == MAX_REFUSALS_IN_A_ROW - 1
