"""A stage over a grating, and a camera: `python docs/tiny_microscope.py JOURNAL_FOLDER` serves it."""

import sys
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hardware_bridge import messages as words
from hardware_bridge.cost import ELECTRONS_PER_PA_S
from hardware_bridge.errors import Rejected
from hardware_bridge.frame_driver import FrameDriver
from hardware_bridge.geometry import merged
from hardware_bridge.server import serve

CURRENT_PA, PERIOD_NM, SIDE = 20.0, 40.0, 64
# fmt: off
CAN = words.Capabilities(
    name="tiny", version="1", time="real", beam_energy_keV=200.0, modes=("HRTEM",), holder_channels=(),
    convergence_semi_angle_mrad=1.0, collection_semi_angle_mrad=1.0, haadf_inner_mrad=1.0, haadf_outer_mrad=1.0,
    energy_offset_eV=0.0, energy_step_eV=1.0, energy_channels=1, probe_diameter_nm=200.0,
    detector_fraction={"HRTEM": 1e-3}, stage_to_specimen=(1.0, 0.0, 0.0, 1.0),
    beam_shift_to_specimen=(1.0, 0.0, 0.0, 1.0), stage_speed_nm_per_s=1e4, decision_s=0.0, settle_s=0.0,
    flyback_s=0.0, frame_overhead_s=0.0, blank_latency_s=0.001,
)
LOCKS = words.Interlocks(vacuum_ok=True, valves_open=True, high_tension_on=True, screen_up=True,
                         aperture_inserted=True, detectors_inserted=("HRTEM",))
STAGE, MAP = words.Range(low=-5000.0, high=5000.0), words.Range(low=-5200.0, high=5200.0)
LIMITS = words.Limits(
    ranges={"stage_x_nm": STAGE, "stage_y_nm": STAGE, "fov_nm": words.Range(low=50.0, high=200.0),
            "pixels_x": words.Range(low=SIDE, high=SIDE), "pixels_y": words.Range(low=SIDE, high=SIDE),
            "dwell_s": words.Range(low=0.001, high=0.05), "max_frames": words.Range(low=1, high=64)},
    max_step_nm=10_000.0, dose_map=words.Box(x=MAP, y=MAP), dose_cell_nm=50.0, max_electrons=1e12,
    max_fluence_e_per_A2=1e4, max_dose_rate_e_per_A2_s=1e4, max_detector_e_per_s={"HRTEM": 1e6},
)
# fmt: on


class Tiny(FrameDriver):
    """Six methods; what is simulated in them, a real driver asks of its instrument."""

    def __init__(self) -> None:
        super().__init__()
        self._go = words.Go(stage_x_nm=0.0, stage_y_nm=0.0)
        self._dark = threading.Event()
        self._dark.set()
        self._random = np.random.default_rng()

    def describe(self) -> words.Capabilities:
        """Say what it can do."""
        return CAN

    def state(self) -> words.InstrumentState:
        """Ask the instrument where everything is; never answer from memory."""
        return words.InstrumentState(
            clock_s=self.clock_s(),
            go=self._go,
            optics=words.Optics(beam_current_pA=CURRENT_PA),
            holder=words.Holder(),
            beam_blanked=self._dark.is_set(),
            interlocks=LOCKS,
        )

    def prepare(self, command: words.Command) -> None:
        """Refuse what the limits allow and this instrument still cannot do."""
        if command.go.approach != "direct":
            raise Rejected("cannot", "go.approach", command.go.approach, "direct")

    def move(self, command: words.Command) -> None:
        """Send the stage off, in its own units and signs, and wait until it is there."""
        self._go = merged(self._go, command.go)

    def expose(self, acquire: words.Acquire) -> NDArray[np.generic]:
        """Start the camera, wait for it, read it out."""
        self._dark.wait(acquire.dwell_s)
        x_nm = (self._go.stage_x_nm or 0.0) + acquire.fov_nm / SIDE * (np.arange(SIDE) + 0.5 - SIDE / 2)
        electrons = CURRENT_PA * acquire.dwell_s * ELECTRONS_PER_PA_S / SIDE**2
        bright = electrons * (1.0 + np.sin(2 * np.pi * x_nm / PERIOD_NM))
        return self._random.poisson(np.broadcast_to(bright, (SIDE, SIDE))).astype(np.uint16)

    def beam(self, on: bool) -> None:
        """Move the blanker, and wait until it has moved."""
        (self._dark.clear if on else self._dark.set)()


if __name__ == "__main__":
    serve(Tiny(), LIMITS, "tcp://127.0.0.1:0", journal_folder=Path(sys.argv[1]))
