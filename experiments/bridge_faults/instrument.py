"""A small instrument that records what reaches it, and lets others act between two of its chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from msgspec.structs import replace

from hardware_bridge.cost import ELECTRONS_PER_PA_S, frame_s, move_s
from hardware_bridge.errors import Rejected
from hardware_bridge.geometry import merged
from hardware_bridge.messages import (
    Axis,
    Box,
    Capabilities,
    ChunkHeader,
    Command,
    End,
    Go,
    Holder,
    InstrumentState,
    Interlocks,
    Limits,
    Optics,
    Range,
    Start,
)
from hardware_bridge.microscope import gather_from_watch
from hardware_bridge.observation import Chunk, Observation, Part
from hardware_bridge.words import WordT

ROWS = 8
CAPABILITIES = Capabilities(
    name="recorder", version="1", time="real", beam_energy_keV=200.0, convergence_semi_angle_mrad=10.0,
    collection_semi_angle_mrad=20.0, haadf_inner_mrad=60.0, haadf_outer_mrad=200.0, modes=("HAADF", "EELS"),
    holder_channels=("temperature_K", "flow_nl_per_s"), probe_diameter_nm=0.2, energy_offset_eV=400.0,
    energy_step_eV=1.0, energy_channels=16, detector_fraction={"HAADF": 0.1, "EELS": 0.01},
    stage_to_specimen=(1.0, 0.0, 0.0, 1.0), beam_shift_to_specimen=(1.0, 0.0, 0.0, 1.0), stage_speed_nm_per_s=1000.0,
    decision_s=0.0, settle_s=0.1, flyback_s=1e-4, frame_overhead_s=0.01, blank_latency_s=1e-4,
)  # fmt: skip
RANGES = {
    "stage_x_nm": (-1000.0, 1000.0), "stage_y_nm": (-1000.0, 1000.0), "stage_z_nm": (-5000.0, 5000.0),
    "tilt_alpha_deg": (-30.0, 30.0), "beam_shift_x_nm": (-200.0, 200.0), "beam_shift_y_nm": (-200.0, 200.0),
    "C10_nm": (-2000.0, 2000.0), "beam_current_pA": (0.0, 200.0), "flow_nl_per_s": (0.0, 50.0),
    "fov_nm": (10.0, 600.0), "pixels_x": (8.0, 512.0), "pixels_y": (8.0, 512.0), "dwell_s": (1e-7, 1e-3),
    "max_frames": (1.0, 64.0),
}  # fmt: skip
LIMITS = Limits(
    ranges={name: Range(low=low, high=high) for name, (low, high) in RANGES.items()},
    z_loss_per_deg_nm=100.0,
    keep_out=(Box(x=Range(low=300.0, high=400.0), y=Range(low=300.0, high=400.0)),),
    max_step_nm=1500.0,
    dose_map=Box(x=Range(low=-1600.0, high=1600.0), y=Range(low=-1600.0, high=1600.0)),
    dose_cell_nm=64.0,
    max_electrons=1e12,
    max_fluence_e_per_A2=1e6,
    max_dose_rate_e_per_A2_s=1e8,
    max_detector_e_per_s={"HAADF": 1e9, "EELS": 1e9},
    on_loss={"flow_nl_per_s": "off"},
)
STATE = InstrumentState(
    clock_s=0.0,
    go=Go(
        stage_x_nm=0.0, stage_y_nm=0.0, stage_z_nm=0.0, tilt_alpha_deg=0.0, tilt_beta_deg=0.0, beam_shift_x_nm=0.0,
        beam_shift_y_nm=0.0, image_shift_x_nm=0.0, image_shift_y_nm=0.0, scan_rotation_deg=0.0,
    ),
    optics=Optics(beam_current_pA=50.0, C10_nm=0.0),
    holder=Holder(temperature_K=298.0, flow_nl_per_s=5.0),
    beam_blanked=True,
    interlocks=Interlocks(
        vacuum_ok=True, valves_open=True, high_tension_on=True, screen_up=True, aperture_inserted=True,
        detectors_inserted=("HAADF", "EELS"),
    ),
)  # fmt: skip


class Instrument:
    """A Microscope; ``between`` is called before every chunk, ``seen`` are the commands that reached it."""

    def __init__(self) -> None:
        self.seen: list[Command] = []
        self.between: Callable[[int], None] = lambda chunk: None
        self._state = STATE
        self._running: Command | None = None
        self._is_aborted = False

    def describe(self) -> Capabilities:
        """Say what the instrument can do."""
        return CAPABILITIES

    def state(self) -> InstrumentState:
        """Read back the instrument."""
        return self._state

    def submit(self, command: Command) -> None:
        """Accept a command; Rejected while another one runs."""
        if self._running is not None:
            raise Rejected("busy", "id", command.id, f"command {self._running.id} is still running")
        self._is_aborted = False
        self.seen.append(command)
        self._running = command

    def watch(self, timeout_s: float) -> Iterator[Part]:
        """Yield the parts of the command."""
        command = self._running
        assert command is not None
        before, asked = self._state, command.set
        self._state = replace(
            before,
            clock_s=before.clock_s + move_s(command, before, CAPABILITIES),
            go=merged(before.go, command.go),
            optics=_changed(before.optics, asked.optics),
            holder=_changed(before.holder, asked.holder),
        )
        done, wanted = 0, 0
        try:
            if command.acquire is not None:
                wanted = command.acquire.max_frames * -(-command.acquire.pixels_y // ROWS)
                for part in self._parts(command):
                    done += isinstance(part, Chunk)
                    yield part
        finally:
            self._state = replace(self._state, beam_blanked=True)
            self._running = None
        yield self._end(command, done / wanted if wanted else 0.0, done)

    def gather(self, timeout_s: float) -> Observation:
        """Wait for the command to end and return its window."""
        assert self._running is not None
        return gather_from_watch(self, self._running, self._state, timeout_s)

    def blank(self) -> None:
        """Blank and end what runs."""
        self._is_aborted = True
        self._state = replace(self._state, beam_blanked=True)

    def stop(self) -> None:
        """Blank and end what runs."""
        self.blank()

    def die(self) -> None:
        """The process that drove it is gone: what ran has ended."""
        self.blank()
        self._running = None

    def _parts(self, command: Command) -> Iterator[Part]:
        acquire = command.acquire
        assert acquire is not None
        scale = acquire.fov_nm / acquire.pixels_x
        sizes = (("y", acquire.pixels_y), ("x", acquire.pixels_x))
        yield Start(
            command_id=command.id, epoch=len(self.seen), kind="frame", mode=acquire.mode, dtype="uint8",
            axes=tuple(Axis(name=name, size=size, offset=0.0, scale=scale, unit="nm") for name, size in sizes),
            frames=acquire.max_frames, start_s=self._state.clock_s,
        )  # fmt: skip
        tops = range(0, acquire.pixels_y, ROWS)
        for number in range(acquire.max_frames * len(tops)):
            self.between(number)
            if self._is_aborted:
                return
            frame, row = divmod(number, len(tops))
            rows = min(ROWS, acquire.pixels_y - tops[row])
            begun_s = self._state.clock_s
            ended_s = begun_s + frame_s(acquire, CAPABILITIES) * rows / acquire.pixels_y
            self._state = replace(self._state, clock_s=ended_s, beam_blanked=False)
            header = ChunkHeader(
                command_id=command.id, epoch=len(self.seen), sequence=number, frame=frame, row_start=tops[row],
                rows=rows, start_s=begun_s, end_s=ended_s,
            )  # fmt: skip
            yield Chunk(header, np.full((rows, acquire.pixels_x), number % 256, dtype=np.uint8))

    def _end(self, command: Command, share: float, chunks: int) -> End:
        on_s = command.acquire.max_frames * frame_s(command.acquire, CAPABILITIES) if command.acquire else 0.0
        return End(
            command_id=command.id,
            epoch=len(self.seen),
            end_s=self._state.clock_s,
            electrons=(self._state.optics.beam_current_pA or 0.0) * on_s * share * ELECTRONS_PER_PA_S,
            beam_on_share=min(share, 1.0),
            aborted=self._is_aborted,
            reason="blanked" if self._is_aborted else "",
            chunks=chunks,
            state=self._state,
        )


def _changed(before: WordT, asked: WordT) -> WordT:
    values = {n: v for n in asked.__struct_fields__ if (v := getattr(asked, n)) is not None}
    return replace(before, **values)
