"""Carries the supervisor's line to a temscript column: a process of its own, which outlives the bridge.

`python -m experiments.foreign_temscript.relay HOST PORT BEAM_FILE`, with a pipe of the bridge as standard input, which
the system closes when the bridge dies.
"""

from __future__ import annotations

import logging
import select
import signal
import sys
import time
from pathlib import Path

from experiments.foreign_temscript.rest import Line
from hardware_bridge.blanker import Blanker
from hardware_bridge.errors import Unreachable

PERIOD_S = 0.01
TIMEOUT_S = 2.0
TRY_AGAIN_S = 0.1
GIVE_UP_S = 30.0


def relay(blanker: Blanker, column: Line, lifeline: int) -> None:
    """Blank the column whenever the supervisor pulls its line, and when the bridge at ``lifeline`` dies; then end."""
    is_told = False
    while not select.select([lifeline], [], [], PERIOD_S)[0]:
        if blanker.is_pulled and not is_told:
            blank(column)
        is_told = blanker.is_pulled
    blank(column)


def blank(column: Line) -> None:
    """Blank the column until it says so, for half a minute if it must."""
    deadline_s = time.monotonic() + GIVE_UP_S
    while time.monotonic() < deadline_s:
        try:
            column.call("set_beam_blanked", True)
            if column.call("get_beam_blanked"):
                return
        except Unreachable as error:
            logging.warning("cannot blank: %s", error)
        time.sleep(TRY_AGAIN_S)


def main() -> None:
    """Run as a process."""
    # A terminal sends these to the whole group; the relay must outlive the bridge.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    host, port, beam = sys.argv[1:]
    relay(Blanker(Path(beam)), Line((host, int(port)), TIMEOUT_S), sys.stdin.fileno())


if __name__ == "__main__":
    main()
