"""The driver of a column behind temscript's REST interface: stage, shifts, defocus and one camera."""

from __future__ import annotations

import time
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from experiments.foreign_temscript import units
from experiments.foreign_temscript.camera import Camera
from experiments.foreign_temscript.rest import Line
from hardware_bridge.errors import Rejected, Unreachable
from hardware_bridge.frame_driver import FrameDriver
from hardware_bridge.messages import Acquire, Capabilities, Command, Holder, InstrumentState, Interlocks, Optics

TIMEOUT_S = 5.0
MOVE_S = 60.0
LONGEST_EXPOSURE_S = 0.1
BLANKS = 20


class Column(FrameDriver):
    """A column with one camera; two lines to it, so that a blank does not wait for a long answer."""

    dtype: Literal["float32"] = "float32"

    def __init__(self, address: tuple[str, int], camera: str, aperture_inserted: bool) -> None:
        """Read the beam current from the screen, blank, and measure how long blanking takes.

        ``aperture_inserted`` is the operator's word: temscript cannot read it.

        Raises:
            Unreachable: there is no such server.
            Rejected: the screen is up, so that the beam current cannot be read.
        """
        super().__init__()
        self._column = Line(address, TIMEOUT_S)
        self._blanking = Line(address, TIMEOUT_S)
        self._camera = Camera(self._column, camera)
        self._aperture_inserted = aperture_inserted
        screen = self._column.call("get_screen_position")
        if screen != "DOWN":
            raise Rejected("current", "screen_position", screen, "DOWN at the start: the beam current is read there")
        self._current_pA = self._column.call("get_screen_current") * units.PA_PER_A
        self._capabilities = self._describe(LONGEST_EXPOSURE_S + self._measure_blank_s())

    def describe(self) -> Capabilities:
        """Say what the column can do."""
        return self._capabilities

    def state(self) -> InstrumentState:
        """Read back the column."""
        ask = self._column.call
        vacuum = ask("get_vacuum")
        return InstrumentState(
            clock_s=self.clock_s(),
            go=units.go_from(ask("get_stage_position"), ask("get_beam_shift"), ask("get_image_shift")),
            optics=Optics(beam_current_pA=self._current_pA, C10_nm=units.C10_nm_from(ask("get_defocus"))),
            holder=Holder(),
            beam_blanked=ask("get_beam_blanked"),
            interlocks=Interlocks(
                vacuum_ok=vacuum["status"] == "READY",
                valves_open=vacuum["column_valves_open"],
                high_tension_on=ask("get_voltage") > 0.0,
                screen_up=ask("get_screen_position") == "UP",
                aperture_inserted=self._aperture_inserted,
                detectors_inserted=("HRTEM",),
            ),
        )

    def prepare(self, command: Command) -> None:
        """Refuse what cannot be done, and set the camera."""
        _check_possible(command)
        if command.acquire is not None:
            self._camera.set(command.acquire)

    def move(self, command: Command) -> None:
        """Move the stage, wait for it, then set shifts and defocus."""
        ask, go = self._column.call, command.go
        if stage := units.stage_from(go):
            ask("set_stage_position", stage)
            deadline_s = time.monotonic() + MOVE_S
            while ask("get_stage_status") != "READY":
                if time.monotonic() > deadline_s:
                    raise Unreachable(f"the stage is not ready {MOVE_S:g} s after it was sent to {stage}")
                time.sleep(0.05)
        for name in units.SHIFTS:
            asked = (getattr(go, f"{name}_x_nm"), getattr(go, f"{name}_y_nm"))
            if (shift := units.shift_from(asked, ask(f"get_{name}"))) is not None:
                ask(f"set_{name}", shift)
        if command.set.optics.C10_nm is not None:
            ask("set_defocus", units.defocus_m_from(command.set.optics.C10_nm))

    def expose(self, acquire: Acquire) -> NDArray[np.generic]:
        """Take one image, (H, W) float32."""
        return self._camera.expose()

    def beam(self, on: bool) -> None:
        """Let the beam through or blank it."""
        (self._column if on else self._blanking).call("set_beam_blanked", not on)

    def _measure_blank_s(self) -> float:
        """Seconds from asking for a blank to reading it back, the longest of several; leaves the beam blanked."""
        slowest_s = 0.0
        for _ in range(BLANKS):
            begun_s = time.monotonic()
            self._blanking.call("set_beam_blanked", True)
            if not self._blanking.call("get_beam_blanked"):
                raise Unreachable("the column was asked to blank and reads back that it has not")
            slowest_s = max(slowest_s, time.monotonic() - begun_s)
        return slowest_s

    def _describe(self, blank_latency_s: float) -> Capabilities:
        ask = self._column.call
        unused = 1.0  # a mode that this column does not offer would need it
        return Capabilities(
            name="temscript",
            version=ask("get_version"),
            time="real",
            beam_energy_keV=ask("get_voltage"),
            convergence_semi_angle_mrad=ask("get_convergence_angle") * 1e3,
            collection_semi_angle_mrad=unused,
            haadf_inner_mrad=unused,
            haadf_outer_mrad=unused,
            modes=("HRTEM",),
            holder_channels=(),
            probe_diameter_nm=ask("get_illuminated_area") * units.NM_PER_M,
            energy_offset_eV=0.0,
            energy_step_eV=unused,
            energy_channels=1,
            detector_fraction={"HRTEM": 1.0},
            stage_to_specimen=(1.0, 0.0, 0.0, 1.0),
            beam_shift_to_specimen=(1.0, 0.0, 0.0, 1.0),
            stage_speed_nm_per_s=1e5,
            decision_s=0.0,
            settle_s=0.0,
            flyback_s=0.0,
            frame_overhead_s=0.0,
            blank_latency_s=blank_latency_s,
        )


def _check_possible(command: Command) -> None:
    """Refuse what this column has no way to do, whatever the limits say."""
    groups = {"go": command.go, "set.optics": command.set.optics, "set.holder": command.set.holder}
    for prefix, group in groups.items():
        for name in group.__struct_fields__:
            value = getattr(group, name)
            possible = name in units.STAGE_AXES or name.startswith(units.SHIFTS) or name in ("C10_nm", "approach")
            if value is not None and not possible:
                raise Rejected("cannot", f"{prefix}.{name}", str(value), "it cannot be set here")
    if command.go.approach != "direct":
        raise Rejected("cannot", "go.approach", command.go.approach, "direct")
