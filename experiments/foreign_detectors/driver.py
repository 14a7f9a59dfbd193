"""The driver of a detector that has no column: frames of one run at most, counted by the detector's own numbers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from experiments.foreign_detectors.counting import Frames
from experiments.foreign_detectors.reading import SLICE_S, Reading
from experiments.foreign_detectors.source import Source
from hardware_bridge.cost import ELECTRONS_PER_PA_S
from hardware_bridge.errors import Rejected, Unreachable
from hardware_bridge.messages import (
    Acquire,
    Axis,
    Capabilities,
    Command,
    End,
    Go,
    Holder,
    InstrumentState,
    Interlocks,
    Optics,
    Settings,
    Start,
)
from hardware_bridge.microscope import gather_from_watch
from hardware_bridge.observation import Observation, Part

LAST_RUN_S = 2.0


class Detector:
    """Implements ``hardware_bridge.Microscope``: one mode, no stage, no optics; the beam is on the bridge's own line.

    ``fov_nm`` and ``current_pA`` are the operator's words: a detector knows neither.
    """

    def __init__(self, source: Source, fov_nm: float, current_pA: float) -> None:
        self._source, self._fov_nm, self._current_pA = source, fov_nm, current_pA
        self._abort = threading.Event()
        self._running: tuple[Command, InstrumentState] | None = None
        self._reading: Reading | None = None
        self._on_since_s: float | None = None
        self._epoch = 0

    def describe(self) -> Capabilities:
        """Say what the detector can do."""
        unused = 1.0  # a mode that is not offered would need it
        return Capabilities(
            name=self._source.name,
            version="1",
            time="real",
            beam_energy_keV=200.0,
            convergence_semi_angle_mrad=unused,
            collection_semi_angle_mrad=unused,
            haadf_inner_mrad=unused,
            haadf_outer_mrad=unused,
            modes=("HRTEM",),
            holder_channels=(),
            probe_diameter_nm=self._fov_nm,
            energy_offset_eV=0.0,
            energy_step_eV=unused,
            energy_channels=1,
            detector_fraction={"HRTEM": 1.0},
            stage_to_specimen=(1.0, 0.0, 0.0, 1.0),
            beam_shift_to_specimen=(1.0, 0.0, 0.0, 1.0),
            stage_speed_nm_per_s=unused,
            decision_s=0.0,
            settle_s=0.0,
            flyback_s=0.0,
            frame_overhead_s=0.0,
            blank_latency_s=0.0,
        )

    def state(self) -> InstrumentState:
        """What is known of the detector: that it is there."""
        return InstrumentState(
            clock_s=time.monotonic(),
            go=Go(),
            optics=Optics(beam_current_pA=self._current_pA),
            holder=Holder(),
            beam_blanked=self._on_since_s is None,
            interlocks=Interlocks(
                vacuum_ok=True,
                valves_open=True,
                high_tension_on=True,
                screen_up=True,
                aperture_inserted=True,
                detectors_inserted=("HRTEM",),
            ),
        )

    def submit(self, command: Command) -> None:
        """Accept a command; nothing is asked of the detector yet."""
        if self._running is not None:
            raise Rejected("busy", "id", command.id, f"command {self._running[0].id} is still running")
        if command.go != Go() or command.set != Settings():
            raise Rejected("cannot", "go, set", "something", "nothing: a detector neither moves nor sets anything")
        if command.acquire is not None:
            self._check(command.acquire)
        self._abort.clear()
        self._running = (command, self.state())

    def watch(self, timeout_s: float) -> Iterator[Part]:
        """Start a run once the one before has ended; yield its frames as they come, as many in a chunk as are ready."""
        if self._running is None:
            raise Rejected("idle", "watch", "no command", "a command must be submitted first")
        command = self._running[0]
        self._epoch += 1
        chunks, on_s, reason = 0, 0.0, ""
        try:
            if command.acquire is not None and not self._has_ended(timeout_s):
                reason = f"the detector has not ended its run for {timeout_s:g} s"
            elif command.acquire is not None:
                yield self._start(command.id, command.acquire)
                self._on_since_s = time.monotonic()
                self._reading = Reading(self._source)
                frames = Frames(command.acquire.max_frames, command.id, self._epoch, self._source.dwell_s)
                try:
                    for chunk in frames.of(self._reading, self._abort, timeout_s):
                        chunks += 1
                        yield chunk
                except Unreachable as error:
                    reason = f"{command.acquire.max_frames - frames.next} frames are missing at the end: {error}"
                on_s = time.monotonic() - self._on_since_s
        finally:
            if self._reading is not None:
                self._reading.drop()
            self._on_since_s = self._running = None
        yield self._end(command, chunks, on_s, "blanked" if self._abort.is_set() else reason)

    def gather(self, timeout_s: float) -> Observation:
        """Run the submitted command and return its window."""
        if self._running is None:
            raise Rejected("idle", "gather", "no command", "a command must be submitted first")
        return gather_from_watch(self, *self._running, timeout_s)

    def blank(self) -> None:
        """End what runs; the beam's line is the bridge's own."""
        self._abort.set()

    def stop(self) -> None:
        """End what runs."""
        self.blank()

    def _has_ended(self, timeout_s: float) -> bool:
        """Wait for the run before, unless the beam is blanked meanwhile; whether it has ended."""
        deadline_s = time.monotonic() + timeout_s
        while self._reading is not None and self._reading.is_alive():
            if self._abort.is_set() or time.monotonic() > deadline_s:
                return False
            self._reading.join(SLICE_S)
        return True

    def close(self) -> bool:
        """Let the run under way end, then give the detector back; False where its receiver does not come back."""
        if self._reading is not None:
            self._reading.drop()
            self._reading.join(LAST_RUN_S)
            if self._reading.is_alive():
                return False
        self._source.close()
        return True

    def _check(self, acquire: Acquire) -> None:
        height, width = self._source.shape
        for name, asked, there in (
            ("fov_nm", acquire.fov_nm, self._fov_nm),
            ("pixels_x", acquire.pixels_x, width),
            ("pixels_y", acquire.pixels_y, height),
            ("dwell_s", acquire.dwell_s, self._source.dwell_s),
        ):
            if asked != there:
                raise Rejected("cannot", f"acquire.{name}", f"{asked:g}", f"{there:g}, as the detector is set")
        if acquire.max_frames > self._source.frames:
            raise Rejected("cannot", "acquire.max_frames", str(acquire.max_frames), f"a run of {self._source.frames}")

    def _start(self, name: str, acquire: Acquire) -> Start:
        y, x = (
            Axis(name=axis, size=size, offset=0.0, scale=self._fov_nm / acquire.pixels_x, unit="nm")
            for axis, size in zip("yx", self._source.shape, strict=True)
        )
        return Start(
            command_id=name,
            epoch=self._epoch,
            kind="frame",
            mode=acquire.mode,
            axes=(y, x),
            dtype=self._source.dtype.name,  # type: ignore[arg-type]
            frames=acquire.max_frames,
            start_s=time.monotonic(),
        )

    def _end(self, command: Command, chunks: int, on_s: float, reason: str) -> End:
        acquire = command.acquire
        share = min(1.0, on_s / (acquire.max_frames * acquire.dwell_s)) if acquire is not None else 0.0
        state = self.state()
        return End(
            command_id=command.id,
            epoch=self._epoch,
            end_s=state.clock_s,
            electrons=self._current_pA * on_s * ELECTRONS_PER_PA_S,
            beam_on_share=share,
            aborted=bool(reason),
            reason=reason[:2000],
            chunks=chunks,
            state=state,
        )
