"""What of a twin's hidden errors images can tell, in the words of a calibration."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from digital_twin.misalignment import Misalignment
from hardware_bridge.calibration import Calibration

Array = NDArray[np.float64]


def truth(hidden: Misalignment, reference: str) -> dict[str, Array]:
    """True values by the names of ``Calibration``: matrices as (4,), others as (1,), on the scale of the reference."""
    angle = math.radians(-hidden.scan_rotation_deg)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    stage = turn @ np.reshape(hidden.stage_to_specimen, (2, 2))
    shift = turn @ np.reshape(hidden.beam_shift_to_specimen, (2, 2))
    # With the stage as reference, one nm^2 is what two unit moves of it span.
    scale = abs(float(np.linalg.det(stage))) ** -0.5 if reference == "stage" else 1.0
    values = {
        "pixel_size": hidden.pixel_size * scale,
        "pixel_size_ratio": 1.0,
        "scan_rotation_gain": 1.0,
        "backlash_x_nm": hidden.backlash_nm[0],
        "backlash_y_nm": hidden.backlash_nm[1],
        "defocus_gain": hidden.defocus_gain,
        "zero_loss_eV": hidden.zero_loss_eV,
    }
    matrices = {"stage_to_specimen": scale * stage.ravel(), "beam_shift_to_specimen": scale * shift.ravel()}
    return {**matrices, **{name: np.array([value]) for name, value in values.items()}}


def errors(found: Calibration, true: dict[str, Array]) -> dict[str, tuple[Array, Array]]:
    """Error and stated standard deviation of everything that was measured, by name; arrays as in ``truth``."""
    result = {}
    for name, value in true.items():
        measured = getattr(found, name)
        if measured is not None:
            result[name] = np.atleast_1d(measured.value) - value, np.atleast_1d(measured.sd)
    return result
