"""Units and signs of temscript, converted here and nowhere else.

temscript speaks metres and radians. Its defocus grows towards overfocus, as C10 does: defocus_nm = -C10_nm is positive
underfocus.
"""

from __future__ import annotations

import math

from msgspec import convert

from hardware_bridge.messages import Go

NM_PER_M = 1e9
PA_PER_A = 1e12
STAGE_AXES = {
    "stage_x_nm": ("x", NM_PER_M),
    "stage_y_nm": ("y", NM_PER_M),
    "stage_z_nm": ("z", NM_PER_M),
    "tilt_alpha_deg": ("a", math.degrees(1.0)),
    "tilt_beta_deg": ("b", math.degrees(1.0)),
}
SHIFTS = ("beam_shift", "image_shift")


def stage_from(go: Go) -> dict[str, float]:
    """Stage axes in m and rad, of those that are asked for."""
    asked = ((getattr(go, name), axis, scale) for name, (axis, scale) in STAGE_AXES.items())
    return {axis: value / scale for value, axis, scale in asked if value is not None}


def go_from(stage: dict[str, float], beam_shift: list[float], image_shift: list[float]) -> Go:
    """Where the column is, from its stage (m, rad) and its shifts (m)."""
    place = {name: stage[axis] * scale for name, (axis, scale) in STAGE_AXES.items()}
    for name, (x, y) in zip(SHIFTS, (beam_shift, image_shift), strict=True):
        place |= {f"{name}_x_nm": x * NM_PER_M, f"{name}_y_nm": y * NM_PER_M}
    return convert({**place, "scan_rotation_deg": 0.0}, Go)


def shift_from(asked_nm: tuple[float | None, float | None], present_m: list[float]) -> list[float] | None:
    """A shift (x, y) in m; the part that is not asked for stays. None where nothing is asked for."""
    if asked_nm == (None, None):
        return None
    return [m if nm is None else nm / NM_PER_M for nm, m in zip(asked_nm, present_m, strict=True)]


def C10_nm_from(defocus_m: float) -> float:
    """C10 in nm from temscript's defocus in m: both grow towards overfocus."""
    return defocus_m * NM_PER_M


def defocus_m_from(C10_nm: float) -> float:
    """Defocus as temscript has it, in m, from C10 in nm."""
    return C10_nm / NM_PER_M


def pixel_nm(detector_pixel_um: float, magnification: float, binning: int) -> float:
    """Edge of an image pixel on the specimen, in nm."""
    return detector_pixel_um * 1e3 * binning / magnification
