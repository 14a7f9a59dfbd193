"""The microscope: de-twin behind its own two network faces, as a process of its own that knows nothing of us.

`python -m experiments.foreign_detwin.microscope SEED` prints one line of JSON: the ports of its column and its camera,
and the two numbers that an operator reads from the screen, beam current and illuminated disc. The column is imperfect
as a real one is: its image is turned, its pixels are not quite what the magnification says, its stage has backlash,
and it is not in focus where the lens reads zero. Each "truth", "gold" or "beam" on standard input is answered with a
line of JSON that says how it really is: for whoever judges an experiment, never for the agent. When standard input
ends, so does it.
"""

from __future__ import annotations

import json
import logging
import random
import sys

import numpy as np
from de_twin import DigitalTwin
from de_twin.faces.deapi_server import TwinDeapiServer
from de_twin.faces.temchannel_soap import TemChannelServer
from de_twin.optics import OpticsConfig
from de_twin.optics.realism import ColumnRealism
from de_twin.specimen.materials import MaterialId
from scipy import ndimage

HOST = "127.0.0.1"
SPECIMEN = "Dense Au on holey C"
CAMERA = "Celeritas"
MAGNIFICATION = 40_000
FOCUS_LIES_WITHIN_UM = 1.0
LEAST_PIECE_NM = 6.0


def twin(seed: int) -> DigitalTwin:
    """The instrument, of which all that is not ideal comes from the seed."""
    # That the image turns and shrinks with defocus is left out: it is 0.01 degrees and 0.02 % a micrometre.
    column = ColumnRealism(seed=seed, hd_scale_per_um=0.0, hd_rotation_deg_per_um=0.0)
    offset_um = random.Random(seed).uniform(-FOCUS_LIES_WITHIN_UM, FOCUS_LIES_WITHIN_UM)
    optics = OpticsConfig(realism=column, defocus_offset_um=offset_um)
    made = DigitalTwin(SPECIMEN, camera=CAMERA, holder="sim-heating", seed=seed, optics_config=optics)
    made.column.set("Magnification", MAGNIFICATION)
    made.raw_frame()  # has the first start compile what images are made with
    made.column.set("BeamBlank", 1)
    return made


def beam(made: DigitalTwin) -> dict[str, float]:
    """Whether the beam is blanked at the column; told at once, whatever is being computed."""
    return {"is_blanked": float(made.column.get("BeamBlank"))}


def truth(made: DigitalTwin) -> dict[str, float]:
    """What the image is formed with, in our units; de-twin's sign of defocus is that of C10."""
    request = made.request()
    optics, column = made.optics(request), made.calibration_truth(request)
    astigmatism = optics.image_aberrations["A1"]
    return {
        "C10_nm": 1e3 * optics.defocus_um,
        "C12a_nm": astigmatism.real,
        "C12b_nm": astigmatism.imag,
        "C30_um": 1e3 * optics.cs_mm,
        "pixel_nm": column["true_pixel_nm"],
        "image_rotation_deg": column["image_rotation_deg"],
    }


def gold(made: DigitalTwin) -> dict[str, float]:
    """Share of the field that is gold, and in how many pieces of at least ``LEAST_PIECE_NM``."""
    optics = made.optics(made.request())
    mask = made.specimen.rasterize(optics.view).material_id == MaterialId.GOLD
    labels, _ = ndimage.label(mask)
    areas_nm2 = np.bincount(labels.ravel())[1:] * optics.specimen_pixel_nm**2
    return {"share": float(mask.mean()), "pieces": float((areas_nm2 >= LEAST_PIECE_NM**2).sum())}


def main() -> None:
    """Serve until standard input ends."""
    logging.disable(logging.WARNING)
    made = twin(int(sys.argv[1]))
    column = TemChannelServer(made.column, host=HOST, port=0).start()
    camera = TwinDeapiServer(made, host=HOST, port=0).start()
    optics = made.optics(made.request())
    about = {
        "column": column.port,
        "camera": camera.port,
        "beam_current_pA": optics.beam_current_pa,
        "disc_nm": 1e3 * optics.illuminated_diameter_um,
    }
    print(json.dumps(about), flush=True)
    answers = {"truth": truth, "gold": gold, "beam": beam}
    for line in sys.stdin:
        print(json.dumps(answers[line.strip()](made)), flush=True)
    camera.stop()
    column.stop()
    made.close()


if __name__ == "__main__":
    main()
