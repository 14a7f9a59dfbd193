"""Carries the supervisor's line to the column: a process of its own, which outlives the bridge.

`python -m experiments.foreign_detwin.relay COLUMN_PORT BEAM_FILE`, with a pipe of the bridge as standard input, which
the system closes when the bridge dies.
"""

from __future__ import annotations

import logging
import select
import signal
import sys
import time
from pathlib import Path

from experiments.foreign_detwin.column import Column
from hardware_bridge.blanker import Blanker
from hardware_bridge.errors import Unreachable

HOST = "127.0.0.1"
PERIOD_S = 0.01
TRY_AGAIN_S = 0.1
GIVE_UP_S = 60.0


def relay(blanker: Blanker, column: Column, lifeline: int) -> None:
    """Blank the column whenever the supervisor pulls its line, and when the bridge at ``lifeline`` dies; then end."""
    is_told = False
    while not select.select([lifeline], [], [], PERIOD_S)[0]:
        if blanker.is_pulled and not is_told:
            blank(column)
        is_told = blanker.is_pulled
    blank(column)


def blank(column: Column) -> None:
    """Blank the column, and try again where it does not say so; a column silent for a minute is not there any more."""
    given_up_s = time.monotonic() + GIVE_UP_S
    while time.monotonic() < given_up_s:
        try:
            column.blank(True)
            return
        except Unreachable as error:
            logging.warning("cannot blank: %s", error)
        time.sleep(TRY_AGAIN_S)


def main() -> None:
    """Run as a process."""
    # A terminal sends these to the whole group; the relay must outlive the bridge.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    port, beam = sys.argv[1:]
    relay(Blanker(Path(beam)), Column(HOST, int(port)), sys.stdin.fileno())


if __name__ == "__main__":
    main()
