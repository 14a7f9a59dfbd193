"""A camera as a driver: frames of Poisson noise at a set pace, with a bright spot from a known frame on.

It notes when each command came and when the spot was first handed over, on this machine's monotonic clock.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from msgspec.structs import replace

from experiments import small_column
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
    Holder,
    InstrumentState,
    Limits,
    Optics,
    Range,
    Start,
)
from hardware_bridge.microscope import gather_from_watch
from hardware_bridge.observation import Chunk, Observation, Part

MEAN_COUNTS = 20.0
SPOT_COUNTS = 60
POOL = 256
SPOT_PX = 6

CAPABILITIES = replace(
    small_column.CAPABILITIES,
    name="camera",
    convergence_semi_angle_mrad=1.0,
    modes=("HRTEM", "HAADF"),
    holder_channels=(),
    probe_diameter_nm=300.0,
    detector_fraction={"HRTEM": 1.0, "HAADF": 0.1},
    settle_s=0.0,
    flyback_s=0.0,
    frame_overhead_s=0.0,
    blank_latency_s=1e-3,
)
LIMITS = Limits(
    ranges={
        "fov_nm": Range(low=1.0, high=600.0),
        "pixels_x": Range(low=8.0, high=1024.0),
        "pixels_y": Range(low=8.0, high=1024.0),
        "dwell_s": Range(low=1e-9, high=1.0),
        "max_frames": Range(low=1.0, high=2.0**20),
    },
    max_step_nm=1500.0,
    dose_map=small_column.LIMITS.dose_map,
    dose_cell_nm=100.0,
    max_electrons=1e15,
    max_fluence_e_per_A2=1e12,
    max_dose_rate_e_per_A2_s=1e12,
    max_detector_e_per_s={"HRTEM": 1e12, "HAADF": 1e12},
)
STATE = replace(
    small_column.STATE,
    optics=Optics(beam_current_pA=50.0, C10_nm=0.0, C30_um=1200.0),
    holder=Holder(),
    interlocks=replace(small_column.STATE.interlocks, detectors_inserted=("HRTEM", "HAADF")),
)


def filming(name: str, frames: int, pixels: int = 256, mode: Literal["HRTEM", "HAADF"] = "HRTEM") -> Command:
    """The command for so many frames of one field."""
    dwell_s = 1e-3 if mode == "HRTEM" else 1e-3 / pixels**2
    acquire = Acquire(mode=mode, fov_nm=256.0, pixels_x=pixels, pixels_y=pixels, dwell_s=dwell_s, max_frames=frames)
    return Command(id=name, acquire=acquire)


@dataclass
class Camera:
    """A Microscope. Frames come every ``spacing_s`` (0: as fast as they are taken), ``burst`` at a time.

    The spot is there from the frame on that ``spots`` gives for each acquisition in turn, never where they have run
    out. ``seen`` are the commands with the time they came, ``shown`` the first frame of each spot with the time it was
    handed over, in ns of the monotonic clock; both go to ``log``, a line of JSON each, if there is one.
    """

    spacing_s: float = 0.0
    burst: int = 1
    spots: Iterator[int] = field(default_factory=lambda: iter(()))
    log: Path | None = None
    seen: list[tuple[str, int]] = field(default_factory=list)
    shown: list[tuple[str, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._state = STATE
        self._running: Command | None = None
        self._abort = threading.Event()
        self._epoch = 0
        self._pools: dict[int, np.ndarray] = {}

    def describe(self) -> Capabilities:
        """Say what the camera can do."""
        return CAPABILITIES

    def state(self) -> InstrumentState:
        """Read back where everything is."""
        return self._state

    def submit(self, command: Command) -> None:
        """Accept a command; raises Rejected while another runs."""
        self.seen.append((command.id, time.monotonic_ns()))
        self._note("seen", *self.seen[-1])
        if self._running is not None:
            raise Rejected("busy", "id", command.id, f"command {self._running.id} is still running")
        self._abort.clear()
        self._running = command

    def watch(self, timeout_s: float) -> Iterator[Part]:
        """Run the submitted command, yielding its parts as they come."""
        command = self._running
        if command is None:
            raise Rejected("idle", "watch", "no command", "a command must be submitted first")
        self._epoch += 1
        self._state = replace(self._state, go=merged(self._state.go, command.go))
        chunks = frames = 0
        try:
            if command.acquire is not None:
                for part in self._parts(command.id, command.acquire):
                    if isinstance(part, Chunk):
                        chunks, frames = chunks + 1, frames + part.header.frames
                    yield part
        finally:
            self._state = replace(self._state, beam_blanked=True)
            self._running = None
        yield self._end(command, chunks, frames)

    def gather(self, timeout_s: float) -> Observation:
        """Run the submitted command to its end and return its window."""
        if self._running is None:
            raise Rejected("idle", "gather", "no command", "a command must be submitted first")
        return gather_from_watch(self, self._running, self._state, timeout_s)

    def blank(self) -> None:
        """Blank the beam and end what is running."""
        self._abort.set()
        self._state = replace(self._state, beam_blanked=True)

    def stop(self) -> None:
        """Blank and end what is running; the guard refuses what comes after."""
        self.blank()

    def prepare(self, pixels: int) -> None:
        """Draw the noise for square frames; done with the first of them, where it was not before."""
        pool = np.random.default_rng(5).poisson(MEAN_COUNTS, (POOL, pixels, pixels))
        self._pools[pixels] = pool.astype(np.uint8)

    def frame(self, acquire: Acquire, number: int, spot_at: int | None) -> np.ndarray:
        """What the camera shows as frame ``number``: (H, W) uint8."""
        pixels = acquire.pixels_x
        if pixels not in self._pools:
            self.prepare(pixels)
        # Coprime strides: neighbours in time are no neighbours in the pool, and the pool does not come round evenly.
        noise: np.ndarray = self._pools[pixels][(number * 97 + number // POOL) % POOL]
        if spot_at is None or number < spot_at:
            return noise
        frame = noise.copy()
        top = (37 * spot_at) % (pixels - SPOT_PX)
        frame[top : top + SPOT_PX, top : top + SPOT_PX] += SPOT_COUNTS
        return frame

    def _parts(self, name: str, acquire: Acquire) -> Iterator[Part]:
        pixel_nm = acquire.fov_nm / acquire.pixels_x
        y, x = (
            Axis(name=axis, size=size, offset=0.0, scale=pixel_nm, unit="nm")
            for axis, size in (("y", acquire.pixels_y), ("x", acquire.pixels_x))
        )
        begun_s = self._state.clock_s
        yield Start(
            command_id=name,
            epoch=self._epoch,
            kind="frame",
            mode=acquire.mode,
            axes=(y, x),
            dtype="uint8",
            frames=acquire.max_frames,
            start_s=begun_s,
        )
        spot_at = next(self.spots, None)
        spacing_s = self.spacing_s or acquire.dwell_s
        wall_s = time.monotonic()
        for sequence, first in enumerate(range(0, acquire.max_frames, self.burst)):
            frames = min(self.burst, acquire.max_frames - first)
            data = np.stack([self.frame(acquire, first + n, spot_at) for n in range(frames)])
            if self._abort.wait(max(0.0, wall_s + self.spacing_s * (first + frames) - time.monotonic())):
                return
            start_s, end_s = begun_s + spacing_s * first, begun_s + spacing_s * (first + frames)
            self._state = replace(self._state, clock_s=end_s, beam_blanked=False)
            header = ChunkHeader(
                command_id=name,
                epoch=self._epoch,
                sequence=sequence,
                frame=first,
                frames=frames,
                row_start=0,
                rows=acquire.pixels_y,
                start_s=start_s,
                end_s=end_s,
            )
            if spot_at is not None and first <= spot_at < first + frames:
                self.shown.append((name, spot_at, time.monotonic_ns()))
                self._note("shown", *self.shown[-1])
            yield Chunk(header, data if frames > 1 else data[0])

    def _end(self, command: Command, chunks: int, frames: int) -> End:
        acquire = command.acquire
        wanted = acquire.max_frames if acquire is not None else 0
        on_s = frames * acquire.dwell_s if acquire is not None else 0.0
        return End(
            command_id=command.id,
            epoch=self._epoch,
            end_s=self._state.clock_s,
            electrons=(self._state.optics.beam_current_pA or 0.0) * on_s * ELECTRONS_PER_PA_S,
            beam_on_share=frames / wanted if wanted else 0.0,
            aborted=frames < wanted,
            reason="blanked" if frames < wanted else "",
            chunks=chunks,
            state=self._state,
        )

    def _note(self, what: str, *values: object) -> None:
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(json.dumps([what, *values]) + "\n")
