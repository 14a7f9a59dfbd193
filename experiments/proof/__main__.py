"""Staring, raster, random, greedy and a clairvoyant in every world with a reader, tuned alike, on paired seeds.

    python -m experiments.proof tune [WORLD ...]       searches settings on tuning seeds, appends to tuned.jsonl
    python -m experiments.proof run [WORLD ...]        plays the test seeds, appends to WORLD.jsonl
    python -m experiments.proof table                  writes RESULT.md, pictures and comparison.html

Each step goes on where it was interrupted; --seeds plays some of the test seeds, --ray local uses all cores.
"""

from __future__ import annotations

from pathlib import Path

from agent.evaluate import seeds_of
from experiments.options import parser
from experiments.proof import study
from experiments.proof.table import table

HERE = Path(__file__).parent


def main() -> None:
    """Run one step of the study."""
    asked = parser("experiments.proof", __doc__)
    asked.add_argument("step", choices=["tune", "run", "table"])
    asked.add_argument("worlds", nargs="*", metavar="WORLD", help=f"of {', '.join(study.WORLDS)}; left out, all")
    asked.add_argument("--seeds", type=seeds_of, default=study.TEST_SEEDS, metavar="FIRST-LAST")
    asked.add_argument("--ray", metavar="local|ADDRESS", help="distribute the episodes with Ray")
    given = asked.parse_args()
    unknown = [world for world in given.worlds if world not in study.WORLDS]
    if unknown:
        asked.error(f"no world here is called {', '.join(unknown)}: choose from {', '.join(study.WORLDS)}")
    for world in given.worlds or study.WORLDS:
        if given.step == "tune":
            study.tune(world, HERE, given.ray)
        elif given.step == "run":
            study.run(world, HERE, given.seeds, given.ray)
    if given.step == "table":
        print(table(HERE))


if __name__ == "__main__":
    main()
