"""Carries the supervisor's line to a blanker that only a program reaches: a process that outlives the bridge.

For instruments without a blanker input of their own. The driver's package has a module that calls ``carry``; its server
starts that module with ``relayed``.
"""

from __future__ import annotations

import logging
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hardware_bridge.blanker import Blanker
from hardware_bridge.errors import Unreachable

PERIOD_S = 0.01
TRY_AGAIN_S = 0.1
GIVE_UP_S = 60.0

Blank = Callable[[], None]


@contextmanager
def relayed(module: str, *arguments: str) -> Iterator[None]:
    """Run ``python -m MODULE ARGUMENTS`` beside a server, for as long as it serves."""
    # In a group of its own: a terminal stops, ends or hangs up on the whole group of the server.
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as process:
        try:
            yield
        finally:
            process.kill()  # the server has blanked; the relay is for one that dies before it comes here


def carry(beam: Path, blank: Blank) -> None:
    """Blank whenever the supervisor pulls its line, and when the bridge dies; then end. Run it as a process.

    ``beam`` is the file with the lines, ``blank`` comes back when the instrument says that it is blanked, and raises
    Unreachable where it does not. Standard input is a pipe of the bridge, which the system closes when that dies.
    """
    # What ends a service is often sent to all of its processes at once; the relay must outlive the bridge.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    blanker = Blanker(beam)
    is_told = False
    while not select.select([sys.stdin.fileno()], [], [], PERIOD_S)[0]:
        if blanker.is_pulled and not is_told:
            _insist(blank)
        is_told = blanker.is_pulled
    _insist(blank)


def _insist(blank: Blank) -> None:
    """Blank, and try again where that fails; an instrument silent for a minute is not there any more."""
    given_up_s = time.monotonic() + GIVE_UP_S
    while time.monotonic() < given_up_s:
        try:
            blank()
            return
        except Unreachable as error:
            logging.warning("cannot blank: %s", error)
        time.sleep(TRY_AGAIN_S)
