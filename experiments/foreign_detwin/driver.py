"""The driver: a TEM with one camera as a ``hardware_bridge.Microscope``.

The camera gates the beam, so that it is on the specimen during exposures alone; the column's blanker is opened around
each exposure besides. Between two read-outs a blank ends an exposure, and what was exposed of it is counted in full.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

from experiments.foreign_detwin.camera import FRAME_S, Camera
from experiments.foreign_detwin.column import APPROACH_NM, READ_BACK_TOLERANCE, Column, Reading
from hardware_bridge.cost import ELECTRONS_PER_PA_S
from hardware_bridge.errors import Rejected
from hardware_bridge.messages import (
    Acquire,
    Axis,
    Capabilities,
    ChunkHeader,
    Command,
    End,
    Holder,
    InstrumentState,
    Matrix,
    Optics,
    Start,
)
from hardware_bridge.microscope import gather_from_watch
from hardware_bridge.observation import Chunk, Observation, Part

ABLE = {
    "go": ("stage_x_nm", "stage_y_nm", "stage_z_nm", "tilt_alpha_deg", "tilt_beta_deg", "approach"),
    "set.optics": ("C10_nm", "C12_nm", "phi12_rad"),
    "set.holder": ("temperature_K",),
}
STAGE_SPEED_NM_PER_S = 1e5
ILLUMINATION_MRAD = 0.08
WAIT_S = 30.0
"""How much longer than its exposure an image may take: de-twin computes a new view in seconds."""

BLANKS = 20
DETECTORS_NOT_THERE = 1.0


@dataclass(frozen=True)
class Sheet:
    """What nobody can read back, told by the operator; ``stage_to_specimen`` is measured (row-major, 2 x 2).

    ``position_sd_nm`` is how well the stage's reading tells where the specimen is: half of its backlash.
    """

    beam_current_pA: float
    disc_nm: float
    position_sd_nm: float
    stage_to_specimen: Matrix


@dataclass
class _Running:
    """A command under way: what it has exposed so far, counted in frames."""

    command: Command
    before: InstrumentState
    exposed: float = 0.0
    chunks: int = 0


class Tem:
    """Implements ``hardware_bridge.Microscope``."""

    def __init__(self, column: Column, camera: Camera, sheet: Sheet) -> None:
        """Blank, and measure how long blanking takes while the camera exposes."""
        self._column, self._camera, self._sheet = column, camera, sheet
        self._lock = threading.Lock()
        self._abort = threading.Event()
        self._stopped = False
        self._running: _Running | None = None
        self._epoch = 0
        self._fixed = column.read().fixed
        self._capabilities = self._describe(self._measure_blank_s())

    def describe(self) -> Capabilities:
        """Say what it can do."""
        return self._capabilities

    def state(self) -> InstrumentState:
        """Read everything back; raises Unreachable."""
        return self._state_of(self._column.read())

    def submit(self, command: Command) -> None:
        """Accept a command; ``watch`` runs it.

        Raises:
            Rejected: after a stop, while another runs, or for what this instrument does not do.
        """
        if self._stopped:
            raise Rejected("stopped", "id", command.id, "no command after a stop until a new session")
        if self._running is not None:
            raise Rejected("busy", "id", command.id, f"command {self._running.command.id} is still running")
        _check_able(command)
        reading = self._column.read()
        if reading.fixed != self._fixed:
            changed = ", ".join(reading.fixed)
            raise Rejected("changed", "column", changed, f"{', '.join(self._fixed)}: lenses as they were at the start")
        if command.acquire is not None:
            self._camera.set(command.acquire)
        self._abort.clear()
        self._running = _Running(command, self._state_of(reading))

    def watch(self, timeout_s: float) -> Iterator[Part]:
        """Run the submitted command: move, set, then expose image by image, each one chunk.

        Raises:
            Rejected: no command was submitted, or the column refused a value.
            Unreachable: the column or the camera does not answer.
        """
        run = self._running
        if run is None:
            raise Rejected("idle", "watch", "no command", "a command must be submitted first")
        self._epoch += 1
        try:
            self._column.apply(run.command, self._abort.is_set)
            if run.command.set.holder.temperature_K is not None:
                self._camera.heat(run.command.set.holder.temperature_K)
            if run.command.acquire is not None:
                yield self._start(run.command.id, run.command.acquire)
                yield from self._expose(run, run.command.acquire)
        finally:
            self._running = None
            self._column.blank(True)
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
        with self._lock:
            self._column.blank(True)
        self._camera.stop()

    def stop(self) -> None:
        """Blank, abort and refuse every further command."""
        self._stopped = True
        self.blank()

    def _expose(self, run: _Running, acquire: Acquire) -> Iterator[Chunk]:
        for frame in range(acquire.max_frames):
            begun_s = time.monotonic()
            with self._lock:
                if self._abort.is_set():
                    return
                self._column.blank(False)
            run.exposed += 1.0
            image = self._camera.expose(acquire.dwell_s, self._abort.is_set, WAIT_S)
            # The supervisor has a line of its own: what was exposed in the dark is no image.
            was_cut = self._column.is_blanked()
            with self._lock:
                self._column.blank(True)
            if image is None or was_cut:
                return
            header = ChunkHeader(
                command_id=run.command.id,
                epoch=self._epoch,
                sequence=frame,
                frame=frame,
                row_start=0,
                rows=image.shape[0],
                start_s=begun_s,
                end_s=time.monotonic(),
            )
            run.chunks += 1
            yield Chunk(header, image)

    def _start(self, name: str, acquire: Acquire) -> Start:
        scale = acquire.fov_nm / acquire.pixels_x
        return Start(
            command_id=name,
            epoch=self._epoch,
            kind="frame",
            mode=acquire.mode,
            axes=tuple(Axis(name=axis, size=acquire.pixels_x, offset=0.0, scale=scale, unit="nm") for axis in "yx"),
            dtype="float32",
            frames=acquire.max_frames,
            start_s=time.monotonic(),
        )

    def _end(self, run: _Running) -> End:
        acquire, state = run.command.acquire, self.state()
        on_s = run.exposed * acquire.dwell_s if acquire is not None else 0.0
        is_cut = self._abort.is_set() or (acquire is not None and run.chunks < acquire.max_frames)
        return End(
            command_id=run.command.id,
            epoch=self._epoch,
            end_s=state.clock_s,
            electrons=self._sheet.beam_current_pA * on_s * ELECTRONS_PER_PA_S,
            beam_on_share=run.exposed / acquire.max_frames if acquire is not None else 0.0,
            aborted=is_cut,
            reason="blanked" if is_cut else "",
            chunks=run.chunks,
            state=state,
        )

    def _state_of(self, reading: Reading) -> InstrumentState:
        optics = reading.optics
        return InstrumentState(
            clock_s=time.monotonic(),
            go=reading.go,
            optics=Optics(
                beam_current_pA=self._sheet.beam_current_pA,
                C10_nm=optics.C10_nm,
                C12_nm=optics.C12_nm,
                phi12_rad=optics.phi12_rad,
                C30_um=optics.C30_um,
            ),
            holder=Holder(temperature_K=self._camera.temperature_K),
            beam_blanked=reading.is_blanked,
            interlocks=reading.interlocks,
            position_sd_nm=self._sheet.position_sd_nm,
        )

    def _measure_blank_s(self) -> float:
        """Seconds from asking for a blank to reading it back, the longest of several, while the camera reads out."""
        self._column.blank(True)
        busy = threading.Thread(target=self._camera.expose, args=(BLANKS * FRAME_S, lambda: False, WAIT_S))
        busy.start()
        slowest_s = 0.0
        for _ in range(BLANKS):
            begun_s = time.monotonic()
            self._column.blank(True)
            slowest_s = max(slowest_s, time.monotonic() - begun_s)
        busy.join()
        return slowest_s

    def _describe(self, blank_latency_s: float) -> Capabilities:
        pixel_share = self._camera.pixel_nm**2 / (0.785 * self._sheet.disc_nm**2)
        return Capabilities(
            name="de-twin",
            version=version("de-twin"),
            time="real",
            beam_energy_keV=self._column.read().beam_energy_keV,
            convergence_semi_angle_mrad=ILLUMINATION_MRAD,
            collection_semi_angle_mrad=DETECTORS_NOT_THERE,
            haadf_inner_mrad=DETECTORS_NOT_THERE,
            haadf_outer_mrad=DETECTORS_NOT_THERE,
            modes=("HRTEM",),
            holder_channels=("temperature_K",),
            probe_diameter_nm=self._sheet.disc_nm,
            energy_offset_eV=0.0,
            energy_step_eV=DETECTORS_NOT_THERE,
            energy_channels=1,
            detector_fraction={"HRTEM": pixel_share},
            stage_to_specimen=self._sheet.stage_to_specimen,
            beam_shift_to_specimen=(1.0, 0.0, 0.0, 1.0),
            overshoot_nm=APPROACH_NM,
            stage_speed_nm_per_s=STAGE_SPEED_NM_PER_S,
            decision_s=0.0,
            settle_s=0.0,
            flyback_s=0.0,
            frame_overhead_s=0.0,
            blank_latency_s=blank_latency_s,
            read_back_tolerance=READ_BACK_TOLERANCE,
            unresponsive={"HRTEM": ("temperature_K",)},
        )


def _check_able(command: Command) -> None:
    """Refuse what this instrument has no way to do, whatever the limits say."""
    for path, group in (("go", command.go), ("set.optics", command.set.optics), ("set.holder", command.set.holder)):
        for name in group.__struct_fields__:
            value = getattr(group, name)
            if value is not None and name not in ABLE[path]:
                raise Rejected("unable", f"{path}.{name}", f"{value:g}", "this instrument has no such setting")
