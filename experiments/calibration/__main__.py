"""z = (estimate - truth) / sd of every estimate over many scenes; writes RESULT.md.

python -m experiments.calibration              200 scenes, some minutes on one core
python -m experiments.calibration --seeds 20   a quick look, nothing is written
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from experiments.calibration.scenes import ESTIMATES, calibrate

MANY = 200
HEAD = """# Are the standard deviations honest?

z = (estimate - truth) / sd of what one percept says, over {n} scenes of the twin (seeds {first}-{last}), one z a scene.
Honest is a standard deviation of z of 0.8-1.2. The robust one is 1.4826 times the median absolute deviation, which a
few mix-ups do not move. Scenes: `scenes.py`; the bounds that tests hold: `tests/agent/perception/test_calibration.py`.

| estimate | scenes | mean | median | sd | robust sd | beyond 4 |
|---|---|---|---|---|---|---|
"""
NOTES = """
What lies outside 0.8-1.2, and why:

- *particle radius*, *particle x in its field*: the bulk is honest, a few in a hundred are not: particles that touch or
  lie on a strong gradient. Radii come out a third of an sd small, since the screened cross-section that perception
  starts from has copper brighter than the twin's by 18 %, and three images do not teach all of that.
- *blur*: a bulging window has no one blur; the middle of the field is compared with the mean over its particles.
- *drift*, *particle x, y*: sds are honest, the mean is not 0: the stage's backlash (12 nm after moves to one side) is
  taken as an error on either side.
- *defocus*: pairs of few particles are told by their blur, with caution.
"""


def main() -> None:
    """Calibrate and print the table; write it for the full number of scenes."""
    parser = argparse.ArgumentParser(prog="python -m experiments.calibration", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seeds", type=int, default=MANY, metavar="N", help=f"how many scenes (default {MANY})")
    given = parser.parse_args()
    seeds = range(100, 100 + given.seeds)
    z = calibrate(seeds)
    text = HEAD.format(n=len(seeds), first=seeds[0], last=seeds[-1])
    text += "".join(row(name, z[name]) for name in ESTIMATES)
    print(text)
    if given.seeds >= MANY:
        Path(__file__).with_name("RESULT.md").write_text(text + NOTES, encoding="utf-8")


def row(name: str, z: np.ndarray) -> str:
    """One line of the table."""
    robust = 1.4826 * float(np.median(np.abs(z - np.median(z))))
    beyond = float(np.mean(np.abs(z) > 4.0))
    return (
        f"| {name} | {z.size} | {z.mean():+.2f} | {np.median(z):+.2f} | {z.std():.2f} | {robust:.2f} | {beyond:.1%} |\n"
    )


if __name__ == "__main__":
    main()
