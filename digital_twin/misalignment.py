"""What the twin's instrument is really like where that differs from what it says of itself: hidden, to be measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from digital_twin.optics import Aberrations, Array
from hardware_bridge.messages import Matrix

ONE: Matrix = (1.0, 0.0, 0.0, 1.0)
NONE = Aberrations()

STAGE_TURN_DEG, STAGE_STRETCH = 4.0, 0.03
BEAM_TURN_DEG, BEAM_STRETCH = 8.0, 0.08
LEAN_DEG, SCAN_TURN_DEG = 1.0, 3.0
PIXEL_STRETCH, DEFOCUS_STRETCH = 0.04, 0.06
ZERO_LOSS_eV = 2.0
BACKLASH_NM = 4.0, 40.0
"""Of instruments that are drawn: sds, of logarithms where lengths stretch, and the range of the backlash.

Of the size of what others assume or accept: de-twin's ColumnRealism turns beam shifts by 5 deg, image shifts by 3 deg,
stretches both by 5 % and skews them by 2 % (1 deg), turns images by 2 deg and has pixels that are 2 % off; TESCAN
accepts 3 % (Expert PI). That set points of energy axes are 2 % off is not unusual: Y. Liao, globalsino.com,
EM/page4344. Backlash: around the 25 nm by which C. Xu's notes on SerialEM move back to clear it. That defocus may count
either way is a convention of makers; that it is set on a scale of its own is told on the list 3dem (27 October 2008).
That this is 6 % off, and the zero loss 2 eV, are assumptions: no source could be opened.
"""


@dataclass(frozen=True)
class Misalignment:
    """The true maps and gains behind what is set and read; the default is an instrument that is as it says.

    ``stage_to_specimen`` and ``beam_shift_to_specimen`` are row-major 2x2 matrices, as in ``Capabilities``. A stage
    axis that moved in negative direction stands ``backlash_nm`` (x, y) further on than it reads. The scan is turned by
    ``scan_rotation_deg`` more than is set, its pixels are ``pixel_size`` times as large as stated, and a set C10 acts
    ``defocus_gain`` times as strongly, the other way round where that is negative. The zero loss lies at
    ``zero_loss_eV`` of the stated energy axis. ``residual`` aberrations come on top of those that are set.

    Backlash, the only one that is not off, is as in ``Conditions``.
    """

    stage_to_specimen: Matrix = ONE
    beam_shift_to_specimen: Matrix = ONE
    backlash_nm: tuple[float, float] = (12.0, 12.0)
    scan_rotation_deg: float = 0.0
    pixel_size: float = 1.0
    defocus_gain: float = 1.0
    zero_loss_eV: float = 0.0
    residual: Aberrations = NONE

    @classmethod
    def drawn(cls, seed: int) -> Misalignment:
        """Draw an instrument calibrated long ago: degrees of rotation, percents of scale, any sign of defocus."""
        random = np.random.default_rng([seed, 6])
        return cls(
            stage_to_specimen=_matrix(random, STAGE_TURN_DEG, STAGE_STRETCH),
            beam_shift_to_specimen=_matrix(random, BEAM_TURN_DEG, BEAM_STRETCH),
            backlash_nm=(float(random.uniform(*BACKLASH_NM)), float(random.uniform(*BACKLASH_NM))),
            scan_rotation_deg=float(random.normal(0.0, SCAN_TURN_DEG)),
            pixel_size=math.exp(random.normal(0.0, PIXEL_STRETCH)),
            defocus_gain=float(random.choice([-1.0, 1.0])) * math.exp(random.normal(0.0, DEFOCUS_STRETCH)),
            zero_loss_eV=float(random.normal(0.0, ZERO_LOSS_eV)),
        )


def _matrix(random: np.random.Generator, turn_deg: float, stretch: float) -> Matrix:
    """Axes that are turned, stretched each by itself, and not quite at right angles."""
    turn, lean = np.radians(random.normal(0.0, [turn_deg, LEAN_DEG]))
    long, wide = np.exp(random.normal(0.0, stretch, 2))
    axes: Array = np.array(
        [
            [long * math.cos(turn), -wide * math.sin(turn + lean)],
            [long * math.sin(turn), wide * math.cos(turn + lean)],
        ]
    )
    a, b, c, d = axes.ravel().tolist()
    return a, b, c, d
