"""Adaptive against staring, tuned raster, random, expert rule and clairvoyant, on paired seeds.

    python -m experiments.in_situ_growth tune      searches settings on training seeds, writes tuned.json
    python -m experiments.in_situ_growth run       plays the test seeds, appends to episodes.jsonl (resumes by itself)
    python -m experiments.in_situ_growth table     writes RESULT.md from both

Add `--ray local` to use all cores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from experiments.in_situ_growth import study
from experiments.in_situ_growth.table import table

HERE = Path(__file__).parent


def main() -> None:
    """Run one step of the study."""
    parser = argparse.ArgumentParser(prog="python -m experiments.in_situ_growth", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("step", choices=["tune", "run", "table"])
    parser.add_argument("--ray", metavar="local|ADDRESS", help="distribute the episodes with Ray")
    given = parser.parse_args()
    if given.step == "tune":
        study.tune(HERE, given.ray)
    elif given.step == "run":
        study.run(HERE, given.ray)
    else:
        print(table(HERE))


if __name__ == "__main__":
    main()
