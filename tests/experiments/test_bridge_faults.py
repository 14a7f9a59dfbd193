"""The fuzz finds nothing in the bridge as it is, and finds each hole that is made in it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from experiments.bridge_faults import __main__ as command
from experiments.bridge_faults.fuzz import Fuzz
from experiments.bridge_faults.wired import fuzz_wired
from hardware_bridge import frames, safety, wire
from hardware_bridge.dose import DoseLedger
from hardware_bridge.guard import Guard
from hardware_bridge.journal import FileJournal
from hardware_bridge.lease import Lease
from hardware_bridge.observation import Chunk
from hardware_bridge.shutter import Shutter


def test_nothing_comes_of_broken_messages(tmp_path: Path) -> None:
    fuzz = Fuzz(tmp_path, seed=2)
    fuzz.run(20_000)
    found = fuzz.found
    assert found.wrong == []
    assert found.messages == {"bytes": 10_000, "one field": 10_000}
    # What is judged is told apart: all kinds occur, and commands that stay valid do run.
    assert min(found.outcomes[kind] for kind in ("malformed", "stale", "unsafe", "harmless", "may act")) > 50
    assert 100 < found.ran < found.outcomes["may act"]
    assert 3000 < found.read < 4000


def test_nothing_comes_of_them_through_real_sockets(tmp_path: Path) -> None:
    found = fuzz_wired(tmp_path, 1500, seed=2)
    assert found.wrong == ()
    assert found.messages > 1000
    assert found.answers > 700


@pytest.mark.parametrize(
    ("where", "name", "hole", "said"),
    [
        (safety, "_check_ranges", lambda *_: None, "'unsafe': it had an effect"),
        (Lease, "drop", lambda lease, *_: setattr(lease, "_session", None), "'stale': it had an effect"),
        (wire, "_check_version", lambda *_: None, "'malformed': "),
        (DoseLedger, "add", lambda *_: None, "the beam was on before its dose was charged"),
        (Guard, "begin_session", lambda *_: None, "AssertionError"),
        (Shutter, "_shut", lambda *_: None, "beam blanked: False"),
        (FileJournal, "result", lambda *_: None, "the journal tells something else"),
        (frames, "_chunk", lambda part, sent, _: sent[1:] and Chunk(part.header, np.array(sent[1])), "were never sent"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_hole_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: object, name: str, hole: Callable[..., None], said: str
) -> None:
    monkeypatch.setattr(where, name, hole)
    fuzz = Fuzz(tmp_path, seed=3)
    try:
        fuzz.run(2000)
    except AssertionError:
        assert said == "AssertionError"
        return
    assert any(said in line for line in fuzz.found.wrong), fuzz.found.wrong[:3]


def test_the_command_says_what_it_did(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["bridge_faults", "fuzz", "--messages", "1000"])
    assert command.main() == 0
    said = capsys.readouterr().out
    assert "500 with bytes changed, 500 with one field changed" in said
    assert "What was wrong: nothing" in said


def test_no_messages_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["bridge_faults", "fuzz", "--messages", "0"])
    with pytest.raises(SystemExit):
        command.main()
    assert "--messages 0" in capsys.readouterr().err
