"""A small instrument's words, and turns made from them, for the tests of record and review."""

import math
import tomllib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from agent.config import Config, from_table
from agent.eventlog import Header
from agent.record import Decision, Record
from agent.recorder import now, versions
from digital_twin.optics import Aberrations, probe_intensity
from digital_twin.optics import Column as Lens
from hardware_bridge.messages import (
    Acquire,
    Axis,
    Capabilities,
    Command,
    Go,
    Holder,
    InstrumentState,
    Interlocks,
    Limits,
    Mode,
    Optics,
    Settings,
)  # fmt: skip
from hardware_bridge.observation import FrameStatistics, Observation
from hardware_bridge.report import Card, Estimate, Particle, Percept, Target
from policies.interface import Proposal, Situation

CONFIG = """
goal = { question = "How fast do the particles grow?", world = "growth" }
budget = { electrons = 1e9, duration_s = 600 }
policy = { name = "raster" }
[limits]
max_step_nm = 3000
dose_map = { x = { low = -1100, high = 1100 }, y = { low = -1100, high = 1100 } }
dose_cell_nm = 64
max_electrons = 1e10
max_fluence_e_per_A2 = 500
max_dose_rate_e_per_A2_s = 1e6
max_detector_e_per_s = { HAADF = 1e9, EELS = 1e9 }
[limits.ranges]
stage_x_nm = { low = -1000, high = 1000 }
stage_y_nm = { low = -1000, high = 1000 }
C10_nm = { low = -1500, high = 1500 }
beam_current_pA = { low = 1, high = 200 }
fov_nm = { low = 10, high = 512 }
pixels_x = { low = 1, high = 512 }
pixels_y = { low = 1, high = 512 }
dwell_s = { low = 1e-7, high = 0.1 }
max_frames = { low = 1, high = 4 }
"""


@pytest.fixture(scope="session")
def config() -> Config:
    return from_table(tomllib.loads(CONFIG))


@pytest.fixture(scope="session")
def limits(config: Config) -> Limits:
    return config.limits


@pytest.fixture(scope="session")
def capabilities() -> Capabilities:
    return Capabilities(
        name="bench", version="1", time="stepped", beam_energy_keV=200.0, convergence_semi_angle_mrad=10.0,
        collection_semi_angle_mrad=20.0, haadf_inner_mrad=60.0, haadf_outer_mrad=150.0, modes=("HAADF", "EELS"),
        holder_channels=("flow_nl_per_s",), probe_diameter_nm=0.2, energy_offset_eV=400.0, energy_step_eV=2.0,
        energy_channels=512, detector_fraction={"HAADF": 0.1, "EELS": 0.5}, stage_to_specimen=(1.0, 0.0, 0.0, 1.0),
        beam_shift_to_specimen=(1.0, 0.0, 0.0, 1.0), stage_speed_nm_per_s=2000.0, decision_s=0.0, settle_s=0.3,
        flyback_s=1e-5, frame_overhead_s=0.05, blank_latency_s=0.001,
    )  # fmt: skip


@pytest.fixture(scope="session")
def card() -> Card:
    target = Target(
        name="count", kind="field", unit="", weight=1.0, prior_mean=(1.0,) * 4, prior_sd=(0.5,) * 4, crps_scale=2.0
    )
    return Card(
        world="growth", version=1, extent_nm=2048.0, cells=2, times_s=(600.0,), duration_s=600.0,
        budget_electrons=1e9, max_fluence_e_per_A2=500.0, targets=(target,),
    )  # fmt: skip


@pytest.fixture
def header(config: Config, capabilities: Capabilities, card: Card) -> Header:
    return Header(
        created=now(), versions=versions(), config=config, seed=7, capabilities=capabilities, card=card,
        start_s=0.0, end_s=600.0, max_electrons=1e9,
    )  # fmt: skip


def _state(clock_s: float, electrons_charged: float = 0.0) -> InstrumentState:
    return InstrumentState(
        clock_s=clock_s,
        go=Go(stage_x_nm=0.0, stage_y_nm=0.0, stage_z_nm=0.0),
        optics=Optics(beam_current_pA=50.0, C10_nm=0.0),
        holder=Holder(flow_nl_per_s=1.0),
        beam_blanked=True,
        interlocks=Interlocks(
            vacuum_ok=True, valves_open=True, high_tension_on=True, screen_up=True, aperture_inserted=True,
            detectors_inserted=("HAADF", "EELS"),
        ),
        electrons_charged=electrons_charged,
    )  # fmt: skip


def _command(name: str = "c0", mode: Mode = "HAADF", pixels: int = 32, fov_nm: float = 256.0, **go: float) -> Command:
    return Command(
        id=name,
        go=Go(**go),
        set=Settings(optics=Optics(C10_nm=-20.0)),
        acquire=Acquire(mode=mode, fov_nm=fov_nm, pixels_x=pixels, pixels_y=pixels, dwell_s=2e-6),
    )


def _proposal(command: Command, information: float = 0.02, reason: str = "this cell was seen long ago") -> Proposal:
    return Proposal(
        command=command, information=information, information_sd=0.01, electrons=1e5, time_s=0.4, reason=reason,
        proposer="survey",
    )  # fmt: skip


def _observation(turn: int, mode: Mode = "HAADF", pixels: int = 32, fov_nm: float = 256.0) -> Observation:
    """What one turn gives: noise that depends on the turn alone, the last row of every third frame not seen."""
    rng = np.random.default_rng([turn, pixels])
    axes = tuple(Axis(name=n, size=pixels, offset=0.0, scale=fov_nm / pixels, unit="nm") for n in ("y", "x"))
    if mode == "EELS":
        axes = (*axes, Axis(name="energy", size=64, offset=400.0, scale=2.0, unit="eV"))
    data = rng.poisson(20.0, [axis.size for axis in axes]).astype("float32" if mode == "EELS" else "uint16")
    seen = np.ones(pixels, dtype=bool)
    seen[-1] = turn % 3 != 0
    data[~seen] = 0
    row_start_s = np.where(seen, 4.0 * turn + np.arange(pixels) * 1e-3, np.nan)
    row = FrameStatistics(0, 4.0 * turn, 4.0 * turn + 1, float(data[seen].mean()), float(data[seen].std()), 0.0, 50.0)
    return Observation(
        command=_command(f"c{turn}", mode, pixels, fov_nm, stage_x_nm=float(turn)),
        start_s=4.0 * turn, end_s=4.0 * turn + 1.5, state=_state(4.0 * turn + 1.5, 1e5 * (turn + 1)),
        kind="spectrum" if mode == "EELS" else "frame", data=data, axes=axes, row_seen=seen, row_start_s=row_start_s,
        statistics=(row,), gaps=int(not seen[-1]), dropped=0, electrons=9.5e4, electrons_charged=1e5,
    )  # fmt: skip


def _record(turn: int, observation: Observation | None, failure: str = "", particles: int = 1) -> Record:
    command = observation.command if observation is not None else _command(f"c{turn}")
    proposals = (_proposal(command), _proposal(_command(f"c{turn}b", fov_nm=128.0), 0.01, "a closer look"))
    found = Particle(
        track=turn % 5,
        x_nm=1.5,
        y_nm=-2.0,
        radius_nm=8.0,
        x_sd_nm=0.1,
        y_sd_nm=0.1,
        radius_sd_nm=0.3,
        snr=9.0,
        real=0.9,
    )
    percept = Percept(
        command_id=command.id, mode="HAADF", start_s=4.0 * turn, end_s=4.0 * turn + 1.5, width_nm=256.0,
        height_nm=256.0, quality={"snr": 9.0}, estimates={"drift_x_nm": Estimate(value=0.3, sd=0.1)},
        particles=(found,) * particles,
    )  # fmt: skip
    return Record(
        turn=turn, start_s=4.0 * turn, end_s=observation.end_s if observation is not None else 4.0 * turn,
        decision=Decision(
            proposals=proposals, verdict="approved", by="envelope", reason="best of 2", waited_s=0.0, command=command
        ),
        state=observation.state if observation is not None else _state(4.0 * turn),
        percept=percept if observation is not None else None,
        electrons=observation.electrons if observation is not None else 0.0,
        electrons_charged=observation.electrons_charged if observation is not None else 0.0,
        gaps=observation.gaps if observation is not None else 0,
        failure=failure, wall_s={"suggest": 0.01 * turn},
    )  # fmt: skip


@pytest.fixture
def make_state() -> Callable[..., InstrumentState]:
    return _state


@pytest.fixture
def make_command() -> Callable[..., Command]:
    return _command


@pytest.fixture
def make_proposal() -> Callable[..., Proposal]:
    return _proposal


@pytest.fixture
def make_observation() -> Callable[..., Observation]:
    return _observation


@pytest.fixture
def make_record() -> Callable[..., Record]:
    return _record


@pytest.fixture
def make_situation() -> Callable[..., Situation]:
    def situation(turn: int = 0, electrons_left: float = 1e9, **state: Any) -> Situation:
        return Situation(
            turn=turn, state=_state(4.0 * turn, **state), electrons_left=electrons_left, time_left_s=600.0 - 4.0 * turn
        )

    return situation


class Atoms:
    """Points of light at random places, some beyond the edges, each seen as the probe of the optics."""

    column = Lens(300.0, 20.0)
    pixels, pixel_nm, fine, margin_nm, count = 128, 0.1, 4, 2.0, 220

    def __init__(self, seed: int) -> None:
        size = self.pixels * self.pixel_nm
        self.places = np.random.default_rng([seed, 1]).uniform(-self.margin_nm, size + self.margin_nm, (self.count, 2))

    def image(self, components: np.ndarray, electrons: float, seed: Any, moved_nm: Any = (0.0, 0.0)) -> np.ndarray:
        """Counts (H, W), four fifths of their mean background, with C10, C12, C21 and C23 (7,) in nm."""
        size = 2 * self.pixels
        pairs = zip(np.reshape(components[1:], (3, 2)), (2, 1, 3), strict=True)
        polar = [each for (a, b), m in pairs for each in (math.hypot(a, b), math.atan2(b, a) / m)]
        lens = Aberrations(components[0], *polar)
        probe = probe_intensity(self.fine * size, self.pixel_nm / self.fine, lens, self.column)
        k = np.fft.fftfreq(size, self.pixel_nm)
        keep = np.fft.fftfreq(size, 1 / size).astype(int)
        x, y = (np.exp(-2j * math.pi * k[:, None] * axis) for axis in (self.places + moved_nm).T)
        seen = np.fft.ifft2((y @ x.T) * np.fft.fft2(probe)[np.ix_(keep, keep)].conj()).real
        seen = seen[: self.pixels, : self.pixels]
        # Limited to the band of its pixels a sharp probe rings below zero: there is enough background for that.
        expected = electrons * (0.8 + 0.2 * seen / seen.mean()).clip(0.0)
        return np.random.default_rng(seed).poisson(expected).astype(np.float64)


@pytest.fixture(scope="session")
def atoms() -> type[Atoms]:
    return Atoms
