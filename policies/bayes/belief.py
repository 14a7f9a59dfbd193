"""What the Bayesian policy believes: fields, focus, exposure and labels, all learned from turns in order."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardware_bridge.cost import ELECTRONS_PER_PA_S, frame_s
from hardware_bridge.geometry import Point
from hardware_bridge.messages import Command
from hardware_bridge.report import Percept
from policies.bayes import analyst
from policies.bayes.exposure import Exposure
from policies.bayes.fields import FieldBelief, Measurement
from policies.bayes.grid import Box, Grid
from policies.bayes.kernel import Array
from policies.bayes.kinetics import Kinetics, Looks, weight
from policies.bayes.labels import Labels
from policies.bayes.settings import BayesSettings
from policies.bayes.worth import SQRT_PI
from policies.book import Book
from policies.focus import ESTIMATE, Focus
from policies.interface import Setup, Turn
from policies.pointing import Pointing

NM_PER_MRAD_NM = 1e-3
BLUR = "blur_nm"
# How fast what images say of their own detection limit replaces what was believed of it.
LEARNING = 0.3
FORGETTING = 0.8
# Two images show the same place where they are less than this share of their width apart.
SAME_PLACE = 0.15
# No pair is taken just to keep focus in this last share of a run.
LATE_SHARE = 0.1
# How well the radius of one particle is expected to be known at a last look, in nm.
LAST_LOOK_SD_NM = 0.5
FIELDS = ("covered_fraction", "count", "mean_radius_nm")


@dataclass
class Pairs:
    """How often pairs of images told focus, lately."""

    told: float = 0.5
    tried: float = 1.0

    @property
    def power(self) -> float:
        """Probability that the next pair tells."""
        return self.told / self.tried

    def count(self, told: bool) -> None:
        """Count a pair; earlier ones matter less with every one after it."""
        self.told = FORGETTING * self.told + told
        self.tried = FORGETTING * self.tried + 1.0


@dataclass(frozen=True)
class Recent:
    """An image that another one, at another C10, could be paired with: where, when, how wide, how far off focus.

    ``blur_share`` is the sd of its blur over its blur: how well its particles tell how sharp it is.
    """

    point_nm: Point
    end_s: float
    fov_nm: float
    C10_nm: float
    off_nm: float
    blur_share: float


class Belief:
    """All that the policy knows; a function of the setup and of the turns alone, so a replay rebuilds it exactly."""

    def __init__(self, setup: Setup, settings: BayesSettings) -> None:
        self.setup = setup
        self.settings = settings
        self.grid = Grid(setup.card)
        self.book = Book(setup)
        self.focus = Focus(settings.focus, setup)
        self.pointing = Pointing(setup)
        self.exposure = Exposure(self.grid, settings.beam)
        self.labels = Labels(self.grid)
        self.kinetics = Kinetics(setup.card)
        self.fields = {
            t.name: FieldBelief(t, setup.card, self.grid)
            for t in setup.card.targets
            if t.kind == "field" and t.name in FIELDS
        }
        self.visited_s: Array = np.full(len(self.grid.centres), -math.inf)
        self.visibility = settings.analyst.visibility
        self.pairs = Pairs()
        self.recent: Recent | None = None
        # An image off focus that still wants its partner, and how many images there were since the last pair.
        self.begun = False
        self.since_pair = 0
        self.since_spectrum = 0

    def ingest(self, turn: Turn) -> None:
        """Learn from one turn; one in which nothing ran only makes an earlier image no partner of a pair any more."""
        self.book.ingest(turn)
        before, self.recent = self.recent, None
        command, percept = turn.command, turn.percept
        if command is None or percept is None or command.acquire is None:
            return
        self.pointing.ingest(turn)
        if command.acquire.mode != "HAADF":
            self.labels.asked(percept.x_nm, percept.y_nm)
            self.since_spectrum = 0
            self.recent = before
        elif percept.width_nm > 0.0 and percept.height_nm > 0.0:
            self.since_pair += 1
            self.since_spectrum += 1
            self._count_pair(command, percept, before)
            self._see(command, percept)
        height_nm = command.acquire.fov_nm * command.acquire.pixels_y / command.acquire.pixels_x
        on_s = command.acquire.max_frames * frame_s(command.acquire, self.setup.capabilities)
        electrons = (command.set.optics.beam_current_pA or 0.0) * on_s * ELECTRONS_PER_PA_S
        self.exposure.add(Box(percept.x_nm, percept.y_nm, command.acquire.fov_nm, height_nm), electrons)

    @property
    def left(self) -> float:
        """What knowing all fields exactly would add, in units of the score."""
        return sum(
            f.target.weight * float(np.sqrt(f.process.var).sum()) / (SQRT_PI * f.target.crps_scale)
            for f in self.fields.values()
        )

    def due(self, clock_s: float) -> str | None:
        """The proposer whose turn it is whatever else pays: focus is kept, and what features are is checked."""
        if self._focus_due(clock_s):
            return "refocus"
        return "spectrum" if self.since_spectrum >= self.settings.spectrum.every else None

    def _focus_due(self, clock_s: float) -> bool:
        """Whether the first image of a pair is due, or its second one; not where little of the run is left to gain."""
        settings = self.settings.refocus
        if self.setup.end_s - clock_s < LATE_SHARE * (self.setup.end_s - self.setup.start_s):
            return False
        _, var = self.focus.over(self.grid.places, clock_s)
        if float(np.sqrt(var.mean())) <= settings.tolerance_nm:
            return False
        return self.begun or self.since_pair >= settings.every

    def clock(self, clock_s: float) -> float:
        """Time from the start of the run, in s."""
        return clock_s - self.setup.start_s

    def last_looks(self) -> Looks:
        """A look at every cell when the run ends, (N,), at what is believed of it and exposed as it is now."""
        count, radius_nm = (self._at_end(name) for name in ("count", "mean_radius_nm"))
        sd_nm = np.full(len(count), LAST_LOOK_SD_NM)
        return Looks(np.asarray(self.kinetics.end_s), self.exposure.seconds, weight(count, radius_nm, sd_nm))

    def _at_end(self, name: str) -> Array:
        cells = len(self.grid.centres)
        if name not in self.fields:
            return np.zeros(cells)
        field = self.fields[name]
        return np.maximum(np.array(field.target.prior_mean[-cells:]) + field.process.mean[-cells:], 0.0)

    def blur_nm(self, focus_var_nm2: Array) -> Array:
        """Blur, nm, from a variance of C10, at the convergence semi-angle."""
        return np.asarray(NM_PER_MRAD_NM * self.setup.capabilities.convergence_semi_angle_mrad * np.sqrt(focus_var_nm2))

    def image(self, command: Command, focus_var_nm2: Array) -> analyst.Image:
        """What an image command gives at places with this variance of C10, as the analyst's model needs it."""
        acquire = command.acquire
        assert acquire is not None
        pixel_nm = acquire.fov_nm / acquire.pixels_x
        electrons = (command.set.optics.beam_current_pA or 0.0) * acquire.dwell_s * ELECTRONS_PER_PA_S
        dose = np.full(focus_var_nm2.shape, acquire.max_frames * electrons / pixel_nm**2)
        return analyst.Image(dose, pixel_nm, self.blur_nm(focus_var_nm2), self.visibility)

    def _see(self, command: Command, percept: Percept) -> None:
        box = Box(percept.x_nm, percept.y_nm, percept.width_nm, percept.height_nm)
        off_nm, focus_var_nm2 = self._refocus(command, percept)
        self.labels.ingest(percept, box)
        shares = self.grid.shares(box)
        covered = np.flatnonzero(shares >= self.settings.analyst.least_share)
        image = self.image(command, np.full(len(covered), off_nm**2 + focus_var_nm2))
        limit_nm = percept.quality.get("detection_limit_nm", 0.0)
        if len(covered) and limit_nm > 0.0 and image.dose_e_per_nm2[0] > 0.0:
            seen = float(analyst.visibility_from(limit_nm, image, self.settings.analyst)[0])
            self.visibility = math.exp((1.0 - LEARNING) * math.log(self.visibility) + LEARNING * math.log(seen))
        t_s = self.clock((percept.start_s + percept.end_s) / 2)
        self.visited_s[covered] = t_s
        self._measure(percept, covered, shares, image, t_s)

    def _count_pair(self, command: Command, percept: Percept, before: Recent | None) -> None:
        """Count the image as the second of a pair where it was one, and whether the pair told focus."""
        offset_nm, C10_nm = self.settings.refocus.offset_nm, command.set.optics.C10_nm
        if C10_nm is None:
            return
        place = (percept.x_nm, percept.y_nm)
        paired = (
            before is not None
            and abs(C10_nm - before.C10_nm) > offset_nm / 2
            and math.dist(place, before.point_nm) < SAME_PLACE * before.fov_nm
        )
        off_nm = C10_nm - self.focus.best(place, percept.end_s)[0]
        attempt = paired or abs(off_nm) > offset_nm / 2
        # The partner is due at once or not at all, and not of an image that shows too little to be paired.
        tells = _blur_share(percept) < self.settings.refocus.most_blur_share
        self.begun = attempt and not paired and tells and not self.begun
        if attempt:
            self.since_pair = 0
        if paired:
            self.pairs.count(ESTIMATE in percept.estimates)

    def _refocus(self, command: Command, percept: Percept) -> tuple[float, float]:
        """Learn focus from an image; returns how far off it was and the variance of the C10 in focus, nm and nm^2."""
        assert command.acquire is not None
        C10_nm = command.set.optics.C10_nm
        if C10_nm is None:
            return 0.0, 0.0
        point = (percept.x_nm, percept.y_nm)
        self.focus.ingest(percept, C10_nm)
        best_nm, sd_nm = self.focus.best(point, percept.end_s)
        off_nm, share = C10_nm - best_nm, _blur_share(percept)
        self.recent = Recent(point, percept.end_s, command.acquire.fov_nm, C10_nm, off_nm, share)
        return off_nm, sd_nm**2

    def _measure(
        self, percept: Percept, covered: NDArray[np.intp], shares: Array, image: analyst.Image, t_s: float
    ) -> None:
        values = self._values(percept, shares)
        noise = analyst.noise(
            values["count"][covered],
            values["mean_radius_nm"][covered],
            shares[covered],
            self.grid.cell_nm,
            image,
            self.settings.analyst,
        )
        seen = values["count"][covered] * shares[covered]
        radius_nm = values["mean_radius_nm"][covered]
        weights = weight(seen, radius_nm, analyst.outline_nm(radius_nm, image))
        self.kinetics.look(covered, Looks(np.asarray(t_s), self.exposure.seconds[covered], weights))
        for name, field in self.fields.items():
            for i, cell in enumerate(covered):
                measurement = Measurement(
                    cell=int(cell),
                    t_s=t_s,
                    exposure_s=float(self.exposure.seconds[cell]),
                    value=float(values[name][cell]),
                    noise_var=float(noise.of(name)[i]),
                )
                field.append(measurement, self.settings.least_nats)

    def _values(self, percept: Percept, shares: Array) -> dict[str, Array]:
        """Count, covered fraction and mean radius of every cell, (N,), from the part of it that was seen."""
        cells = len(self.grid.centres)
        count, area_nm2, radius_nm = np.zeros(cells), np.zeros(cells), np.zeros(cells)
        for particle in percept.particles:
            cell = self.grid.cell_of((particle.x_nm, particle.y_nm))
            if cell is None:
                continue
            count[cell] += particle.real
            area_nm2[cell] += particle.real * math.pi * particle.radius_nm**2
            radius_nm[cell] += particle.real * particle.radius_nm
        seen = np.maximum(shares, self.settings.analyst.least_share)
        return {
            "count": count / seen,
            "covered_fraction": area_nm2 / seen / self.grid.cell_nm**2,
            "mean_radius_nm": np.where(count > 0.0, radius_nm / np.maximum(count, 1e-9), 0.0),
        }


def _blur_share(percept: Percept) -> float:
    """The sd of an image's blur over its blur; infinite where nothing shows it."""
    blur = percept.estimates.get(BLUR)
    return blur.sd / blur.value if blur is not None and blur.value > 0.0 else math.inf
