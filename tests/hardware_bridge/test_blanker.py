"""The blanker's lines are read alike from everywhere and outlive the process that moved them."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from hardware_bridge.blanker import Blanker


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "beam"


def test_a_new_one_is_blanked(path: Path) -> None:
    assert Blanker(path).is_blanked


def test_the_beam_passes_only_while_one_line_is_open_and_the_other_is_not_pulled(path: Path) -> None:
    bridge, supervisor = Blanker(path), Blanker(path)
    bridge.open()
    assert not supervisor.is_blanked
    supervisor.pull()
    assert bridge.is_blanked
    assert bridge.is_pulled
    bridge.open()
    assert bridge.is_blanked
    bridge.release()
    assert not supervisor.is_blanked
    bridge.blank()
    assert supervisor.is_blanked


def test_the_time_of_a_change_is_that_of_the_change_and_not_of_its_repeats(path: Path) -> None:
    blanker = Blanker(path)
    before_ns = time.monotonic_ns()
    blanker.open()
    changed_ns = blanker.changed_ns
    assert before_ns <= changed_ns <= time.monotonic_ns()
    blanker.open()
    assert blanker.changed_ns == changed_ns


def test_another_process_moves_the_same_lines_and_its_end_leaves_them(path: Path) -> None:
    blanker = Blanker(path)
    code = f"from pathlib import Path; from hardware_bridge.blanker import Blanker; Blanker(Path({str(path)!r})).open()"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert not blanker.is_blanked


def test_silence_is_counted_from_the_last_sign_of_life(path: Path) -> None:
    blanker = Blanker(path)
    blanker.bridge_is_alive()
    assert blanker.bridge_silent_s() < 0.1
    time.sleep(0.15)
    assert blanker.bridge_silent_s() > 0.14
    assert blanker.supervisor_silent_s() > 0.14
