"""The belief about one field of the world: a Gaussian process over cells and time around the card's prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardware_bridge.report import Card, Target
from policies.bayes.gp import Block, GaussianProcess
from policies.bayes.grid import Grid
from policies.bayes.kernel import Array, SpaceTimeKernel

# Without an entry on the card: half of the variance in common, correlated over a third of the run and over a cell.
DEFAULT_SHARED_SHARE = 0.5
LEAST_SD_SHARE = 1e-3
COUPLING = "beam_coupling"


@dataclass(frozen=True)
class Measurement:
    """What an image said of one cell at one time (from the start of the run): value and variance of its noise.

    ``exposure_s`` is how long radicals at unit level had acted on the cell.
    """

    cell: int
    t_s: float
    exposure_s: float
    value: float
    noise_var: float


@dataclass(frozen=True)
class Refit:
    """A fitted kernel and the process that has learned the first ``learned`` measurements with it."""

    kernel: SpaceTimeKernel
    process: GaussianProcess
    learned: int


def card_kernel(target: Target, card: Card) -> SpaceTimeKernel:
    """The kernel of a field as the card of its world states it."""
    return SpaceTimeKernel(
        shared_share=min(max(card.kernel.get(f"{target.name}.shared_share", DEFAULT_SHARED_SHARE), 0.0), 1.0),
        time_s=card.kernel.get(f"{target.name}.time_s", card.duration_s / 3),
        length_nm=card.kernel.get(f"{target.name}.length_nm", card.extent_nm / card.cells),
    )


class FieldBelief:
    """What is believed of one field at all cells and asked times.

    Watched are the target's values in the card's order (time, row, column). The beam makes an exposed cell older,
    coupling * exposure seconds ahead of its time: a measurement of it tells the undisturbed cell at that age, as well
    as the coupling is known.
    """

    def __init__(self, target: Target, card: Card, grid: Grid) -> None:
        self.target = target
        self.grid = grid
        cells = card.cells**2
        # Before the start there is nothing: the prior goes from zero at time zero through the card's times.
        self.times_s = np.array([0.0, *card.times_s])
        nothing = np.zeros((1, cells))
        self._means = np.concatenate([nothing, np.reshape(target.prior_mean, (-1, cells))])
        self._sds = np.concatenate([nothing, np.reshape(target.prior_sd, (-1, cells))])
        self._least_sd = LEAST_SD_SHARE * float(np.max(self._sds)) or 1e-12
        coupling = next((t for t in card.targets if t.name == COUPLING), None)
        self._coupling = (coupling.prior_mean[0], coupling.prior_sd[0]) if coupling else (0.0, 0.0)
        self.kernel = card_kernel(target, card)
        self.measurements: list[Measurement] = []
        self.watched = np.concatenate([self.points(t, np.zeros(cells)) for t in card.times_s])
        self.process = GaussianProcess(self.kernel, self.watched)

    def prior(self, t_s: Array) -> tuple[Array, Array]:
        """Prior mean and sd of every cell, (N,), each at its own time from the start, (N,)."""
        return self.at(self._means, t_s), np.maximum(self.at(self._sds, t_s), self._least_sd)

    def pace(self, t_s: Array) -> Array:
        """How fast the prior mean of every cell changes at its time, (N,), in the field's unit a second."""
        i, cells = self._interval(t_s), np.arange(len(t_s))
        rise = self._means[i, cells] - self._means[i - 1, cells]
        return np.asarray(rise / (self.times_s[i] - self.times_s[i - 1]))

    def ages(self, t_s: float, exposure_s: Array) -> Array:
        """How old every cell looks at a time, (N,) s: the beam's expected part added."""
        return t_s + self._coupling[0] * exposure_s

    def points(self, t_s: float, exposure_s: Array) -> Array:
        """The points of all cells at one time, (N, 5), for cells that were exposed for so long.

        The coupling is their one global: what it may differ from its prior mean makes cells older or younger.
        """
        ages = self.ages(t_s, exposure_s)
        _, sd = self.prior(ages)
        ahead = self.pace(ages) * self._coupling[1] * exposure_s
        x, y = self.grid.centres.T
        return np.stack([x, y, ages, sd, ahead], axis=1)

    def append(self, measurement: Measurement, least_nats: float) -> None:
        """Learn from one measurement, unless it tells less than ``least_nats`` about its own cell."""
        point, residual = self.residual(measurement)
        if self.process.append(point, residual, measurement.noise_var, least_nats):
            self.measurements.append(measurement)

    def learn(self, process: GaussianProcess, measurement: Measurement) -> None:
        """Teach a measurement to a process of this field."""
        point, residual = self.residual(measurement)
        process.append(point, residual, measurement.noise_var)

    def residual(self, measurement: Measurement) -> tuple[Array, float]:
        """The point, (5,), of a measurement and how far it lies from what was expected without any."""
        exposure = np.full(len(self.grid.centres), measurement.exposure_s)
        point = self.points(measurement.t_s, exposure)[measurement.cell]
        return point, measurement.value - float(self.expected(measurement.t_s, exposure)[measurement.cell])

    def rebuilt(self, kernel: SpaceTimeKernel, measurements: list[Measurement]) -> GaussianProcess:
        """A new process with another kernel that has learned the given measurements."""
        process = GaussianProcess(kernel, self.watched)
        for measurement in measurements:
            self.learn(process, measurement)
        return process

    def adopt(self, fitted: Refit) -> None:
        """Go over to a fitted kernel and its process, taught what came since: to both at once, or to neither."""
        for measurement in self.measurements[fitted.learned :]:
            self.learn(fitted.process, measurement)
        self.kernel, self.process = fitted.kernel, fitted.process

    def block(self, t_s: float, exposure_s: Array) -> Block:
        """The joint posterior of what can be measured in all cells at a time, and its covariance with the watched."""
        return self.process.block(self.points(t_s, exposure_s))

    def expected(self, t_s: float, exposure_s: Array) -> Array:
        """What is expected to be measured in every cell, (N,), before any measurement."""
        return self.prior(self.ages(t_s, exposure_s))[0]

    def at(self, table: Array, t_s: Array) -> Array:
        """A table, (1 + times, N), interpolated for every cell at its own time, (N,); its first row is the start.

        After the last asked time it goes on as before it.
        """
        i, cells = self._interval(t_s), np.arange(len(t_s))
        share = np.maximum((t_s - self.times_s[i - 1]) / (self.times_s[i] - self.times_s[i - 1]), 0.0)
        return np.asarray((1.0 - share) * table[i - 1, cells] + share * table[i, cells])

    def _interval(self, t_s: Array) -> NDArray[np.intp]:
        return np.clip(np.searchsorted(self.times_s, t_s, side="right"), 1, len(self.times_s) - 1)
