"""A calibration as a table: each quantity with its unit, its error, and what the instrument had said."""

from __future__ import annotations

import math

from hardware_bridge.calibration import Calibration, MatrixEstimate, rotation_deg
from hardware_bridge.messages import Capabilities, Matrix
from hardware_bridge.report import Estimate

Row = tuple[str, str, str, str]
ELEMENTS = ("xx", "xy", "yx", "yy")


def table(calibration: Calibration, stated: Capabilities) -> str:
    """The whole calibration as text, one quantity a line, and what could not be measured."""
    rows: list[Row] = [("quantity", "measured", "unit", "stated")]
    rows += _matrix("stage to specimen", calibration.stage_to_specimen, stated.stage_to_specimen)
    if calibration.stage_to_specimen is not None:
        turn, mirrored = rotation_deg(calibration.stage_to_specimen)
        rows.append(("stage against image" + (", mirrored" if mirrored else ""), _spoken(turn), "deg", ""))
    rows += _matrix("beam shift to specimen", calibration.beam_shift_to_specimen, stated.beam_shift_to_specimen)
    for name, found, unit, said in (
        ("pixel size over stated", calibration.pixel_size, "", "1"),
        ("the same, half the field over the whole", calibration.pixel_size_ratio, "", "1"),
        ("scan rotation gain", calibration.scan_rotation_gain, "deg/deg", "1"),
        ("backlash x", calibration.backlash_x_nm, "nm", f"{stated.backlash_nm:g}"),
        ("backlash y", calibration.backlash_y_nm, "nm", f"{stated.backlash_nm:g}"),
        ("defocus (C10) gain", calibration.defocus_gain, "nm/nm", "1"),
        ("zero loss on the energy axis", calibration.zero_loss_eV, "eV", "0"),
    ):
        if found is not None:
            rows.append((name, _spoken(found), unit, said))
    wide = [max(len(row[k]) for row in rows) for k in range(4)]
    lines = ["  ".join(cell.ljust(size) for cell, size in zip(row, wide, strict=True)).rstrip() for row in rows]
    lines.insert(1, "-" * len(lines[0]))
    for name, why in calibration.not_measured.items():
        lines.append(f"not measured: {name}: {why}")
    reference = {
        "stage": "the stage's encoder: one nm^2 is what two unit moves of it span",
        "grating": "the given period of the grating",
    }[calibration.reference]
    lines.append(f"reference of length: {reference}; of defocus: the stage's height")
    lines.append(f"spent: {calibration.electrons:.3g} electrons, {calibration.duration_s:.0f} s")
    return "\n".join(lines)


def _matrix(name: str, found: MatrixEstimate | None, stated: Matrix) -> list[Row]:
    if found is None:
        return []
    return [
        (f"{name} {element}", _spoken(Estimate(value=value, sd=sd)), "nm/nm", f"{said:g}")
        for element, value, sd, said in zip(ELEMENTS, found.value, found.sd, stated, strict=True)
    ]


def _spoken(found: Estimate) -> str:
    """A number to the second digit of its error."""
    digits = 1 - math.floor(math.log10(found.sd)) if found.sd > 0 else 6
    return f"{found.value:+.{max(digits, 0)}f} +- {found.sd:.{max(digits, 0)}f}"
