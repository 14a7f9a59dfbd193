# SPDX-License-Identifier: GPL-3.0-only
"""Serves Nion Swift's simulator: `python -m experiments.foreign_usim.serve CONFIG`, with that environment's Python.

The limits are those of the configuration. It says `ready ENDPOINT` once clients can connect.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import closing
from pathlib import Path

from agent.config import load
from experiments.foreign_usim.column import Column
from experiments.foreign_usim.driver import Usim
from hardware_bridge.server import Timing, serve


def main() -> None:
    """Switch the simulator on, serve it until told to end, and switch it off."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="a configuration; its limits hold")
    parser.add_argument("--endpoint", default="tcp://127.0.0.1:0")
    parser.add_argument("--journal", type=Path, help="folder of the journal; left out, it ends with the server")
    parser.add_argument("--linger", type=float, help="end so many seconds after the last client")
    parser.add_argument("--sample", type=int, default=0, help="0 flakes, 1 amorphous film, 2 gold balls on a film")
    parser.add_argument("--energy-step-eV", type=float, default=0.5, dest="energy_step_eV", help="of a channel")
    parser.add_argument("--seed", type=int, default=0, help="of its noise")
    asked = parser.parse_args()
    limits = load(asked.config).limits
    timing = Timing(linger_s=asked.linger)
    with (
        tempfile.TemporaryDirectory(prefix="usim-") as folder,
        closing(Column(Path(folder), asked.sample, asked.energy_step_eV, asked.seed)) as column,
    ):
        serve(Usim(column), limits, asked.endpoint, journal_folder=asked.journal, timing=timing)


if __name__ == "__main__":
    main()
