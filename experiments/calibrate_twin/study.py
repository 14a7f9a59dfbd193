"""Record a session on a twin whose parameters are hidden, fit it, and put what was found against the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from agent.calibrate.twin.evidence import Frame, of_frames, of_observation
from agent.calibrate.twin.found import Parameter
from agent.calibrate.twin.procedure import Fitted, calibrate
from digital_twin.apparatus import Apparatus
from digital_twin.conditions import Conditions
from digital_twin.detectors import Column
from digital_twin.instrument import Twin
from digital_twin.readout import Readout
from digital_twin.standard import Standard
from hardware_bridge.messages import Acquire, Command, Go, Optics, Settings
from hardware_bridge.microscope import execute

CURRENT_pA = 50.0
CYCLES, REPEATS, THROUGH_FOCUS = 100, 24, 16
PAIR_NM = 300.0
JITTER_NM = 0.03


@dataclass(frozen=True)
class Plan:
    """How long a session is: cycles of a focus pair, an image and a wait; repeats; images of one particle."""

    cycles: int = CYCLES
    repeats: int = REPEATS
    through_focus: int = THROUGH_FOCUS


@dataclass(frozen=True)
class Outcome:
    """What was fitted to one hidden twin, and the truth by the names of the parameters."""

    seed: int
    fitted: Fitted
    truth: dict[str, float]

    def told(self) -> list[tuple[Parameter, float]]:
        """Every parameter that has a truth and was told, beside it."""
        known = [(each, self.truth.get(each.name)) for each in self.fitted.found.parameters]
        return [(each, true) for each, true in known if true is not None and each.is_identifiable]


def hidden(seed: int) -> Apparatus:
    """Draw a microscope: electronics, source, drift, focus and current."""
    random = np.random.default_rng([seed, 20])

    def between(low: float, high: float) -> float:
        return math.exp(random.uniform(math.log(low), math.log(high)))

    readout = Readout(
        gain_counts_per_electron=between(1.0, 20.0),
        offset_counts=between(200.0, 1000.0),
        read_noise_counts=between(2.0, 20.0),
        dark_counts_per_s=between(2e3, 1e5),
    )
    conditions = Conditions(
        decay_nm=40.0,
        decay_s=between(100.0, 250.0),
        wander_nm=between(3.0, 10.0),
        wander_s=between(60.0, 200.0),
        C10_wander_nm=between(30.0, 90.0),
        focus_s=between(100.0, 300.0),
        current_decay_per_h=between(0.02, 0.3),
        jitter_nm=JITTER_NM,
    )
    return Apparatus(column=Column(source_fwhm_nm=between(0.3, 1.0)), readout=readout, conditions=conditions)


class Session:
    """A person at the twin of a seed who records what a calibration needs; ``frames`` is what came."""

    def __init__(self, seed: int) -> None:
        self.apparatus = hidden(seed)
        self.specimen = Standard(seed)
        self.twin = Twin(self.specimen, seed, apparatus=self.apparatus)
        self.frames: list[Frame] = []
        self._taken = 0

    def take(self, acquire: Acquire, C10_nm: float = 0.0, go: Go | None = None) -> None:
        """Take one image."""
        self._taken += 1
        optics = Optics(beam_current_pA=CURRENT_pA, C10_nm=C10_nm)
        command = Command(id=f"c{self._taken}", go=go or Go(), set=Settings(optics=optics), acquire=acquire)
        frame = of_observation(execute(self.twin, command, 60.0), self.twin.describe())
        if frame is not None:
            self.frames.append(frame)

    def record(self, plan: Plan) -> None:
        """One place for half an hour with focus pairs and darks, repeats, then a particle through focus."""
        small = Acquire(mode="HAADF", fov_nm=256.0, pixels_x=128, pixels_y=128, dwell_s=1e-5)
        wait = replace(small, pixels_x=48, pixels_y=48, dwell_s=5e-3, blanked=True)
        for _ in range(plan.cycles):
            for C10_nm in (PAIR_NM, -PAIR_NM, 0.0):
                self.take(small, C10_nm)
            self.take(wait)
        fine = replace(small, pixels_x=256, pixels_y=256, dwell_s=5e-6)
        for _ in range(4):
            self.take(replace(fine, blanked=True))
        for _ in range(plan.repeats):
            self.take(fine)
        near = Acquire(mode="HAADF", fov_nm=48.0, pixels_x=192, pixels_y=192, dwell_s=4e-6)
        go = self._particle()
        for n in range(plan.through_focus):
            self.take(near, -220.0 + 40.0 * (n % 8), go)

    def _particle(self) -> Go:
        """A particle that stands alone, as a person would choose one."""
        place, radius = self.specimen.position_nm.numpy(), self.specimen.radius_nm.numpy()
        apart = np.hypot(*(place[:, None] - place).T) - radius
        np.fill_diagonal(apart, np.inf)
        good = (apart.min(axis=0) > 26.0) & (radius > 5.0) & (radius < 9.0)
        chosen = place[np.flatnonzero(good)[np.hypot(*place[good].T).argmin()]]
        # Where it has drifted to by now, as a person sees it.
        x, y = chosen + self.twin._drift.specimen_nm(np.array([self.twin.state().clock_s]))[0]
        return Go(stage_x_nm=float(x), stage_y_nm=float(y))


def truth(session: Session) -> dict[str, float]:
    """The hidden parameters by the names of what is fitted; the decay's size is that of this session."""
    readout, conditions = session.apparatus.readout, session.apparatus.conditions
    names = ("wander_nm", "wander_s", "C10_wander_nm", "focus_s", "current_decay_per_h", "decay_s")
    true: dict[str, float] = {name: getattr(readout, name) for name in Readout.__struct_fields__}
    true |= {name: getattr(conditions, name) for name in names}
    begun_s = next(frame.mid_s for frame in session.frames if not frame.blanked) or 0.0
    size = math.hypot(*session.twin._drift._decay_nm) / math.sqrt(2)
    true["decay_nm"] = size * math.exp(-begun_s / conditions.decay_s)
    true["source_fwhm_nm"] = session.apparatus.column.source_fwhm_nm
    return true


def measure(seed: int, plan: Plan | None = None) -> Outcome:
    """Record a session on the hidden twin of a seed and fit it."""
    session = Session(seed)
    session.record(plan or Plan())
    evidence = of_frames(session.frames, session.twin.describe())
    return Outcome(seed, calibrate(evidence, f"the hidden twin {seed}"), truth(session))
