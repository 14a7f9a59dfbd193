import io
import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.eventlog import Header
from agent.record import Record
from agent.view import RunView
from hardware_bridge.observation import Observation
from hardware_bridge.report import FrameEvent
from policies.interface import Setup


class Clock:
    """A wall clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def setup(header: Header) -> Setup:
    return Setup(
        capabilities=header.capabilities, limits=header.config.limits, card=header.card, start_s=0.0, end_s=600.0,
        max_electrons=1e7,
    )  # fmt: skip


@pytest.fixture
def records(make_record: Callable[..., Record], make_observation: Callable[..., Observation]) -> list[Record]:
    return [make_record(turn, make_observation(turn)) for turn in range(40)]


def test_lines_come_every_few_seconds(setup: Setup, records: list[Record]) -> None:
    output, clock = io.StringIO(), Clock()
    with RunView("growth", setup, output, clock) as view:
        for record in records:
            clock.now_s += 0.5
            view.show(record)
    lines = output.getvalue().splitlines()
    # One each 3 s of the 20 s, and one in the end.
    assert len(lines) == 7
    # After 6 turns of 0.5 s: 21.5 of 600 s are over and 6e5 of 1e7 electrons; the dose, 6 % in 3 s, runs out first.
    assert lines[0] == "  22 of 600 s, turn 6, dose 6%, 5 particles, 2.0 decisions/s, about 47 s left | best of 2"
    assert lines[-1].startswith(" 158 of 600 s, turn 40, dose 40%, 5 particles, 2.0 decisions/s | ")


def test_failures_and_refusals_are_shown(setup: Setup, make_record: Callable[..., Record]) -> None:
    output = io.StringIO()
    with RunView("growth", setup, output) as view:
        view.show(make_record(0, None, "go.stage_x_nm = 1e9 refused"))
    assert "1 turn ran nothing" in output.getvalue()
    assert output.getvalue().endswith("| go.stage_x_nm = 1e9 refused\n")


def test_events_are_counted(setup: Setup, records: list[Record]) -> None:
    output = io.StringIO()
    event = FrameEvent(kind="change", epoch=1, frame=5, time_s=0.5, value=9.0, limit=6.0)
    with RunView("growth", setup, output) as view:
        view.show(replace(records[0], events=(event, event)))
    assert " 1 particle, 2 events," in output.getvalue()


def test_debris_is_not_counted(setup: Setup, records: list[Record]) -> None:
    output = io.StringIO()
    percept = records[0].percept
    assert percept is not None
    beads = tuple(replace(particle, real=0.1) for particle in percept.particles)
    with RunView("growth", setup, output) as view:
        view.show(replace(records[0], percept=replace(percept, particles=beads)))
    assert " 0 particles" in output.getvalue()


def test_a_resumed_run_counts_its_past_but_not_in_the_rate(setup: Setup, records: list[Record]) -> None:
    output, clock = io.StringIO(), Clock()
    with RunView("growth", setup, output, clock) as view:
        view.known(tuple(records[:20]))
        for record in records[20:24]:
            clock.now_s += 1.0
            view.show(record)
    first, last = output.getvalue().splitlines()
    assert ", turn 23, dose 23%, 5 particles, 1.0 decisions/s, about 77 s left" in first
    assert ", turn 24, dose 24%, 5 particles, 1.0 decisions/s |" in last


def test_on_a_terminal_a_panel_is_drawn(setup: Setup, records: list[Record]) -> None:
    master, slave = pty.openpty()
    clock = Clock()
    with open(slave, "w", encoding="utf-8") as output:
        with RunView("growth, seed 7", setup, output, clock) as view:
            for record in records[:6]:
                clock.now_s += 0.5
                view.show(record)
            with view.paused():
                output.write("a question?\n")
        output.flush()
        said = ""
        while select.select([master], [], [], 0.3)[0]:  # a terminal hands over what it has, piece by piece
            said += os.read(master, 65536).decode()
    os.close(master)
    for word in (
        "growth, seed 7",
        "━",
        "of 600 s of the specimen",
        "6e+05 of 1e+07 electrons",
        "decisions/s",
        "best of 2",
    ):
        assert word in said
    assert said.count("a question?") == 1


def test_a_terminal_that_hangs_up_stops_nothing(setup: Setup, records: list[Record]) -> None:
    master, slave = pty.openpty()
    clock = Clock()
    output = open(slave, "w", encoding="utf-8")  # noqa: SIM115
    with RunView("growth", setup, output, clock) as view:
        for turn, record in enumerate(records):
            clock.now_s += 0.5
            if turn == 10:
                os.close(master)
            view.show(record)
        with view.paused():
            pass
    output.close()


PIPED = """
import sys, importlib.util
spec = importlib.util.spec_from_file_location("turns", sys.argv[1])
turns = importlib.util.module_from_spec(spec)
spec.loader.exec_module(turns)
from agent.view import RunView
from policies.interface import Setup
setup = Setup(None, None, None, 0.0, 600.0, 1e9)
ticks = iter(range(0, 10**6, 5))
with RunView("growth", setup, sys.stdout, lambda: next(ticks)) as view:
    for turn in range(50):
        view.show(turns._record(turn, None))
print("unseen")
sys.stderr.write("went on to the end")
"""


def test_a_closed_pipe_stops_nothing() -> None:
    turns = Path(__file__).with_name("conftest.py")
    out, into = os.pipe()
    writer = subprocess.Popen(
        [sys.executable, "-c", PIPED, str(turns)], stdout=into, stderr=subprocess.PIPE, text=True, cwd=turns.parents[2]
    )
    os.close(into)
    os.read(out, 10)
    os.close(out)
    _, said = writer.communicate(timeout=60)
    assert said == "went on to the end"
    assert writer.returncode == 0


def test_the_time_left_knows_of_the_turns_and_the_last_line_of_none(setup: Setup, records: list[Record]) -> None:
    output, clock = io.StringIO(), Clock()
    with RunView("growth", setup, output, clock, max_turns=12) as view:
        for record in records[:12]:
            clock.now_s += 0.5
            view.show(record)
    lines = output.getvalue().splitlines()
    # 6 of 12 turns took 3 s, so the other 6 will.
    assert "2.0 decisions/s, about 3 s left" in lines[0]
    assert "left" not in lines[-1]
