"""Serves a detector: `python -m experiments.foreign_detectors.serve merlin|dectris DATA_PORT CONTROL_PORT JOURNAL`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from experiments.foreign_detectors.driver import Detector
from experiments.foreign_detectors.source import Source
from hardware_bridge.messages import Box, Limits, Range
from hardware_bridge.server import Timing, serve

TIMING = Timing(silence_s=5.0)
FOV_NM = 100.0
CURRENT_PA = 1.0


def limits(source: Source) -> Limits:
    """What may be asked: frames as the detector is set, and no more of them than a run has."""
    height, width = source.shape
    side = Range(low=-2 * FOV_NM, high=2 * FOV_NM)
    return Limits(
        ranges={
            "fov_nm": Range(low=FOV_NM, high=FOV_NM),
            "pixels_x": Range(low=width, high=width),
            "pixels_y": Range(low=height, high=height),
            "dwell_s": Range(low=source.dwell_s, high=source.dwell_s),
            "max_frames": Range(low=1, high=source.frames),
        },
        max_step_nm=1.0,
        dose_map=Box(x=side, y=side),
        dose_cell_nm=FOV_NM / 10.0,
        max_electrons=1e15,
        max_fluence_e_per_A2=1e9,
        max_dose_rate_e_per_A2_s=1e9,
        max_detector_e_per_s={"HRTEM": 1e9},
    )


def opened(name: str, data_port: int, control_port: int, frames: int, dwell_s: float) -> Source:
    """Connect to a detector; each vendor's receiver is loaded only where it is asked for."""
    if name == "merlin":
        from experiments.foreign_detectors.merlin import Merlin

        return Merlin(data_port, control_port, frames, dwell_s)
    from experiments.foreign_detectors.dectris import Dectris

    return Dectris(data_port, control_port, frames, dwell_s)


def main() -> None:
    """Connect, then serve until told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detector", choices=["merlin", "dectris"])
    parser.add_argument("data_port", type=int)
    parser.add_argument("control_port", type=int)
    parser.add_argument("journal", type=Path)
    parser.add_argument("--frames", type=int, required=True, help="of a run, as the detector is set")
    parser.add_argument("--dwell-s", type=float, required=True, help="exposure of a frame, as the detector is set")
    parser.add_argument("--endpoint", default="tcp://127.0.0.1:0")
    asked = parser.parse_args()
    source = opened(asked.detector, asked.data_port, asked.control_port, asked.frames, asked.dwell_s)
    detector = Detector(source, FOV_NM, CURRENT_PA)
    try:
        serve(detector, limits(source), asked.endpoint, journal_folder=asked.journal, timing=TIMING)
    finally:
        if not detector.close():
            os._exit(1)  # Python cannot end in order while a vendor's call never returns


if __name__ == "__main__":
    main()
