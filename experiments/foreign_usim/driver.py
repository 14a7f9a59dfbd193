# SPDX-License-Identifier: GPL-3.0-only
"""The driver of Nion Swift's simulator (usim): units and names are converted here and nowhere else.

What usim is and is not, so that nobody takes its answers for physics:

- its image counts the layers under each pixel, with Gaussian noise of 0.3 layers whatever the dwell; aberrations, beam
  current, blanker and dose change nothing in it (``Capabilities.unresponsive`` says so to the agent);
- spectra answer to beam current, exposure and the probe's place, not to aberrations, blanker or dose;
- stage and beam shift are exact and at once, there is no drift, no height and no tilt;
- time is the wall's. Scans come in real time, by rows, and can be cut short; a spectrum image is exposed point by
  point, each longer than its dwell, since the simulator takes some 40 ms for it. Nothing is charged for that: electrons
  are current times dwell times points.

The field moves with the beam shift and against the stage. What is seen lies up to a pixel up and left of where it is,
since usim rounds down; in rotated images up to two pixels.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from experiments.foreign_usim.column import Column
from hardware_bridge.cost import ELECTRONS_PER_PA_S
from hardware_bridge.errors import Rejected
from hardware_bridge.geometry import merged
from hardware_bridge.messages import (
    Acquire,
    Axis,
    Capabilities,
    ChunkHeader,
    Command,
    End,
    Go,
    Holder,
    InstrumentState,
    Interlocks,
    Mode,
    Optics,
    Start,
)
from hardware_bridge.microscope import gather_from_watch
from hardware_bridge.observation import Chunk, Observation, Part

NM, UM, PA = 1e9, 1e6, 1e12
"""How many of ours are one of usim's, which are m and A."""

MODES: tuple[Mode, ...] = ("HAADF", "EELS")
GO = ("stage_x_nm", "stage_y_nm", "beam_shift_x_nm", "beam_shift_y_nm", "scan_rotation_deg")
# Aberrations with a direction: by amplitude and angle here, by components there, and how often they repeat in a turn.
FOLDS = {"12": 2, "21": 1, "23": 3}
ABERRATIONS = ("C10_nm", *(name for n in FOLDS for name in (f"C{n}_nm", f"phi{n}_rad")), "C30_um")
# Readings are rounded to these: what 1e-9 makes of a number is no measurement.
DIGITS = 6
BLANKS = 20
EXPOSE_S = 0.05


@dataclass
class _Running:
    """A command under way and what it has done so far; ``dwells`` counts scan points."""

    command: Command
    before: InstrumentState
    chunks: int = 0
    dwells: int = 0
    heard_s: float = 0.0


class Usim:
    """Implements ``hardware_bridge.Microscope``."""

    def __init__(self, column: Column) -> None:
        self._column = column
        self._begun_s = time.monotonic()
        self._rotation_deg = 0.0
        self._epoch = 0
        self._abort = threading.Event()
        self._stopped = False
        self._running: _Running | None = None
        self._capabilities = _capabilities(column, max(self._time_blank_s() for _ in range(BLANKS)))

    def describe(self) -> Capabilities:
        """Say what it can do."""
        return self._capabilities

    def state(self) -> InstrumentState:
        """Read back all settings; what usim does not have reads zero."""
        stage, shift = (self._column.point(name) for name in ("stage_position_m", "beam_shift_m"))
        return InstrumentState(
            clock_s=self._clock_s(),
            go=Go(
                stage_x_nm=_ours(stage[0], NM),
                stage_y_nm=_ours(stage[1], NM),
                stage_z_nm=0.0,
                tilt_alpha_deg=0.0,
                tilt_beta_deg=0.0,
                beam_shift_x_nm=_ours(shift[0], NM),
                beam_shift_y_nm=_ours(shift[1], NM),
                image_shift_x_nm=0.0,
                image_shift_y_nm=0.0,
                scan_rotation_deg=self._rotation_deg,
            ),
            optics=self._optics(),
            holder=Holder(),
            beam_blanked=self._column.value("C_Blank") != 0.0,
            interlocks=Interlocks(
                vacuum_ok=True,
                valves_open=True,
                high_tension_on=self._column.value("EHT") > 0.0,
                screen_up=True,
                aperture_inserted=True,
                detectors_inserted=MODES,
            ),
        )

    def submit(self, command: Command) -> None:
        """Accept a command; ``watch`` runs it.

        Raises:
            Rejected: after a stop, while another command runs, or for what usim does not have.
        """
        if self._stopped:
            raise Rejected("stopped", "id", command.id, "no command after a stop until a new session")
        if self._running is not None:
            raise Rejected("busy", "id", command.id, f"command {self._running.command.id} is still running")
        _check_able(command)
        self._abort.clear()
        self._running = _Running(command, self.state())

    def watch(self, timeout_s: float) -> Iterator[Part]:
        """Run the submitted command, yielding its parts as they come.

        Raises:
            Rejected: no command was submitted.
            BridgeError: a control reads back something else than it was set to.
        """
        run = self._running
        if run is None:
            raise Rejected("idle", "watch", "no command", "a command must be submitted first")
        try:
            self._set(run.command)
            if run.command.acquire is not None:
                self._epoch += 1
                run.heard_s = self._clock_s()
                yield self._start(run.command.id, run.command.acquire)
                yield from self._acquire(run, run.command.acquire)
        finally:
            self._running = None
            self._column.set_value("C_Blank", 1.0)
        yield self._end(run)

    def gather(self, timeout_s: float) -> Observation:
        """Run the submitted command to its end and return its window.

        Raises:
            Rejected: no command was submitted.
        """
        if self._running is None:
            raise Rejected("idle", "gather", "no command", "a command must be submitted first")
        return gather_from_watch(self, self._running.command, self._running.before, timeout_s)

    def blank(self) -> None:
        """Blank the beam and end what is running."""
        self._abort.set()
        self._column.set_value("C_Blank", 1.0)
        self._column.cancel()

    def stop(self) -> None:
        """Blank, abort and refuse every further command."""
        self._stopped = True
        self.blank()

    def _clock_s(self) -> float:
        return time.monotonic() - self._begun_s

    def _time_blank_s(self) -> float:
        begun_s = time.perf_counter()
        self.blank()
        return time.perf_counter() - begun_s

    def _optics(self) -> Optics:
        column = self._column
        found = {
            "beam_current_pA": _ours(column.value("BeamCurrent"), PA),
            "C10_nm": _ours(column.value("C10"), NM),
            "C30_um": _ours(column.value("C30"), UM),
        }
        for n, fold in FOLDS.items():
            x, y = column.point(f"C{n}")
            found[f"C{n}_nm"] = _ours(math.hypot(x, y), NM)
            found[f"phi{n}_rad"] = math.atan2(y, x) / fold
        return Optics(**found)

    def _set(self, command: Command) -> None:
        """Set what is asked for; each control is read back."""
        column, now = self._column, self.state()
        go, optics = merged(now.go, command.go), command.set.optics
        column.set_point("stage_position_m", ((go.stage_x_nm or 0.0) / NM, (go.stage_y_nm or 0.0) / NM))
        column.set_point("beam_shift_m", ((go.beam_shift_x_nm or 0.0) / NM, (go.beam_shift_y_nm or 0.0) / NM))
        self._rotation_deg = go.scan_rotation_deg or 0.0
        for name, control, unit in (
            ("beam_current_pA", "BeamCurrent", PA),
            ("C10_nm", "C10", NM),
            ("C30_um", "C30", UM),
        ):
            if (value := getattr(optics, name)) is not None:
                column.set_value(control, value / unit)
        wanted = {name: getattr(now.optics, name) for name in ABERRATIONS}
        wanted |= {name: value for name in wanted if (value := getattr(optics, name)) is not None}
        for n, fold in FOLDS.items():
            size, angle = wanted[f"C{n}_nm"] / NM, fold * wanted[f"phi{n}_rad"]
            column.set_point(f"C{n}", (size * math.cos(angle), size * math.sin(angle)))

    def _acquire(self, run: _Running, acquire: Acquire) -> Iterator[Chunk]:
        if not self._unblank():
            return
        for frame in range(acquire.max_frames):
            top = 0
            for rows in self._rows(acquire):
                # What a cancelled scan still gives is zeros.
                if self._abort.is_set():
                    return
                yield self._chunk(run, frame, top, rows)
                top += len(rows)

    def _unblank(self) -> bool:
        self._column.set_value("C_Blank", 0.0)
        if self._abort.is_set():
            self._column.set_value("C_Blank", 1.0)
        return not self._abort.is_set()

    def _rows(self, acquire: Acquire) -> Iterator[NDArray[np.float32]]:
        """Rows of one frame as they come: (n, W), or (1, W, E) of spectra."""
        angle = math.radians(self._rotation_deg)
        if acquire.mode == "HAADF":
            yield from self._column.scan((acquire.pixels_y, acquire.pixels_x), acquire.fov_nm, acquire.dwell_s, angle)
            return
        pixel_nm = acquire.fov_nm / acquire.pixels_x
        # The probe can be parked within a square only, and a field that is rotated has its corners farther out.
        context_nm = 2.0 * pixel_nm * max(acquire.pixels_x, acquire.pixels_y)
        for row in range(acquire.pixels_y):
            spectra = np.zeros((1, acquire.pixels_x, self._capabilities.energy_channels), dtype=np.float32)
            for column in range(acquire.pixels_x):
                if self._abort.is_set():
                    return
                x = (column + 0.5 - acquire.pixels_x / 2) * pixel_nm
                y = (row + 0.5 - acquire.pixels_y / 2) * pixel_nm
                turned = math.cos(angle) * x - math.sin(angle) * y, math.sin(angle) * x + math.cos(angle) * y
                spectra[0, column] = self._column.spectrum(turned, context_nm, acquire.dwell_s)
            yield spectra

    def _chunk(self, run: _Running, frame: int, top: int, rows: NDArray[np.float32]) -> Chunk:
        begun_s, run.heard_s = run.heard_s, self._clock_s()
        header = ChunkHeader(
            command_id=run.command.id,
            epoch=self._epoch,
            sequence=run.chunks,
            frame=frame,
            row_start=top,
            rows=rows.shape[0],
            start_s=begun_s,
            end_s=run.heard_s,
        )
        run.chunks += 1
        run.dwells += rows.shape[0] * rows.shape[1]
        return Chunk(header, rows)

    def _start(self, name: str, acquire: Acquire) -> Start:
        pixel_nm = acquire.fov_nm / acquire.pixels_x
        axes = [
            Axis(name="y", size=acquire.pixels_y, offset=0.0, scale=pixel_nm, unit="nm"),
            Axis(name="x", size=acquire.pixels_x, offset=0.0, scale=pixel_nm, unit="nm"),
        ]
        able = self._capabilities
        if acquire.mode == "EELS":
            offset, scale, size = able.energy_offset_eV, able.energy_step_eV, able.energy_channels
            axes.append(Axis(name="energy_loss", size=size, offset=offset, scale=scale, unit="eV"))
        return Start(
            command_id=name,
            epoch=self._epoch,
            kind="spectrum" if acquire.mode == "EELS" else "frame",
            mode=acquire.mode,
            axes=tuple(axes),
            dtype="float32",
            frames=acquire.max_frames,
            start_s=self._clock_s(),
        )

    def _end(self, run: _Running) -> End:
        acquire, state = run.command.acquire, self.state()
        wanted = acquire.pixels_x * acquire.pixels_y * acquire.max_frames if acquire is not None else 0
        dwell_s = acquire.dwell_s if acquire is not None else 0.0
        return End(
            command_id=run.command.id,
            epoch=self._epoch,
            end_s=state.clock_s,
            electrons=(state.optics.beam_current_pA or 0.0) * run.dwells * dwell_s * ELECTRONS_PER_PA_S,
            beam_on_share=run.dwells / wanted if wanted else 0.0,
            aborted=run.dwells < wanted,
            reason="blanked" if run.dwells < wanted else "",
            chunks=run.chunks,
            state=state,
        )


def _ours(value: float, unit: float) -> float:
    return round(value * unit, DIGITS)


def _check_able(command: Command) -> None:
    """Refuse what usim does not have: it would be ignored silently."""
    for path, group, able in (
        ("go", command.go, (*GO, "approach")),
        ("set.optics", command.set.optics, ("beam_current_pA", *ABERRATIONS)),
        ("set.holder", command.set.holder, ()),
    ):
        for name in group.__struct_fields__:
            value = getattr(group, name)
            if value is not None and name not in able:
                raise Rejected("unable", f"{path}.{name}", f"{value:g}", "this instrument has no such setting")


def _capabilities(column: Column, blank_latency_s: float) -> Capabilities:
    """What usim can do; annulus, collection angle and probe size are nominal, since it has none."""
    return Capabilities(
        name="nion-usim",
        version=version("nionswift-usim"),
        time="real",
        beam_energy_keV=column.value("EHT") / 1e3,
        convergence_semi_angle_mrad=1e3 * column.value("ConvergenceAngle"),
        collection_semi_angle_mrad=50.0,
        haadf_inner_mrad=80.0,
        haadf_outer_mrad=200.0,
        modes=MODES,
        holder_channels=(),
        probe_diameter_nm=0.1,
        energy_offset_eV=column.energy_offset_eV,
        energy_step_eV=column.energy_step_eV,
        energy_channels=column.energy_channels,
        # A spectrum is spread over the rows of a camera of 256; an annulus takes no more than a tenth of the beam.
        detector_fraction={"HAADF": 0.1, "EELS": 1.0 / 256.0},
        stage_to_specimen=(-1.0, 0.0, 0.0, -1.0),
        beam_shift_to_specimen=(1.0, 0.0, 0.0, 1.0),
        stage_speed_nm_per_s=1e9,
        decision_s=0.0,
        settle_s=0.0,
        flyback_s=0.0,
        frame_overhead_s=EXPOSE_S,
        blank_latency_s=blank_latency_s,
        unresponsive={"HAADF": ("beam_current_pA", *ABERRATIONS), "EELS": ABERRATIONS},
    )
