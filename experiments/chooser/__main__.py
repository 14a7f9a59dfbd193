"""`python -m experiments.chooser WORLD FIRST-LAST FILE`: practice beside whole runs, which FILE keeps."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from agent.evaluate import seeds_of
from experiments.chooser.agreement import practised, table, whole_runs


def main(arguments: Sequence[str]) -> None:
    """Play what is not there yet, and print the table."""
    if len(arguments) != 3:
        raise SystemExit("usage: python -m experiments.chooser WORLD FIRST-LAST FILE")
    world, seeds, kept = arguments[0], seeds_of(arguments[1]), Path(arguments[2])
    torch.set_num_threads(1)
    whole = whole_runs(world, seeds, kept)
    print(table(world, whole, practised(world, seeds), seeds))


if __name__ == "__main__":
    main(sys.argv[1:])
