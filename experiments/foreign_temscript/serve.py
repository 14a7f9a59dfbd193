"""Serves a column behind temscript's REST interface: `python serve.py HOST PORT JOURNAL_FOLDER`."""

from __future__ import annotations

import argparse
from pathlib import Path

from experiments.foreign_temscript.driver import LONGEST_EXPOSURE_S, Column
from experiments.relay import relayed
from hardware_bridge.messages import Box, Limits, Range
from hardware_bridge.server import BEAM, Timing, serve

# An exposure cannot be cut short, so the time that is left for a silent agent is shorter than elsewhere.
TIMING = Timing(heartbeat_s=0.3)


def limits(stage_um: float) -> Limits:
    """What may be done: a square of ``stage_um`` to either side, small shifts, and what a null column's beam needs."""
    side_nm = 1e3 * stage_um
    field = Range(low=-side_nm, high=side_nm)
    shift = Range(low=-2000.0, high=2000.0)
    tilt = Range(low=-20.0, high=20.0)
    return Limits(
        ranges={
            "stage_x_nm": field,
            "stage_y_nm": field,
            "stage_z_nm": Range(low=-200e3, high=200e3),
            "tilt_alpha_deg": tilt,
            "tilt_beta_deg": tilt,
            "beam_shift_x_nm": shift,
            "beam_shift_y_nm": shift,
            "image_shift_x_nm": shift,
            "image_shift_y_nm": shift,
            "C10_nm": Range(low=-50e3, high=50e3),
            "fov_nm": Range(low=1.0, high=1e5),
            "pixels_x": Range(low=64, high=2048),
            "pixels_y": Range(low=64, high=2048),
            "dwell_s": Range(low=1e-3, high=LONGEST_EXPOSURE_S),
            "max_frames": Range(low=1, high=256),
        },
        max_step_nm=4.0 * side_nm,
        dose_map=Box(x=Range(low=-1.1 * side_nm, high=1.1 * side_nm), y=Range(low=-1.1 * side_nm, high=1.1 * side_nm)),
        dose_cell_nm=side_nm / 500.0,
        current_bound=1.08,
        max_electrons=1e13,
        max_fluence_e_per_A2=1e8,
        max_dose_rate_e_per_A2_s=1e8,
        max_detector_e_per_s={"HRTEM": 1e11},
    )


def main() -> None:
    """Connect, then serve until told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("journal", type=Path)
    parser.add_argument("--endpoint", default="tcp://127.0.0.1:0")
    parser.add_argument("--camera", default="CCD")
    parser.add_argument("--aperture-inserted", action="store_true", help="your word for it: temscript cannot read it")
    parser.add_argument("--stage-um", type=float, default=900.0, help="how far x and y may go from zero")
    asked = parser.parse_args()
    column = Column((asked.host, asked.port), asked.camera, asked.aperture_inserted)
    asked.journal.mkdir(parents=True, exist_ok=True)
    with relayed("experiments.foreign_temscript.relay", asked.host, str(asked.port), str(asked.journal / BEAM)):
        serve(column, limits(asked.stage_um), asked.endpoint, journal_folder=asked.journal, timing=TIMING)


if __name__ == "__main__":
    main()
