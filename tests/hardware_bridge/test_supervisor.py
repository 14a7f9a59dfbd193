"""The supervisor blanks when the process it watches dies or freezes, and outlives what would end it early."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from processes import wait_until

from hardware_bridge.blanker import Blanker
from hardware_bridge.supervisor import Supervisor


@pytest.fixture
def blanker(tmp_path: Path) -> Blanker:
    made = Blanker(tmp_path / "beam")
    made.open()
    return made


def test_it_lets_the_beam_pass_while_the_bridge_lives(blanker: Blanker) -> None:
    supervisor = Supervisor(blanker)
    try:
        assert supervisor.is_watching()
        for _ in range(30):
            blanker.bridge_is_alive()
            time.sleep(0.02)
            assert not blanker.is_blanked
    finally:
        supervisor.close()


def test_it_blanks_when_the_bridge_freezes(blanker: Blanker) -> None:
    supervisor = Supervisor(blanker)
    try:
        blanker.bridge_is_alive()
        since = time.monotonic()
        wait_until(lambda: blanker.is_blanked)
        assert 0.2 < time.monotonic() - since < 0.5
    finally:
        supervisor.close()


def test_it_blanks_at_once_when_its_lifeline_is_cut(blanker: Blanker) -> None:
    supervisor = Supervisor(blanker)
    blanker.bridge_is_alive()
    supervisor.close()
    assert blanker.is_pulled


def test_signals_that_a_terminal_sends_do_not_end_it_and_its_death_is_noticed(blanker: Blanker) -> None:
    before = {child.pid for child in psutil.Process().children()}
    supervisor = Supervisor(blanker)
    (pid,) = {child.pid for child in psutil.Process().children()} - before
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(pid, number)
        time.sleep(0.1)
        assert supervisor.is_watching()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not supervisor.is_watching())
    finally:
        supervisor.close()
