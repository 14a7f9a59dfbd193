"""What a twin's microscope is, and how it stands when it is switched on."""

from __future__ import annotations

from dataclasses import dataclass

from digital_twin.camera import Camera
from digital_twin.conditions import ROOM_K, Conditions
from digital_twin.detectors import Column
from digital_twin.drift import DEFAULT
from digital_twin.misalignment import Misalignment
from digital_twin.readout import IDEAL, Readout
from digital_twin.shortcuts import NONE, Shortcuts
from hardware_bridge.messages import Go, Holder, Optics

ZERO_GO = Go(
    stage_x_nm=0.0,
    stage_y_nm=0.0,
    stage_z_nm=0.0,
    tilt_alpha_deg=0.0,
    tilt_beta_deg=0.0,
    beam_shift_x_nm=0.0,
    beam_shift_y_nm=0.0,
    image_shift_x_nm=0.0,
    image_shift_y_nm=0.0,
    scan_rotation_deg=0.0,
)
START_OPTICS = Optics(
    beam_current_pA=50.0,
    C10_nm=0.0,
    C12_nm=4.0,
    phi12_rad=0.4,
    C21_nm=40.0,
    phi21_rad=1.1,
    C23_nm=40.0,
    phi23_rad=-0.5,
    C30_um=1200.0,
)
"""An uncorrected lens: Cs as de-twin has it, of 0.5 to 2 mm that are typical at 200 kV (Y. Liao, globalsino.com,
EM/page4235). How well it is aligned is an assumption, no source could be opened: in a probe of 10 mrad twofold
astigmatism stays below a quarter of a wave, lambda / (4 alpha^2) or 6 nm, coma and threefold astigmatism far below.
"""

PLAIN_COLUMN = Column()
ALIGNED = Misalignment()
CCD = Camera()
START_HOLDER = Holder(temperature_K=ROOM_K, bias_V=0.0, flow_nl_per_s=5.0)


@dataclass(frozen=True)
class Apparatus:
    """What a twin's microscope is: its column, and the holder's set points at the start.

    ``hidden`` is how it differs from what it says of itself, ``readout`` what its detectors make of electrons and
    ``camera`` what happens before that to those of broad-beam images and patterns, ``conditions`` what drifts and
    shakes by itself, ``optics`` what current and lenses are set to at the start. In stepped time the beam goes on at
    multiples of ``beat_s`` only, if it is above zero: then instruments that are given commands together stay on one
    clock. ``shortcuts`` is what is left out of the physics, ``label`` the name of the specimen that clients are told.
    """

    column: Column = PLAIN_COLUMN
    holder: Holder = START_HOLDER
    hidden: Misalignment = ALIGNED
    readout: Readout = IDEAL
    camera: Camera = CCD
    conditions: Conditions = DEFAULT
    optics: Optics = START_OPTICS
    beat_s: float = 0.0
    shortcuts: Shortcuts = NONE
    label: str | None = None


PLAIN = Apparatus()
