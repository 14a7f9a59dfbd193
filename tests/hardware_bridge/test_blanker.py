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


STAMPING = """
import sys, time
from pathlib import Path
from hardware_bridge.blanker import Blanker
blanker = Blanker(Path(sys.argv[1]))
until_s = time.monotonic() + 1.0
print("stamping", flush=True)
while time.monotonic() < until_s:
    blanker.bridge_is_alive()
"""


def test_nobody_reads_half_a_word_while_another_process_writes_it(path: Path) -> None:
    watching = Blanker(path)
    watching.bridge_is_alive()
    root = str(Path(__file__).parents[2])
    with subprocess.Popen([sys.executable, "-c", STAMPING, str(path)], stdout=subprocess.PIPE, cwd=root) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        reads = longest_s = 0.0
        while writer.poll() is None:
            longest_s = max(longest_s, watching.bridge_silent_s())
            reads += 1
    assert reads > 1000
    assert longest_s < 100.0  # a word that is half written reads as hours
