"""Carries the supervisor's line to the column: `python -m experiments.foreign_detwin.relay COLUMN_PORT BEAM_FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

from experiments.foreign_detwin.column import Column
from experiments.relay import carry

HOST = "127.0.0.1"


def main() -> None:
    """Run as a process."""
    port, beam = sys.argv[1:]
    column = Column(HOST, int(port))
    carry(Path(beam), lambda: column.blank(True))


if __name__ == "__main__":
    main()
