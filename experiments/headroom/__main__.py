"""Staring, raster, random and a clairvoyant in every world, with the same reader and reporter, on paired seeds.

    python -m experiments.headroom tune [WORLD ...]     searches settings on tuning seeds, appends to tuned.jsonl
    python -m experiments.headroom run [WORLD ...]      plays the test seeds, appends to episodes.jsonl
    python -m experiments.headroom table                writes RESULT.md from both, and the verdicts on the cards

Each step goes on where it was interrupted. What is not asked for by name is all worlds; two cores share the worlds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from agent import assemble
from envs.prior import CARDS
from experiments.headroom import study
from experiments.headroom.table import card_verdicts, table

HERE = Path(__file__).parent


def main() -> None:
    """Run one step of the study."""
    parser = argparse.ArgumentParser(prog="python -m experiments.headroom", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("step", choices=["tune", "run", "table"])
    parser.add_argument("worlds", nargs="*", metavar="WORLD", help=f"of {', '.join(assemble.worlds())}")
    given = parser.parse_args()
    unknown = sorted(set(given.worlds) - set(assemble.worlds()))
    if unknown:
        parser.error(f"{', '.join(unknown)}: choose from {', '.join(assemble.worlds())}")
    if given.step == "table":
        print(table(assemble.worlds(), HERE))
        card_verdicts(assemble.worlds(), HERE, CARDS)
    for world in (given.worlds or assemble.worlds()) if given.step != "table" else ():
        (study.tune if given.step == "tune" else study.run)(world, HERE)


if __name__ == "__main__":
    main()
