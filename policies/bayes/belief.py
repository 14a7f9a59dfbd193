"""What the Bayesian policy believes: fields, focus, exposure and labels, all learned from turns in order."""

from __future__ import annotations

import math

import numpy as np

from hardware_bridge.cost import ELECTRONS_PER_PA_S, frame_s
from hardware_bridge.geometry import Point
from hardware_bridge.messages import Command
from hardware_bridge.report import Percept
from policies.bayes import analyst
from policies.bayes.exposure import Exposure
from policies.bayes.fields import FieldBelief, Measurement
from policies.bayes.grid import Box, Grid
from policies.bayes.kernel import Array
from policies.bayes.labels import Labels
from policies.bayes.settings import BayesSettings
from policies.book import Book
from policies.focus import Focus
from policies.interface import Setup, Turn
from policies.pointing import Pointing

NM_PER_MRAD_NM = 1e-3
FIELDS = ("covered_fraction", "count", "mean_radius_nm")


class HalfPair:
    """A refocus pair of which one image was taken: where, and on which side of focus."""

    def __init__(self, point_nm: Point, offset_nm: float) -> None:
        self.point_nm = point_nm
        self.offset_nm = offset_nm


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
        self.fields = {
            t.name: FieldBelief(t, setup.card, self.grid, settings.rate_share.of(t.name))
            for t in setup.card.targets
            if t.kind == "field" and t.name in FIELDS
        }
        self.visited_s: Array = np.full(len(self.grid.centres), -math.inf)
        self.half_pair: HalfPair | None = None

    def ingest(self, turn: Turn) -> None:
        """Learn from one turn; a turn in which nothing ran only ends a pair that was begun."""
        self.book.ingest(turn)
        self.half_pair, begun = None, self.half_pair
        command, percept = turn.command, turn.percept
        if command is None or percept is None or command.acquire is None:
            return
        self.pointing.ingest(turn)
        box = Box(percept.x_nm, percept.y_nm, percept.width_nm, percept.height_nm)
        if percept.width_nm == 0.0 or percept.height_nm == 0.0:
            return
        on_s = command.acquire.max_frames * frame_s(command.acquire, self.setup.capabilities)
        electrons = (command.set.optics.beam_current_pA or 0.0) * on_s * ELECTRONS_PER_PA_S
        if command.acquire.mode == "HAADF":
            self._follow_pair(command, percept, begun)
            self._see(command, percept, box)
        else:
            self.labels.asked(percept.x_nm, percept.y_nm)
        self.exposure.add(box, electrons)

    def clock(self, clock_s: float) -> float:
        """Time from the start of the run, in s."""
        return clock_s - self.setup.start_s

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
        return analyst.Image(dose, pixel_nm, self.blur_nm(focus_var_nm2))

    def _see(self, command: Command, percept: Percept, box: Box) -> None:
        C10_nm = command.set.optics.C10_nm
        off_nm2 = 0.0
        if C10_nm is not None:
            self.focus.ingest(percept, C10_nm)
            best_nm, sd_nm = self.focus.best((box.x_nm, box.y_nm), percept.end_s)
            off_nm2 = sd_nm**2 + (C10_nm - best_nm) ** 2
        self.labels.ingest(percept, box)
        shares = self.grid.shares(box)
        covered = np.flatnonzero(shares >= self.settings.analyst.least_share)
        if not len(covered):
            return
        t_s = self.clock((percept.start_s + percept.end_s) / 2)
        self.visited_s[covered] = t_s
        values = self._values(percept, shares)
        image = self.image(command, np.full(len(covered), off_nm2))
        noise = analyst.noise(
            values["count"][covered],
            values["mean_radius_nm"][covered],
            shares[covered],
            self.grid.cell_nm,
            image,
            self.settings.analyst,
        )
        for name, field in self.fields.items():
            for i, cell in enumerate(covered):
                field.append(
                    Measurement(
                        cell=int(cell),
                        t_s=t_s,
                        exposure_s=float(self.exposure.seconds[cell]),
                        value=float(values[name][cell]),
                        noise_var=float(noise.of(name)[i]),
                    ),
                    self.settings.least_nats,
                )

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

    def _follow_pair(self, command: Command, percept: Percept, begun: HalfPair | None) -> None:
        C10_nm = command.set.optics.C10_nm
        if C10_nm is None or begun is not None:
            return
        # Before this image is learned from: what the command was made with.
        best_nm, _ = self.focus.best((percept.x_nm, percept.y_nm), percept.start_s)
        if abs(C10_nm - best_nm) > self.settings.refocus.offset_nm / 2:
            self.half_pair = HalfPair((percept.x_nm, percept.y_nm), C10_nm - best_nm)
