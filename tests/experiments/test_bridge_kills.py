"""Agent and bridge die, freeze and hang at named points; an observer of its own reads the beam."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from experiments.bridge_faults import page, points
from experiments.bridge_faults.kills import Run, campaign, spread
from experiments.bridge_faults.observer import Seen, seen
from experiments.bridge_faults.points import FAULTS, Fault
from experiments.bridge_faults.truth import Truth

MS = 1_000_000
SHORT = (
    Fault("agent", points.SUBMITTED, "SIGSTOP"),
    Fault("agent", points.MOVING, "SIGKILL"),
    Fault("agent", points.SCANNING, "deadlock"),
    Fault("agent", points.THINKING, "SIGSTOP"),
    Fault("bridge", points.TOKEN, "SIGKILL"),
    Fault("bridge", points.BEFORE_INTENT, "SIGKILL"),
    Fault("bridge", points.INTENT, "SIGSTOP"),
    Fault("bridge", points.ASKED, "SIGKILL"),
    Fault("bridge", points.MOVES, "SIGSTOP"),
    Fault("bridge", points.CHUNKS, "SIGSTOP"),
    Fault("bridge", points.NO_RESULT, "SIGKILL"),
    Fault("bridge", points.RESULT, "SIGKILL"),
    Fault("bridge", points.SAFETY, "SIGKILL"),
)
FATES = {
    points.SUBMITTED: "Done",
    points.MOVING: "Done",
    points.SCANNING: "Done",
    points.THINKING: "NotStarted",
    points.TOKEN: "NotStarted",
    points.BEFORE_INTENT: "NotStarted",
    points.INTENT: "Done",  # it wakes up, and ends the command in the dark
    points.ASKED: "Unknown",
    points.MOVES: "Done",
    points.CHUNKS: "Done",
    points.NO_RESULT: "Unknown",
    points.RESULT: "Done",
    points.SAFETY: "Unknown",
}


def test_whoever_dies_or_freezes_at_whatever_point_the_beam_is_off_and_nothing_is_guessed(tmp_path: Path) -> None:
    runs = campaign(tmp_path, list(SHORT))
    assert [(run.fault, run.wrong) for run in runs if run.wrong] == []
    assert {run.fault.point: run.fate for run in runs} == FATES
    dark_ms = {run.fault.point: (run.seen.dark_ns or 0) / MS for run in runs}
    assert dark_ms[points.SCANNING] > 100  # the observer does see the beam
    assert max(dark_ms.values()) <= 500


def test_every_kind_of_fault_comes_equally_often() -> None:
    faults = spread(200, seed=1)
    assert len(faults) >= 200
    assert {*Counter(faults).values()} == {len(faults) // len(FAULTS)}
    assert {*faults} == {*FAULTS}


def test_the_observers_log_is_read_as_it_was_written(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("100 on\n300 off\n400 late 50\n500 on\n600 off\n700 on\n")
    assert seen(log, 150, 450) == Seen(150, 0, 50)
    assert seen(log, 310, 550) == Seen(None, 0, 50)
    assert seen(log, 150, 650) == Seen(450, 1, 50)
    assert seen(log, 610, 690) == Seen(0, 0, 0)
    assert seen(log, 10, 350) == Seen(290, 0, 0)


def test_the_drivers_log_is_read_as_it_was_written(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        '{"what": "submit", "id": "a"}\n{"what": "expose", "id": "a", "electrons": 2.5}\n'
        '{"what": "end", "id": "a", "chunks": 1}\n{"what": "submit", "id": "b"}\n'
    )
    assert Truth.read(log) == Truth(["a", "b"], {"a": 1}, 2.5)


def test_the_page_tells_what_was_wrong_and_keeps_what_others_wrote(tmp_path: Path) -> None:
    runs = [
        Run(Fault("agent", points.LEASED, "SIGKILL"), Seen(0, 0, 0), "NotStarted", False),
        Run(Fault("agent", points.SUBMITTED, "SIGSTOP"), Seen(None, 2, 10 * MS), "Done", True, wrong=["it glowed"]),
    ]
    section = page.kills_section(runs, seed=1, took_s=2.0)
    assert "Blank within 500 ms: 1 of 2" in section
    assert "- agent, submitted, nothing read, SIGSTOP: it glowed" in section
    assert "What was wrong: 1" in section
    path = tmp_path / "RESULT.md"
    path.write_text("# Kills, freezes and hangs\n\nof last year\n\n# Another\n\nkept\n")
    page.put(section, path)
    page.put("# New\n\nlast\n", path)
    told = path.read_text()
    assert "of last year" not in told
    assert told.index("it glowed") < told.index("\nkept\n") < told.index("\nlast\n")
