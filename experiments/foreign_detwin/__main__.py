"""Focus and survey on de-twin, a digital twin of a camera and its column that others wrote.

    python -m experiments.foreign_detwin [OUT]    writes RESULT.md and found.png here, the records to OUT

It takes some ten minutes, and needs `make foreign`.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.foreign import python_of
from experiments.foreign_detwin.picture import draw
from experiments.foreign_detwin.running import microscope
from experiments.foreign_detwin.study import (
    FIELDS,
    NOMINAL_FOV_NM,
    OVERLAP,
    Field,
    Focused,
    Measured,
    focus_all,
    measured,
    survey,
)
from experiments.options import record_folder
from hardware_bridge.client import Client

HERE = Path(__file__).parent
SEED = 3
TEXT = """# de-twin: focus and survey through the bridge

`python -m experiments.foreign_detwin`. A simulated 200 kV TEM (de-twin 0.3.0, seed {seed}): gold particles on holey
carbon, a Direct Electron camera with its noise, a stage with backlash, a turned image, pixels that are
not nominal and a lens whose zero is not focus. The bridge reaches it as it would a real one, over the network faces of
its column and its camera; guard, dose, journal, lease, supervisor, loop and recorder are the real ones.

**Stage and pixels.** Two nudges of the stage by 100 nm say that a pixel is {scale:.4f} of nominal and that the image is
turned by {turned:.2f} degrees; in truth {true_scale:.4f} and {true_turned:.2f}.

**Focus.** At each of {places} places the experiment sets C10 wrong. The agent takes three 1 s images through focus,
fits their Thon rings, goes where focus is and takes one more. Truth is what de-twin forms its images with, which the
agent never sees.

| true C10 before, nm | after, nm | claimed sd, nm | images | electrons | e/A^2 |
|---|---|---|---|---|---|
{rows}

Found at {found} of {places}; there C10 ends {rms:.1f} nm (rms) from Gaussian focus, at most {most:.1f} nm, and the
error over the claimed sd is {pull:.2f} (rms): the claim is cautious, since it grants the pixel half a percent. More
images than four mean that a place without film (a hole) was left for one beside it. Exposures that the bridge cut short
when this program's beats came late, on a busy machine, were taken again; their electrons are counted.

**Survey.** {grid} x {grid} fields with {overlap:.0f} % overlap, 0.5 s each, 300 nm under focus: {seen} of {all} were
seen, with {electrons:.2g} electrons in all. Laid down where the measured map says, they join without a seam (the edge
of the hole in the picture). Pieces of gold found, field by field: {pieces}, in truth {true_pieces}; the same number in
{alike} of {seen} fields. The share of a field that gold covers is right within {share:.4f} (rms), of {mean:.4f} in the
mean. A particle that lies across the border of two fields is told twice, as a piece of each.

![found](found.png)

What is easy here: the film is even, nothing drifts, there is no astigmatism to start with, and agent and de-twin take
the same amplitude contrast (7 %) and illumination angle. The rims of balls, a few nm thin, count as film. An exposure
is charged as long as it was asked for; de-twin needs up to seconds more to compute it.
"""


def main() -> None:
    """Run, compare with de-twin's own truth, and write the result."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = record_folder("experiments.foreign_detwin", __doc__, Path(scratch))
        with microscope(python_of("detwin"), SEED) as tem:
            with tem.served(folder / "nominal") as endpoint, Client(endpoint) as client:
                found = measured(client)
            told = {"stage_to_specimen": list(found.stage_to_specimen), "pixel_scale": found.pixel_scale}
            with tem.served(folder / "calibrated", **told) as endpoint, Client(endpoint) as client:
                fov_nm = NOMINAL_FOV_NM * found.pixel_scale
                focused = []
                for one in focus_all(client, tem, fov_nm, folder):
                    focused.append(one)
                    print(_row(one), flush=True)
                fields = list(survey(client, tem, fov_nm, folder))
            truth = tem.truth()
    worst = max((one for one in focused if one.is_found), key=lambda one: abs(one.start_nm))
    draw(worst, fields, fov_nm / worst.first.shape[0], HERE / "found.png")
    text = _result(found, truth, focused, fields)
    (HERE / "RESULT.md").write_text(text, encoding="utf-8")
    print(text)


def _row(one: Focused) -> str:
    sd = f"{one.sd_nm:.0f}" if one.is_found else "not found"
    cost = f"{one.images} | {one.electrons:.2g} | {one.fluence_e_per_A2:.0f}"
    return f"| {one.start_nm:+.0f} | {one.end_nm:+.1f} | {sd} | {cost} |"


def _result(found: Measured, truth: dict[str, float], focused: Sequence[Focused], fields: Sequence[Field]) -> str:
    ended = np.array([one.end_nm for one in focused if one.is_found])
    pull = ended / np.array([one.sd_nm for one in focused if one.is_found])
    share, true = (np.array([getattr(field, name) for field in fields]) for name in ("share", "true_share"))
    # The content moves with the stage and the axis against it, which is half a turn.
    turned_deg = 180.0 - math.degrees(math.atan2(found.stage_to_specimen[2], found.stage_to_specimen[0]))
    pieces = [len(field.percept.particles) for field in fields]
    true_pieces = [round(field.true_pieces) for field in fields]
    return TEXT.format(
        seed=SEED,
        turned=turned_deg % 360.0,
        true_turned=truth["image_rotation_deg"],
        scale=found.pixel_scale,
        true_scale=truth["pixel_nm"] * focused[0].first.shape[0] / NOMINAL_FOV_NM,
        rows="\n".join(_row(one) for one in focused),
        places=len(focused),
        found=len(ended),
        rms=_rms(ended),
        most=np.abs(ended).max(),
        pull=_rms(pull),
        grid=FIELDS,
        all=FIELDS**2,
        overlap=100.0 * OVERLAP,
        seen=len(fields),
        electrons=sum(field.electrons for field in fields),
        pieces=sum(pieces),
        true_pieces=sum(true_pieces),
        alike=sum(a == b for a, b in zip(pieces, true_pieces, strict=True)),
        share=_rms(share - true),
        mean=true.mean(),
    )


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt((values**2).mean()))


if __name__ == "__main__":
    main()
