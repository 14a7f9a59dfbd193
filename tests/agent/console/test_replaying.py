"""A record in the console: any turn, at any speed, beside what another policy would have chosen."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rehearsal import TURNS

from agent.console import door
from agent.console.client import RemoteConsole
from agent.console.words import Conflict, ConsoleError, NotFound, Person, Replay, Status
from agent.reading import open_run
from agent.replay import opened

ADA = Person(name="ada", role="operator", screen="test")


@pytest.fixture
def console(recorded: Path) -> Iterator[RemoteConsole]:
    with opened(recorded, port=0) as found:
        yield RemoteConsole(found.address, found.operator)


def until(console: RemoteConsole, holds: Callable[[Status], bool]) -> Status:
    deadline = time.monotonic() + 20.0
    while not holds(status := console.status()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return status


def test_each_turn_shows_what_was_decided_there(console: RemoteConsole, recorded: Path) -> None:
    with open_run(recorded) as run:
        for record in reversed(run.records):
            status = console.replay(Replay(turn=record.turn))
            question = status.question
            assert question is not None
            assert question.turn == record.turn
            assert question.chosen is not None
            assert question.choices[question.chosen].command == record.decision.command
            assert [choice.command for choice in question.choices] == [p.command for p in record.decision.proposals]
            assert status.replayed is not None
            assert (status.replayed.turn, status.replayed.turns, status.replayed.speed) == (record.turn, TURNS, 0.0)


def test_it_plays_as_fast_as_is_wanted(console: RemoteConsole, recorded: Path) -> None:
    with open_run(recorded) as run:
        duration_s = run.records[-1].end_s - run.records[0].end_s
    begun_s = time.monotonic()
    console.replay(Replay(turn=0, speed=2.0 * duration_s))
    until(console, lambda status: status.replayed is not None and status.replayed.turn == TURNS - 1)
    took_s = time.monotonic() - begun_s
    assert took_s > 0.3, "the run at twice its length a second takes half a second at least"
    assert until(console, lambda status: status.replayed is not None and status.replayed.speed == 0.0)


def test_the_policy_itself_agrees_with_itself_and_another_less(console: RemoteConsole) -> None:
    def asked(name: str) -> tuple[int, int]:
        console.replay(Replay(turn=TURNS - 1, rival=name))

        def done(status: Status) -> bool:
            rival = status.replayed.rival if status.replayed is not None else None
            return rival is not None and rival.name == name and rival.choice is not None

        replayed = until(console, done).replayed
        assert replayed is not None
        assert replayed.rival is not None
        return replayed.rival.agreed, replayed.rival.asked

    assert asked("raster") == (TURNS, TURNS)
    agreed, of = asked("expert")
    assert (agreed < of, of) == (True, TURNS)


def test_nothing_is_decided_in_it(console: RemoteConsole) -> None:
    for act in (
        lambda: console.replay(Replay(turn=TURNS)),
        lambda: console.replay(Replay(rival="rastr")),
        lambda: console.steer(ADA, ["budget.electrons=1e8"]),
    ):
        with pytest.raises(Conflict):
            act()
    with pytest.raises(ConsoleError):
        console.question("replay.0")


def test_a_run_that_goes_on_is_not_replayed(recorded: Path) -> None:
    from agent.console.console import Console

    with pytest.raises(NotFound, match="nothing is replayed"):
        Console("every", 1.0, lambda: None).replay(Replay(turn=0))
    assert not (recorded / door.DOOR_NAME).exists(), "the door of a run is its own"
