"""Serves a microscope that runs already: `python -m experiments.foreign_detwin.serve SHEET JOURNAL_FOLDER`.

SHEET is a file with the line of JSON that ``microscope`` printed, to which what was measured may have been added:
``stage_to_specimen`` (row-major, 2 x 2) and ``pixel_scale``, true by nominal size of a pixel.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from experiments.foreign_detwin.camera import Camera
from experiments.foreign_detwin.column import Column
from experiments.foreign_detwin.driver import Sheet, Tem
from experiments.foreign_detwin.limits import limits
from hardware_bridge.server import BEAM, Timing, serve

HOST = "127.0.0.1"
POSITION_SD_NM = 150.0
# The column answers over a network and from a busy machine: the silence of an agent is given less time instead.
HEARTBEAT_S = 0.35


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
    relay = [sys.executable, "-m", "experiments.foreign_detwin.relay", str(told["column"]), str(asked.journal / BEAM)]
    with subprocess.Popen(relay, stdin=subprocess.PIPE):
        timing = Timing(heartbeat_s=HEARTBEAT_S, linger_s=asked.linger)
        serve(instrument, limits(), asked.endpoint, journal_folder=asked.journal, timing=timing)


if __name__ == "__main__":
    main()
