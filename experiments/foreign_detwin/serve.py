"""Serves a microscope that runs already: `python -m experiments.foreign_detwin.serve SHEET JOURNAL_FOLDER`.

SHEET is a file with the line of JSON that ``microscope`` printed, to which ``stage_to_specimen`` may have been added.
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
from hardware_bridge.messages import Box, Limits, Range
from hardware_bridge.server import BEAM, Timing, serve

HOST = "127.0.0.1"
POSITION_SD_NM = 150.0
STAGE = Range(low=-100e3, high=100e3)
# The column answers over a network and from a busy machine: the silence of an agent is given less time instead.
HEARTBEAT_S = 0.25


def limits() -> Limits:
    """What may be done: 0.1 mm to either side, and a pixel's share of electrons that no read-out saturates at."""
    charted = Range(low=-150e3, high=150e3)
    return Limits(
        ranges={
            "stage_x_nm": STAGE,
            "stage_y_nm": STAGE,
            "stage_z_nm": Range(low=-50e3, high=50e3),
            "tilt_alpha_deg": Range(low=-30.0, high=30.0),
            "tilt_beta_deg": Range(low=-20.0, high=20.0),
            "C10_nm": Range(low=-20e3, high=20e3),
            "C12_nm": Range(low=0.0, high=900.0),
            "phi12_rad": Range(low=-3.2, high=3.2),
            "temperature_K": Range(low=290.0, high=1270.0),
            "fov_nm": Range(low=1.0, high=1e4),
            "pixels_x": Range(low=256, high=1024),
            "pixels_y": Range(low=256, high=1024),
            "dwell_s": Range(low=0.05, high=10.0),
            "max_frames": Range(low=1, high=64),
        },
        z_loss_per_deg_nm=500.0,
        max_step_nm=300e3,
        dose_map=Box(x=charted, y=charted),
        dose_cell_nm=500.0,
        max_electrons=1e13,
        max_fluence_e_per_A2=1e5,
        max_dose_rate_e_per_A2_s=100.0,
        max_detector_e_per_s={"HRTEM": 200.0},
        on_loss={"temperature_K": "hold"},
    )


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
    instrument = Tem(Column(HOST, told["column"]), Camera(HOST, told["camera"]), sheet)
    asked.journal.mkdir(parents=True, exist_ok=True)
    relay = [sys.executable, "-m", "experiments.foreign_detwin.relay", str(told["column"]), str(asked.journal / BEAM)]
    with subprocess.Popen(relay, stdin=subprocess.PIPE):
        timing = Timing(heartbeat_s=HEARTBEAT_S, linger_s=asked.linger)
        serve(instrument, limits(), asked.endpoint, journal_folder=asked.journal, timing=timing)


if __name__ == "__main__":
    main()
