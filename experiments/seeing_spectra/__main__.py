"""How well spectra and diffraction patterns are read, beside what is usual, on the twin's worlds at three doses.

    python -m experiments.seeing_spectra train       learns what the worlds' spectra usually say, for the agent
    python -m experiments.seeing_spectra tune        searches the windows of the usual ways on the tuning seeds
    python -m experiments.seeing_spectra run         reads the data of the test seeds by both
    python -m experiments.seeing_spectra measured    reads the measured X-ray map of --data, and draws what it finds
    python -m experiments.seeing_spectra table       writes RESULT.md and its picture from what there is

`run` appends to scores.jsonl and goes on where it was interrupted. `tune` takes some ten minutes, `run` some twenty
seconds a seed. Examples:

    python -m experiments.seeing_spectra run --subjects "valence EELS" --seeds 1000-1004
    python -m experiments.seeing_spectra table
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import torch

from agent.evaluate import seeds_of
from experiments import options
from experiments.seeing_spectra import measured, study, table
from experiments.seeing_spectra.scenes import SUBJECTS
from experiments.seeing_spectra.study import ALL

HERE = Path(__file__).parent


def main() -> None:
    """Run one step of the study."""
    parser = options.parser("experiments.seeing_spectra", __doc__)
    parser.add_argument("step", choices=["train", "tune", "run", "measured", "table"])
    parser.add_argument("--subjects", default=",".join(ALL), help="comma-separated (default %(default)s)")
    parser.add_argument("--seeds", help="first-last of the test seeds (default: all)")
    parser.add_argument("--folder", type=Path, default=HERE, help="where tuned.json and scores.jsonl lie")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of measured data")
    given = parser.parse_args()
    names = given.subjects.split(",")
    if unknown := sorted(set(names) - set(ALL)):
        parser.error(f"--subjects: {', '.join(unknown)}: choose from {', '.join(ALL)}")
    # Small arrays: more threads only get in each other's way.
    torch.set_num_threads(1)
    if given.step == "table":
        print(table.write(given.folder, (HERE / "LIMITS.md").read_text(encoding="utf-8")))
    elif given.step == "measured":
        print(measured.found(given.data, given.folder / "measured.png"))
    elif given.step == "train":
        for name in set(names) & set(SUBJECTS):
            study.train(SUBJECTS[name])
    elif given.step == "tune":
        kept = [each for each in study.chosen(given.folder) if each.subject not in names]
        found = [each for name in names for each in study.tune(ALL[name], _say)]
        told = msgspec.json.format(msgspec.json.encode(kept + found), indent=1)
        (given.folder / "tuned.json").write_bytes(told + b"\n")
    else:
        seeds = seeds_of(given.seeds) if given.seeds else list(study.TESTING)
        study.play(given.folder, names, seeds, _say)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
