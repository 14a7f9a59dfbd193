"""How few spectra find the best 1 % of a field, led by its image: deep kernel, and what it must beat, on paired seeds.

    python -m experiments.structure_property tune     searches settings on the tuning seeds
    python -m experiments.structure_property run      searches the sets of the test seeds
    python -m experiments.structure_property table    writes RESULT.md and its pictures from what there is

`tune` and `run` append to searches.jsonl and go on where they were interrupted; sets are made as they are needed and
kept in the folder --sets (half a minute each). Examples:

    python -m experiments.structure_property run --worlds valence --seeds 1000-1004
    python -m experiments.structure_property table
"""

from __future__ import annotations

from pathlib import Path

import torch

from agent.evaluate import seeds_of
from experiments import options
from experiments.structure_property import study, table
from experiments.structure_property.sets import SUBJECTS

HERE = Path(__file__).parent


def main() -> None:
    """Run one step of the study."""
    parser = options.parser("experiments.structure_property", __doc__)
    parser.add_argument("step", choices=["tune", "run", "table"])
    parser.add_argument("--worlds", default=",".join(SUBJECTS), help="comma-separated (default %(default)s)")
    parser.add_argument("--seeds", help="first-last of those of the step (default: all)")
    parser.add_argument("--sets", type=Path, default=Path("runs/structure_property"), help="folder of the sets")
    given = parser.parse_args()
    worlds = given.worlds.split(",")
    if unknown := sorted(set(worlds) - set(SUBJECTS)):
        parser.error(f"--worlds: {', '.join(unknown)}: choose from {', '.join(SUBJECTS)}")
    files = study.Files(given.sets, HERE / "searches.jsonl")
    if given.step == "table":
        print(table.write(files, HERE, (HERE / "LIMITS.md").read_text(encoding="utf-8")))
        return
    # Small arrays: more threads only get in each other's way.
    torch.set_num_threads(1)
    asked = study.tuning(worlds) if given.step == "tune" else study.testing(
        worlds, study.settings_found(files.done(), worlds)
    )  # fmt: skip
    some = set(seeds_of(given.seeds)) if given.seeds else {seed for _, seed, _, _ in asked}
    study.play(files, [one for one in asked if one[1] in some], lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
