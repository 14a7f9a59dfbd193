"""What was measured of an instrument's geometry, lens and spectrometer, and the file that keeps it.

Lengths need a reference. With ``stage`` it is the stage's own encoder: the area that two unit stage moves span is one
nm^2, and pixels are measured by it. With ``grating`` it is a known period seen in the image, and the stage is measured
by pixels. The specimen frame is turned so that image columns run along x at a scan rotation of zero; a constant error
of the scan rotation can therefore not be told from a turned stage, and need not be.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import msgspec

from hardware_bridge.messages import Matrix
from hardware_bridge.report import Estimate
from hardware_bridge.words import Name, NotNegative, Positive, Text, Word

MATTERS_SDS = 3.0


class MatrixEstimate(Word, frozen=True, kw_only=True):
    """A row-major 2x2 matrix and the standard deviation of each element."""

    value: Matrix
    sd: Matrix


class Calibration(Word, frozen=True, kw_only=True):
    """What was measured of one instrument; None where it was not, ``not_measured`` says why.

    ``stage_to_specimen`` and ``beam_shift_to_specimen`` are as in ``Capabilities``. ``pixel_size`` is that of a pixel
    over what the instrument states, at a stated width of ``fov_nm``; ``pixel_size_ratio`` is the same at half that
    width, over that. ``scan_rotation_gain`` is degrees that the scan turns per degree set, ``defocus_gain`` nm of C10
    per nm set, with the stage's height as reference and negative where the lens turns the other way. An axis that
    moved in negative direction stands its backlash further on than one that came from there. The zero loss lies at
    ``zero_loss_eV`` of the stated energy axis.
    """

    instrument: Name
    version: Name
    reference: Literal["stage", "grating"]
    fov_nm: Positive
    stage_to_specimen: MatrixEstimate | None = None
    beam_shift_to_specimen: MatrixEstimate | None = None
    pixel_size: Estimate | None = None
    pixel_size_ratio: Estimate | None = None
    scan_rotation_gain: Estimate | None = None
    backlash_x_nm: Estimate | None = None
    backlash_y_nm: Estimate | None = None
    defocus_gain: Estimate | None = None
    zero_loss_eV: Estimate | None = None
    not_measured: dict[Name, Text] = {}
    electrons: NotNegative = 0.0
    duration_s: NotNegative = 0.0

    @property
    def backlash_nm(self) -> float:
        """The larger backlash of the two axes, zero where neither stands out of its error: then it does not matter."""
        found = [axis for axis in (self.backlash_x_nm, self.backlash_y_nm) if axis is not None]
        return max((abs(axis.value) for axis in found if abs(axis.value) > MATTERS_SDS * axis.sd), default=0.0)


def rotation_deg(stage: MatrixEstimate) -> tuple[Estimate, bool]:
    """How far the stage's axes are turned against the image's, and whether they are mirrored (y turned over first).

    The rotation of the polar decomposition: that which is nearest to the matrix.
    """
    a, b, c, d = stage.value
    mirrored = a * d - b * c < 0.0
    if mirrored:
        b, d = -b, -d
    along, aside = a + d, c - b
    # Of atan2(aside, along): its slopes along the four elements.
    size2 = along**2 + aside**2
    slopes = (-aside / size2, -along / size2, along / size2, -aside / size2)
    sd = math.sqrt(sum((slope * error) ** 2 for slope, error in zip(slopes, stage.sd, strict=True)))
    return Estimate(value=math.degrees(math.atan2(aside, along)), sd=math.degrees(sd)), mirrored


def write_calibration(calibration: Calibration, path: Path) -> None:
    """Write a calibration as JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(calibration), indent=2) + b"\n")


def read_calibration(path: Path) -> Calibration:
    """Read a calibration from JSON.

    Raises:
        ValueError: naming the file and what is wrong in it.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Calibration)
    except OSError as error:
        raise ValueError(f"calibration = {path}: cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"calibration = {path}: not a calibration: {error}") from None
    for name in ("stage_to_specimen", "beam_shift_to_specimen"):
        matrix = getattr(found, name)
        if matrix is not None:
            a, b, c, d = matrix.value
            if a * d - b * c == 0.0:
                raise ValueError(f"calibration = {path}: {name} cannot be inverted")
    for name in ("pixel_size", "scan_rotation_gain", "defocus_gain"):
        gain = getattr(found, name)
        if gain is not None and (gain.value == 0.0 or (name == "pixel_size" and gain.value < 0.0)):
            raise ValueError(f"calibration = {path}: {name} = {gain.value:g} cannot be divided by")
    return found
