"""Carries the supervisor's line to a column: `python -m experiments.foreign_temscript.relay HOST PORT BEAM_FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

from experiments.foreign_temscript.rest import Line
from experiments.relay import carry
from hardware_bridge.errors import Unreachable

TIMEOUT_S = 2.0


def main() -> None:
    """Run as a process."""
    host, port, beam = sys.argv[1:]
    column = Line((host, int(port)), TIMEOUT_S)

    def blank() -> None:
        column.call("set_beam_blanked", True)
        if not column.call("get_beam_blanked"):
            raise Unreachable("the column reads back that the beam is on")

    carry(Path(beam), blank)


if __name__ == "__main__":
    main()
