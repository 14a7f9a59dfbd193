"""The twin as a Microscope: one specimen, one column, one clock. What the bridge serves and what training runs against.

In stepped time only commands pass time, so the same seed and commands give the same data to the last bit. In real
time the wall clock does, ``speed`` times as fast.
"""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections.abc import Callable, Generator, Iterator

import numpy as np
import torch
from msgspec.structs import replace
from torch import Tensor

from digital_twin.acquisition import Plan, axes_of, check_able, check_blur, dtype_of, kind_of
from digital_twin.apparatus import PLAIN, ZERO_GO, Apparatus
from digital_twin.column import capabilities
from digital_twin.drift import Drift, Stage
from digital_twin.exposure import DoseMap, Scan
from digital_twin.imaging import smeared
from digital_twin.misalignment import NONE
from digital_twin.optics import Aberrations, Array, aberrations_of, summed
from digital_twin.sensors import Sensors
from digital_twin.signals import Look, Signals
from digital_twin.specimen import Specimen
from digital_twin.tilted import slopes_of
from hardware_bridge.cost import ELECTRONS_PER_PA_S, move_s
from hardware_bridge.errors import Rejected
from hardware_bridge.geometry import field_centre_nm, merged
from hardware_bridge.messages import (
    SCANNED_MODES,
    Acquire,
    Capabilities,
    ChunkHeader,
    Command,
    End,
    Holder,
    InstrumentState,
    Interlocks,
    Mode,
    Start,
)
from hardware_bridge.microscope import gather_from_watch
from hardware_bridge.observation import Chunk, Observation, Part
from hardware_bridge.words import WordT

EXPOSURE_PARTS = 8
"""Moments of an exposure at which it is asked where the specimen is."""

MOST_DEFOCUS_NM, MOST_TILT_deg = 5000.0, 40.0


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What an instrument must know of its specimen before it can go on: what is expected in a mode of one look."""

    mode: Mode
    look: Look


@dataclasses.dataclass
class _Running:
    """A command under way and what it has done so far."""

    command: Command
    before: InstrumentState
    rows_done: int = 0
    electrons: float = 0.0
    chunks: int = 0
    reason: str = ""


class Twin:
    """A scanning transmission electron microscope with a specimen in it. Implements ``hardware_bridge.Microscope``.

    The specimen is a batch of one world. What is expected of it is computed on its device, noise is drawn on the host.
    ``on_beam`` is called with True and False as the beam goes on and off, from the thread that watches. ``speed`` None
    is stepped time.
    """

    def __init__(
        self,
        specimen: Specimen,
        seed: int,
        speed: float | None = None,
        on_beam: Callable[[bool], None] | None = None,
        apparatus: Apparatus = PLAIN,
    ) -> None:
        self.specimen = specimen
        self.column, hidden = apparatus.column, apparatus.hidden
        self.dose = DoseMap(specimen.extent_nm)
        self._seed = seed
        self._speed = speed
        self._on_beam = on_beam or (lambda on: None)
        self._signals = Signals(specimen, self.column, hidden.zero_loss_eV, apparatus.shortcuts)
        self._capabilities = capabilities(self.column, "stepped" if speed is None else "real", apparatus.label)
        self._hidden = hidden
        self._camera, self._readout = apparatus.camera, apparatus.readout
        self._beat_s, self._position_sd_nm = apparatus.beat_s, apparatus.conditions.position_sd_nm
        self._true = replace(
            self._capabilities,
            stage_to_specimen=hidden.stage_to_specimen,
            beam_shift_to_specimen=hidden.beam_shift_to_specimen,
        )
        conditions = apparatus.conditions
        self._drift = Drift(seed, conditions)
        self._stage = Stage(conditions, hidden.backlash_nm)
        self._clock_s = 0.0
        self._begun = time.monotonic()
        self._go, self._optics = ZERO_GO, apparatus.optics
        self._acquisitions = 0
        self._running: _Running | None = None
        self._abort = threading.Event()
        self._stopped = self._exposing = False
        self._set_holder(apparatus.holder)

    def describe(self) -> Capabilities:
        """Say what the instrument can do."""
        return self._capabilities

    def state(self) -> InstrumentState:
        """Read back where everything is."""
        self._catch_up()
        return InstrumentState(
            clock_s=self._clock_s,
            go=self._go,
            optics=self._optics,
            holder=self._holder,
            beam_blanked=not self._exposing,
            interlocks=Interlocks(
                vacuum_ok=True,
                valves_open=True,
                high_tension_on=True,
                screen_up=True,
                aperture_inserted=True,
                detectors_inserted=self._capabilities.modes,
            ),
            position_sd_nm=self._position_sd_nm,
        )

    def submit(self, command: Command) -> None:
        """Accept a command; ``watch`` runs it.

        Raises:
            Rejected: after a stop, while another command runs, or for what this instrument cannot do.
        """
        if self._stopped:
            raise Rejected("stopped", "id", command.id, "no command after a stop until a new session")
        if self._running is not None:
            raise Rejected("busy", "id", command.id, f"command {self._running.command.id} is still running")
        _check_able(command, self._capabilities)
        if command.acquire is not None:
            check_blur(command.acquire, _filled(self._optics, command.set.optics), self.column)
        self._abort.clear()
        self._running = _Running(command, self.state())

    def watch(self, timeout_s: float) -> Iterator[Part]:
        """Run the submitted command, yielding its parts as they come.

        Raises:
            Rejected: no command was submitted.
        """
        steps, seen = self.steps(), None
        while True:
            try:
                step = steps.send(seen)
            except StopIteration:
                return
            if isinstance(step, Wanted):
                seen = self._signals.expected(step.mode, step.look)[0]
            else:
                seen = None
                yield step

    def steps(self) -> Generator[Wanted | Part, Tensor | None]:
        """Run the submitted command; what is wanted is to be sent back, (H, W, ...), so that others can be asked too.

        Raises:
            Rejected: no command was submitted.
        """
        run = self._running
        if run is None:
            raise Rejected("idle", "watch", "no command", "a command must be submitted first")
        try:
            self._pass(self._capabilities.decision_s)
            self._move(run.command)
            self._wait_for_beat()
            if run.command.acquire is not None:
                yield from self._acquire(run, run.command.acquire)
        finally:
            # Also where the reader went away in mid scan: the instrument takes the next command.
            self._running = None
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
        self._beam(False)

    def stop(self) -> None:
        """Blank, abort and refuse every further command."""
        self._stopped = True
        self.blank()

    def _beam(self, on: bool) -> None:
        self._exposing = on
        self._on_beam(on)

    def _catch_up(self) -> None:
        if self._speed is not None and self._running is None:
            self._clock_s = max(self._clock_s, (time.monotonic() - self._begun) * self._speed)
            self.specimen.advance_to(self._clock_s)

    def _pass(self, seconds: float) -> None:
        self._clock_s += seconds
        if self._speed is not None:
            self._abort.wait(max(0.0, self._begun + self._clock_s / self._speed - time.monotonic()))
        self.specimen.advance_to(self._clock_s)

    def _wait_for_beat(self) -> None:
        if self._beat_s:
            beat = math.ceil(self._clock_s / self._beat_s - 1e-9)
            self._pass(beat * self._beat_s - self._clock_s)

    def _move(self, command: Command) -> None:
        self._pass(move_s(command, self._before(), self._capabilities))
        after = merged(self._go, command.go)
        target = np.array([after.stage_x_nm, after.stage_y_nm], dtype=np.float64)
        self._stage.move(target, self._clock_s, command.go.approach == "from_negative")
        self._go = after
        self._optics = _filled(self._optics, command.set.optics)
        self._set_holder(_filled(self._holder, command.set.holder))

    def _set_holder(self, holder: Holder) -> None:
        self._holder = holder
        self.specimen.set_holder(holder)
        self._drift.heat(holder.temperature_K, self._clock_s)

    def _before(self) -> InstrumentState:
        assert self._running is not None
        return self._running.before

    def _acquire(self, run: _Running, acquire: Acquire) -> Generator[Wanted | Part, Tensor | None]:
        self._acquisitions += 1
        yield self._start(run.command, acquire)
        for frame in range(acquire.max_frames):
            self._pass(self._capabilities.frame_overhead_s)
            yield from self._frame(run, acquire, frame)
            if run.reason:
                return

    def _frame(self, run: _Running, acquire: Acquire, frame: int) -> Generator[Wanted | Part, Tensor | None]:
        plan = Plan.of(acquire, self.column, self._capabilities.flyback_s)
        row_start_s = np.asarray(self._clock_s + plan.row_s * np.arange(acquire.pixels_y))
        if not plan.scanned:
            row_start_s += acquire.dwell_s / 2
        scan = self._scan(acquire, row_start_s, plan.row_s)
        current_pA = (
            0.0 if acquire.blanked else self._drift.current(self._clock_s) * (self._optics.beam_current_pA or 0.0)
        )
        expected = yield Wanted(acquire.mode, self._look(scan, row_start_s))
        assert expected is not None  # what is wanted is sent
        share = self._exposed(acquire, scan, row_start_s, expected)
        incident = current_pA * acquire.dwell_s * ELECTRONS_PER_PA_S * plan.pixel_share
        sensors = Sensors(self._camera, self._readout, acquire, (self._seed, self._acquisitions, frame))
        for top, rows, beam_s in plan.chunks():
            if self._abort.is_set():
                run.reason = "blanked"
                return
            begun = self._clock_s
            self._beam(not acquire.blanked)
            electrons = current_pA * beam_s * ELECTRONS_PER_PA_S
            box = scan.box_nm(top, rows) if plan.scanned else scan.disc_nm(self.column.lit_diameter_nm)
            self.dose.add(box, electrons)
            self.specimen.expose(0, box, electrons)
            self._pass(beam_s)
            numbers = sensors.record(incident * share[top : top + rows], top)
            self._beam(False)
            run.rows_done += rows
            run.electrons += electrons
            header = ChunkHeader(
                command_id=run.command.id,
                epoch=self._acquisitions,
                sequence=run.chunks,
                frame=frame,
                row_start=top,
                rows=rows,
                start_s=begun,
                end_s=self._clock_s,
                blanked=acquire.blanked,
            )
            run.chunks += 1
            yield Chunk(header, numbers)

    def _scan(self, acquire: Acquire, row_start_s: Array, row_s: float) -> Scan:
        centre = np.array(field_centre_nm(self._go, self._true))
        matrix = np.array(self._true.stage_to_specimen).reshape(2, 2)
        # What the stage and the specimen do by themselves carries the specimen away from under the beam.
        moved = (
            self._drift.rows_nm(float(row_start_s[0]), row_s, len(row_start_s))
            - self._stage.error_nm(row_start_s) @ matrix.T
        )
        wide = replace(acquire, fov_nm=self._hidden.pixel_size * acquire.fov_nm)
        return Scan.over(wide, centre, (self._go.scan_rotation_deg or 0.0) + self._hidden.scan_rotation_deg, moved)

    def _look(self, scan: Scan, row_start_s: Array) -> Look:
        lens_nm = self._hidden.defocus_gain * (self._optics.C10_nm or 0.0) + float(self._hidden.residual.C10_nm)
        C10_nm = lens_nm + (self._go.stage_z_nm or 0.0) + self._drift.C10_nm(self._clock_s)
        drifted = self._drift.aberrations(self._with_residual(aberrations_of(self._optics)), self._clock_s)
        moved_eV = self._drift.zero_loss_eV(row_start_s)
        return Look(
            grids=[scan.grid],
            aberrations=[dataclasses.replace(drifted, C10_nm=C10_nm)],
            zero_loss_eV=torch.from_numpy(moved_eV[None]) if moved_eV.any() else None,
            slopes=self._slopes(),
        )

    def _slopes(self) -> Tensor | None:
        """How a tilted specimen stands: its stage keeps what is under the unshifted beam at its height."""
        along_x, along_y = slopes_of(self._go.tilt_alpha_deg or 0.0, self._go.tilt_beta_deg or 0.0)
        if not (along_x or along_y):
            return None
        level = replace(self._go, beam_shift_x_nm=0.0, beam_shift_y_nm=0.0)
        x_nm, y_nm = field_centre_nm(level, self._true)
        return torch.tensor([[x_nm, y_nm, along_x, along_y]], dtype=torch.float64)

    def _with_residual(self, set_to: Aberrations) -> Aberrations:
        return set_to if self._hidden.residual == NONE else summed(set_to, self._hidden.residual)

    def _exposed(self, acquire: Acquire, scan: Scan, row_start_s: Array, expected: Tensor) -> Array:
        """What arrives at each pixel: what is expected, smeared by what moved while a broad beam exposed it."""
        if acquire.mode not in SCANNED_MODES:
            times_s = row_start_s[0] + acquire.dwell_s * ((np.arange(EXPOSURE_PARTS) + 0.5) / EXPOSURE_PARTS - 0.5)
            seen = self._drift.specimen_nm(times_s)
            axes = np.stack([scan.grid.across_nm, scan.grid.down_nm], axis=-1) / scan.grid.pixel_nm**2
            expected = smeared(expected, (seen - seen.mean(axis=0)) @ axes)
        return np.asarray(expected.cpu())

    def _start(self, command: Command, acquire: Acquire) -> Start:
        return Start(
            command_id=command.id,
            epoch=self._acquisitions,
            kind=kind_of(acquire.mode),
            mode=acquire.mode,
            axes=axes_of(acquire, self.column),
            dtype=dtype_of(acquire.mode),
            frames=acquire.max_frames,
            start_s=self._clock_s,
        )

    def _end(self, run: _Running) -> End:
        acquire = run.command.acquire
        rows = acquire.pixels_y * acquire.max_frames if acquire is not None else 0
        return End(
            command_id=run.command.id,
            epoch=self._acquisitions,
            end_s=self._clock_s,
            electrons=run.electrons,
            beam_on_share=run.rows_done / rows if rows else 0.0,
            aborted=bool(run.reason),
            reason=run.reason,
            chunks=run.chunks,
            state=self.state(),
        )


def _check_able(command: Command, capabilities: Capabilities) -> None:
    """Refuse what the instrument has no room for, and defocus beyond what the lenses reach."""
    if command.acquire is not None:
        check_able(command.acquire, capabilities)
    for path, value in (("set.optics.C10_nm", command.set.optics.C10_nm), ("go.stage_z_nm", command.go.stage_z_nm)):
        if value is not None and abs(value) > MOST_DEFOCUS_NM:
            raise Rejected("range", path, f"{value:g}", f"{-MOST_DEFOCUS_NM:g}..{MOST_DEFOCUS_NM:g}")
    for path, value in (
        ("go.tilt_alpha_deg", command.go.tilt_alpha_deg),
        ("go.tilt_beta_deg", command.go.tilt_beta_deg),
    ):
        if value is not None and abs(value) > MOST_TILT_deg:
            raise Rejected("range", path, f"{value:g}", f"{-MOST_TILT_deg:g}..{MOST_TILT_deg:g}")


def _filled(before: WordT, asked: WordT) -> WordT:
    """Settings after a command: what was asked for, and what was there where nothing was asked."""
    given = {name: value for name in asked.__struct_fields__ if (value := getattr(asked, name)) is not None}
    return replace(before, **given)
