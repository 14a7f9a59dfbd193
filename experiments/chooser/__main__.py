"""Practice beside whole runs: do choosers rank alike where no image is made and where all of them are?

    python -m experiments.chooser growth 1000-1009 experiments/chooser/agreement.jsonl

plays the whole runs that FILE does not keep yet, and prints the table.
"""

from __future__ import annotations

from pathlib import Path

import torch

from agent.evaluate import seeds_of
from experiments.chooser.agreement import practised, table, whole_runs
from experiments.options import parser


def main() -> None:
    """Play what is not there yet, and print the table."""
    asked = parser("experiments.chooser", __doc__)
    asked.add_argument("world", metavar="WORLD")
    asked.add_argument("seeds", type=seeds_of, metavar="FIRST-LAST")
    asked.add_argument("kept", type=Path, metavar="FILE", help="JSON lines of whole runs; added to")
    given = asked.parse_args()
    torch.set_num_threads(1)
    whole = whole_runs(given.world, given.seeds, given.kept)
    print(table(given.world, whole, practised(given.world, given.seeds), given.seeds))


if __name__ == "__main__":
    main()
