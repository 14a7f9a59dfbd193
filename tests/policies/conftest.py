"""A bench for policies: safety, clock and a specimen simple enough to see through, with honest percepts."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from msgspec.structs import replace

from hardware_bridge.cost import predict
from hardware_bridge.dose import DoseLedger
from hardware_bridge.geometry import field_centre_nm, merged
from hardware_bridge.messages import (
    Box,
    Capabilities,
    Command,
    Go,
    Holder,
    InstrumentState,
    Interlocks,
    Limits,
    Optics,
    Range,
)
from hardware_bridge.report import Card, Estimate, Particle, Percept, Target
from hardware_bridge.safety import check
from policies.interface import Policy, Proposal, Setup, Situation, Turn

EXTENT_NM, CELLS, DURATION_S = 2048.0, 8, 600.0
TIMES_S = (150.0, 300.0, 450.0, 600.0)
BUDGET = 1e9


def capabilities() -> Capabilities:
    return Capabilities(
        name="bench",
        version="1",
        time="stepped",
        beam_energy_keV=200.0,
        convergence_semi_angle_mrad=10.0,
        collection_semi_angle_mrad=15.0,
        haadf_inner_mrad=50.0,
        haadf_outer_mrad=200.0,
        modes=("HAADF", "EELS"),
        holder_channels=(),
        probe_diameter_nm=0.2,
        energy_offset_eV=-20.0,
        energy_step_eV=1.0,
        energy_channels=1024,
        detector_fraction={"HAADF": 0.2, "EELS": 1.0},
        stage_to_specimen=(0.0, -1.0, 1.0, 0.0),
        beam_shift_to_specimen=(1.0, 0.0, 0.0, 1.0),
        stage_speed_nm_per_s=2000.0,
        decision_s=0.0,
        settle_s=0.5,
        flyback_s=1e-4,
        frame_overhead_s=0.3,
        blank_latency_s=0.01,
    )


def limits() -> Limits:
    edge = EXTENT_NM / 2 + 64.0
    span = Range(low=-edge, high=edge)
    return Limits(
        ranges={
            "stage_x_nm": Range(low=-1024.0, high=1024.0),
            "stage_y_nm": Range(low=-1024.0, high=1024.0),
            "beam_shift_x_nm": Range(low=-50.0, high=50.0),
            "beam_shift_y_nm": Range(low=-50.0, high=50.0),
            "beam_current_pA": Range(low=0.01, high=200.0),
            "C10_nm": Range(low=-3000.0, high=3000.0),
            "fov_nm": Range(low=4.0, high=1024.0),
            "pixels_x": Range(low=1, high=512),
            "pixels_y": Range(low=1, high=512),
            "dwell_s": Range(low=1e-6, high=1e-2),
            "max_frames": Range(low=1, high=4),
        },
        max_step_nm=4000.0,
        dose_map=Box(x=span, y=span),
        dose_cell_nm=16.0,
        max_electrons=BUDGET,
        max_fluence_e_per_A2=5e4,
        max_dose_rate_e_per_A2_s=1e6,
        max_detector_e_per_s={"HAADF": 1e10, "EELS": 1e10},
    )


def card() -> Card:
    cells = CELLS**2
    growth = np.array(TIMES_S) / DURATION_S

    def each(values: np.ndarray) -> tuple[float, ...]:
        return tuple(float(v) for v in np.repeat(values, cells))

    fields = {
        "covered_fraction": (0.05 * growth**2, 0.02 * growth**2),
        "count": (12.0 * growth, 5.0 * growth),
        "mean_radius_nm": (8.0 * np.sqrt(growth), 2.0 * np.sqrt(growth)),
    }
    targets = [
        Target(
            name=name,
            kind="field",
            unit="",
            weight=1 / 6,
            prior_mean=each(mean),
            prior_sd=each(sd),
            crps_scale=float(sd.sum() * cells / math.sqrt(math.pi)),
        )
        for name, (mean, sd) in fields.items()
    ]
    targets += [
        Target(
            name=name,
            kind="global",
            unit="",
            weight=0.25,
            prior_mean=(1.0,),
            prior_sd=(0.3,),
            crps_scale=0.3 / math.sqrt(math.pi),
        )
        for name in ("growth_rate", "beam_coupling")
    ]
    kernel = {f"{name}.shared_share": 0.5 for name in fields}
    kernel |= {f"{name}.time_s": 200.0 for name in fields} | {f"{name}.length_nm": 300.0 for name in fields}
    return Card(
        world="bench",
        version=1,
        extent_nm=EXTENT_NM,
        cells=CELLS,
        times_s=TIMES_S,
        duration_s=DURATION_S,
        budget_electrons=BUDGET,
        max_fluence_e_per_A2=5e4,
        targets=tuple(targets),
        kernel=kernel,
    )


def setup(budget: float = BUDGET, duration_s: float = DURATION_S, start_s: float = 10.0) -> Setup:
    return Setup(
        capabilities=capabilities(),
        limits=limits(),
        card=card(),
        start_s=start_s,
        end_s=start_s + duration_s,
        max_electrons=budget,
    )


def state(setup: Setup, **changed: object) -> InstrumentState:
    blank = InstrumentState(
        clock_s=setup.start_s,
        go=Go(**{name: 0.0 for name in Go.__struct_fields__ if name != "approach"}),
        optics=Optics(beam_current_pA=20.0, C10_nm=0.0),
        holder=Holder(),
        beam_blanked=True,
        interlocks=Interlocks(
            vacuum_ok=True,
            valves_open=True,
            high_tension_on=True,
            screen_up=True,
            aperture_inserted=True,
            detectors_inserted=("HAADF", "EELS"),
        ),
        position_sd_nm=2.0,
    )
    return replace(blank, **changed)


@dataclass
class Bench:
    """Runs a policy's best proposals on growing discs; half of a tenth of them is debris that never grows."""

    setup: Setup
    seed: int = 0
    turns: list[Turn] = field(default_factory=list)
    shown: list[Sequence[Proposal]] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.rng = rng
        self.state = state(self.setup)
        self.ledger = DoseLedger(self.setup.limits)
        n = 500
        self.place = rng.uniform(-EXTENT_NM / 2, EXTENT_NM / 2, (n, 2))
        self.born_s = rng.uniform(0.0, DURATION_S, n)
        self.debris = rng.uniform(size=n) < 0.1
        self.known: set[int] = set()
        self.drift = np.zeros(2)

    def situation(self, turn: int) -> Situation:
        return Situation(
            turn=turn,
            state=self.state,
            electrons_left=self.setup.max_electrons - self.state.electrons_charged,
            time_left_s=self.setup.end_s - self.state.clock_s,
        )

    def run(self, policy: Policy, turns: int, n: int = 4) -> None:
        for _ in range(turns):
            situation = self.situation(len(self.turns))
            proposals = policy.suggest(situation, n)
            if not proposals:
                return
            self.shown.append(proposals)
            turn = dataclasses.replace(self.execute(proposals[0].command, situation), offered=tuple(proposals))
            self.turns.append(turn)
            policy.ingest(turn)

    def execute(self, command: Command, situation: Situation) -> Turn:
        charge = check(command, self.setup.limits, self.state, self.setup.capabilities, self.ledger)
        self.ledger.add(charge)
        cost = predict(command, self.state, self.setup.capabilities)
        start_s = self.state.clock_s
        optics = self.state.optics
        asked = command.set.optics
        self.state = replace(
            self.state,
            clock_s=start_s + cost.time_s,
            go=merged(self.state.go, command.go),
            optics=replace(
                optics,
                beam_current_pA=asked.beam_current_pA or optics.beam_current_pA,
                C10_nm=asked.C10_nm if asked.C10_nm is not None else optics.C10_nm,
            ),
            electrons_charged=self.ledger.electrons,
        )
        self.drift += self.rng.normal(0.0, 1.0, 2)
        return Turn(
            index=situation.turn,
            command=command,
            percept=self._percept(command, start_s),
            verdict="approved",
            reason="bench",
        )

    def C10_in_focus_nm(self, x: float, y: float) -> float:
        return 700.0 * (4.0 * (x**2 + y**2) / EXTENT_NM**2 - 0.5) + 0.2 * x + 100.0

    def _percept(self, command: Command, start_s: float) -> Percept:
        acquire = command.acquire
        assert acquire is not None
        centre = np.array(field_centre_nm(self.state.go, self.setup.capabilities)) + self.drift
        half = acquire.fov_nm / 2
        common = {
            "command_id": command.id,
            "mode": acquire.mode,
            "start_s": start_s,
            "end_s": self.state.clock_s,
            "x_nm": float(centre[0]),
            "y_nm": float(centre[1]),
            "width_nm": acquire.fov_nm,
            "height_nm": acquire.fov_nm,
        }
        if acquire.mode == "EELS":
            self.known |= {int(np.argmin(np.hypot(*(self.place - centre).T)))}
            return Percept(**common)
        off_nm = self.C10_in_focus_nm(*centre) - (self.state.optics.C10_nm or 0.0)
        inside = np.flatnonzero((np.abs(self.place - centre) < half).all(axis=1))
        t_s = self.state.clock_s - self.setup.start_s
        particles = []
        for i in inside:
            radius = 6.0 if self.debris[i] else 8.0 * math.sqrt(max(t_s - self.born_s[i], 0.0) / DURATION_S)
            if radius * (1.0 if abs(off_nm) < 300.0 else 0.5) < 2.0:
                continue
            real = float(not self.debris[i]) if int(i) in self.known else 0.8
            particles.append(
                Particle(
                    track=int(i),
                    x_nm=float(self.place[i, 0]),
                    y_nm=float(self.place[i, 1]),
                    radius_nm=radius,
                    x_sd_nm=0.5,
                    y_sd_nm=0.5,
                    radius_sd_nm=0.3,
                    snr=radius,
                    real=real,
                )
            )
        sd_nm = 40.0 if abs(off_nm) > 50.0 else 150.0
        return Percept(
            **common,
            quality={"sharpness": math.exp(-abs(off_nm) / 300.0)},
            estimates={
                "defocus_error_nm": Estimate(value=off_nm + self.rng.normal(0.0, sd_nm), sd=sd_nm),
                "blur_nm": Estimate(value=1.0 + 0.005 * abs(off_nm), sd=0.1),
            },
            particles=tuple(particles),
        )


@pytest.fixture
def make_bench() -> Callable[..., Bench]:
    def make(seed: int = 0, duration_s: float = DURATION_S, budget: float = BUDGET) -> Bench:
        return Bench(setup(budget, duration_s), seed)

    return make


@pytest.fixture
def bench() -> Bench:
    return Bench(setup())
