"""How well hidden instruments are measured; writes RESULT.md and a picture.

python -m experiments.calibrate_instrument              30 hidden twins, some minutes on one core
python -m experiments.calibrate_instrument --seeds 3    a quick look, nothing is written
python -m experiments.calibrate_instrument foreign      usim and de-twin (`make foreign`), two minutes; FOREIGN.md
                                                        and its part of RESULT.md
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from experiments.calibrate_instrument import foreign
from experiments.calibrate_instrument.picture import draw
from experiments.calibrate_instrument.study import DISTANCES_NM, Errors, Outcome, configured, measure

MANY, PICTURED = 30, 18
HERE = Path(__file__).parent
FOREIGN, RESULT = HERE / "FOREIGN.md", HERE / "RESULT.md"
HEAD = """# Is a hidden instrument found?

`adaptem calibrate instrument` on {n} twins (seeds {first}-{last}) with the standard specimen in them. Hidden, and drawn
anew for each: rotation, shear and scale of stage and beam shift, backlash of each axis (4-40 nm), scan rotation, pixel
size (4 %), sense and gain of C10, zero loss. Drift, creep and wandering focus are the twin's own. Error is measured
less true, z is error over the stated standard deviation; honest is a standard deviation of z of 0.8-1.2. Matrices hold
four elements an instrument. One calibration takes {images:.0f} images and spectra, {electrons:.1e} electrons and
{minutes:.0f} min of the instrument's time.

## Twin

| quantity (reference: the stage's encoder) | n | error, rms | stated sd, mean | z mean | z sd | largest z |
|---|---|---|---|---|---|---|
"""
NAMES = {
    "stage_to_specimen": "stage to specimen, nm/nm",
    "backlash_x_nm": "backlash x, nm",
    "backlash_y_nm": "backlash y, nm",
    "beam_shift_to_specimen": "beam shift to specimen, nm/nm",
    "pixel_size": "pixel size over stated",
    "pixel_size_ratio": "the same, half the field over the whole",
    "scan_rotation_gain": "scan rotation gain",
    "defocus_gain": "C10 gain, nm/nm",
    "zero_loss_eV": "zero loss, eV",
}


def main() -> None:
    """Measure, print the tables, and write them for the full number of instruments."""
    parser = argparse.ArgumentParser(prog="python -m experiments.calibrate_instrument", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", nargs="?", choices=("twins", "foreign"), default="twins")
    parser.add_argument("--seeds", type=int, default=MANY, metavar="N", help=f"how many (default {MANY})")
    given = parser.parse_args()
    if given.what == "foreign":
        abroad = foreign.page(foreign.usim(), foreign.detwin())
        print(abroad)
        FOREIGN.write_text(abroad, encoding="utf-8")
        RESULT.write_text(at_home(RESULT.read_text(encoding="utf-8")) + abroad, encoding="utf-8")
        return
    config = configured()
    outcomes = []
    for seed in range(1, 1 + given.seeds):
        outcomes.append(measure(config, seed))
        print(f"seed {seed} done", flush=True)
    text = report(outcomes)
    print(text)
    if given.seeds >= MANY:
        draw(outcomes[PICTURED - 1].evidence, HERE / "calibration.png")
        RESULT.write_text(text + FOREIGN.read_text(encoding="utf-8"), encoding="utf-8")


def at_home(result: str) -> str:
    """The part of the page that is about twins."""
    return result.partition(foreign.HEAD.splitlines()[1])[0].rstrip("\n") + "\n"


def report(outcomes: list[Outcome]) -> str:
    """Both tables as Markdown."""
    found = [outcome.evidence.calibration for outcome in outcomes]
    text = HEAD.format(
        n=len(outcomes),
        first=outcomes[0].seed,
        last=outcomes[-1].seed,
        images=np.mean([outcome.evidence.images for outcome in outcomes]),
        electrons=np.mean([each.electrons for each in found]),
        minutes=np.mean([each.duration_s for each in found]) / 60,
    )
    text += "".join(_row(name, [outcome.errors for outcome in outcomes], key) for key, name in NAMES.items())
    by_grating = {"pixel_size": "pixel size, by the grating", "stage_to_specimen": "stage to specimen, by the grating"}
    text += "".join(_row(name, [outcome.grating for outcome in outcomes], key) for key, name in by_grating.items())
    missing = sorted({f"{name}: {why}" for each in found for name, why in each.not_measured.items()})
    text += "\nNot measured: " + ("; ".join(missing) if missing else "nothing") + ".\n"
    text += NOTES + POINTING
    for distance_nm in DISTANCES_NM:
        plain, corrected = (np.concatenate([each.missed[distance_nm][k] for each in outcomes]) for k in (0, 1))
        text += (
            f"| {distance_nm:.0f} nm | {plain.mean():.1f} | {np.percentile(plain, 95):.1f} | {corrected.mean():.1f} "
            f"| {np.percentile(corrected, 95):.1f} |\n"
        )
    return text + PICTURE


NOTES = """
What lies outside 0.8-1.2, and why:

- *pixel size* (by stage and by grating), *half the field over the whole*: said with more caution than needed; the last
  is the mean of four with their scatter, which so few tell poorly.
- *scan rotation gain*: one instrument of thirty is 4.5 standard deviations off, by 0.2 %: the specimen moved within an
  image, which shears it.
"""
POINTING = """
## What it is worth

A place is picked in an image by its pixel, and the field is sent there with the one stage move that policies make; how
far the middle of the field then lies from it, in true nm (eight directions an instrument; some 3 nm of drift, and up to
8 nm of creep until the stage has settled, are in all of them).

| distance | without calibration, mean | 95 % of places within | with it, mean | 95 % within |
|---|---|---|---|---|
"""
PICTURE = """
![stage steps asked and seen, and contrast through focus](calibration.png)

*One of them: stage steps as asked for and as seen, and contrast through focus at three heights.*
"""


def _row(name: str, errors: list[Errors], key: str) -> str:
    seen = [each[key] for each in errors if key in each]
    if not seen:
        return f"| {name} | 0 | | | | | |\n"
    error, sd = (np.concatenate([each[k] for each in seen]) for k in (0, 1))
    z = error / sd
    return (
        f"| {name} | {len(seen)} | {np.sqrt(np.mean(error**2)):.2g} | {sd.mean():.2g} | {z.mean():+.2f} "
        f"| {z.std():.2f} | {np.abs(z).max():.1f} |\n"
    )


if __name__ == "__main__":
    main()
