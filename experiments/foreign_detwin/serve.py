"""Serves a microscope that runs already: `python -m experiments.foreign_detwin.serve SHEET JOURNAL_FOLDER`.

SHEET is a file with the line of JSON that ``microscope`` printed, to which what was measured may have been added:
``stage_to_specimen`` (row-major, 2 x 2) and ``pixel_scale``, true by nominal size of a pixel.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from experiments.foreign_detwin.camera import Camera
from experiments.foreign_detwin.column import Column
from experiments.foreign_detwin.driver import Sheet, Tem
from experiments.foreign_detwin.limits import limits
from experiments.relay import relayed
from hardware_bridge.server import BEAM, BLANKED_WITHIN_S, Timing, serve
from hardware_bridge.wall import TICK_S

HOST = "127.0.0.1"
POSITION_SD_NM = 150.0
LONGEST_BEAT_S, SHORTEST_BEAT_S, SPARE_S = 0.4, 0.15, 0.01


def heartbeat_s(blank_latency_s: float) -> float:
    """How long an agent may be silent: what is left of half a second by a column that blanks over a network.

    Where that is too little to be lived with, the server refuses to start.
    """
    left_s = BLANKED_WITHIN_S - TICK_S - SPARE_S - blank_latency_s
    return min(LONGEST_BEAT_S, max(SHORTEST_BEAT_S, left_s))


def main() -> None:
    """Connect, then serve until told to end, or until no client was heard for as long as asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("journal", type=Path)
    parser.add_argument("--endpoint", default="tcp://127.0.0.1:0")
    parser.add_argument("--linger", type=float, default=None, help="seconds without a client after which it ends")
    asked = parser.parse_args()
    told = json.loads(asked.sheet.read_text())
    a, b, c, d = told.get("stage_to_specimen", (1.0, 0.0, 0.0, 1.0))
    sheet = Sheet(told["beam_current_pA"], told["disc_nm"], POSITION_SD_NM, (a, b, c, d))
    instrument = Tem(Column(HOST, told["column"]), Camera(HOST, told["camera"], told.get("pixel_scale", 1.0)), sheet)
    asked.journal.mkdir(parents=True, exist_ok=True)
    with relayed("experiments.foreign_detwin.relay", str(told["column"]), str(asked.journal / BEAM)):
        timing = Timing(heartbeat_s(instrument.describe().blank_latency_s), linger_s=asked.linger)
        serve(instrument, limits(), asked.endpoint, journal_folder=asked.journal, timing=timing)


if __name__ == "__main__":
    main()
