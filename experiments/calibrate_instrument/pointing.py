"""What a calibration is worth in a run: send the field to a place seen in an image, and see how far off it lies."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digital_twin.apparatus import Apparatus
from digital_twin.instrument import Twin
from digital_twin.misalignment import Misalignment
from digital_twin.specimen import Grid
from digital_twin.standard import Standard
from hardware_bridge.calibrated import Calibrated
from hardware_bridge.calibration import Calibration
from hardware_bridge.geometry import field_centre_nm, pixel_to_specimen
from hardware_bridge.guard import Guard
from hardware_bridge.messages import Acquire, Command, Go, Limits
from hardware_bridge.microscope import Microscope, execute
from policies.commands import aim

LOOK = Acquire(mode="HAADF", fov_nm=512.0, pixels_x=64, pixels_y=64, dwell_s=1e-6)
DIRECTIONS = 8
SILENCE_S = 10.0


@dataclass
class _Eye:
    """A twin and the scan it made last, in its true specimen frame; only an experiment may look there."""

    twin: Twin
    microscope: Microscope
    limits: Limits
    made: int = 0

    def look(self, go: Go) -> Grid:
        """Go there, look, and return where the scan really lay."""
        grids: list[Grid] = []
        scan = self.twin._scan

        def kept(acquire: Acquire, row_start_s: NDArray[np.float64], row_s: float) -> object:
            laid = scan(acquire, row_start_s, row_s)
            grids.append(laid.grid)
            return laid

        self.twin._scan = kept  # type: ignore[assignment, method-assign]
        self.made += 1
        execute(self.microscope, Command(id=f"look{self.made}", go=go, acquire=LOOK), SILENCE_S)
        self.twin._scan = scan  # type: ignore[method-assign]
        return grids[-1]


def misses_nm(
    seed: int, hidden: Misalignment, calibration: Calibration | None, limits: Limits, distance_nm: float
) -> NDArray[np.float64]:
    """How far the middle of the field lies from the place it was sent to, for ``DIRECTIONS`` places, in true nm.

    Each place is picked in an image by its pixel, ``distance_nm`` from the middle as the instrument states pixels, and
    reached by the one move that policies make, as was the place that it is seen from. Beam shifts are left out, so that
    the stage has to do it.
    """
    twin = Twin(Standard(seed), seed, apparatus=Apparatus(hidden=hidden))
    eye = _Eye(twin, Guard(twin if calibration is None else Calibrated(twin, calibration), limits), limits)
    ranges = {name: each for name, each in limits.ranges.items() if not name.startswith("beam_shift")}
    by_stage = Limits(**{**{f: getattr(limits, f) for f in limits.__struct_fields__}, "ranges": ranges})
    missed = []
    for n in range(DIRECTIONS):
        capabilities = eye.microscope.describe()
        grid = eye.look(aim((0.0, 0.0), eye.microscope.state(), capabilities, by_stage))
        state = eye.microscope.state()
        angle = 2 * math.pi * (n + 0.3) / DIRECTIONS
        away = distance_nm / (LOOK.fov_nm / LOOK.pixels_x)
        row, column = 31.5 + away * math.sin(angle), 31.5 + away * math.cos(angle)
        # What lies under this pixel, be it in the image or beyond its edge; drift until the move ends stays in.
        there = grid.origin_nm[31:33].mean(axis=0) + (row - 31.5) * grid.down_nm + column * grid.across_nm
        point = pixel_to_specimen(field_centre_nm(state.go, capabilities), LOOK, 0.0, (row, column))
        arrived = eye.look(aim(point, state, capabilities, by_stage)).corners().mean(axis=0)
        missed.append(math.dist(arrived, there))
    return np.array(missed)
