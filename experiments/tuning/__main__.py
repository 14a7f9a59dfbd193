"""How many images it takes to free a probe of its aberrations; writes RESULT.md and its pictures.

python -m experiments.tuning                                  all of it, hours on one core; goes on where it was
python -m experiments.tuning --parameters 3 --methods tuner   a part of it
python -m experiments.tuning --gpcam ~/gpcam/bin/python       gpCAM too, which is in an environment of its own
python -m experiments.tuning --seeds 0                        the page from what is there
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from experiments.tuning.benches import CONDITIONS
from experiments.tuning.page import report
from experiments.tuning.picture import draw
from experiments.tuning.study import SEEDS, Task, campaign, stored

HERE = Path(__file__).parent
RECORD = HERE / "tunings.jsonl"
METHODS = ("tuner", "qLogNEI", "gpCAM")


def main() -> None:
    """Do what is asked for and not there yet, then write the page."""
    parser = argparse.ArgumentParser(prog="python -m experiments.tuning", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seeds", type=int, default=len(SEEDS), metavar="N", help=f"how many (default {len(SEEDS)})")
    parser.add_argument("--parameters", type=int, nargs="+", choices=(3, 7), default=[3, 7])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS[:2]))
    parser.add_argument("--gpcam", type=Path, metavar="PYTHON", help="an interpreter that has gpCAM")
    given = parser.parse_args()
    torch.set_num_threads(1)
    methods = [*given.methods, "gpCAM"] if given.gpcam and "gpCAM" not in given.methods else given.methods
    tasks = [
        Task(method, parameters, condition)
        for parameters in given.parameters
        for method in methods
        for condition in (CONDITIONS if method == "tuner" else CONDITIONS[:1])
    ]
    for each in campaign(RECORD, tasks, SEEDS[: given.seeds], given.gpcam):
        print(f"{each.method}, {each.parameters} parameters, {each.condition}, seed {each.seed}: {each.images} images")
    done = stored(RECORD)
    text = report(done)
    print(text)
    (HERE / "RESULT.md").write_text(text, encoding="utf-8")
    draw(done, HERE / "images.png")


if __name__ == "__main__":
    main()
