"""A policy that knows the truth: what the same proposers could reach at best. For evaluation only."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.special import ndtr

from hardware_bridge.report import Report, Target
from policies.bayes.kernel import Array
from policies.bayes.policy import BayesPolicy
from policies.bayes.settings import BayesSettings
from policies.bayes.worth import SQRT_PI, Constant, Outcome, Prospect
from policies.greedy import Greedy
from policies.interface import Setup

LEAST_SD = 1e-12


def crps(mean: Array, sd: Array, truth: Array) -> Array:
    """CRPS of Gaussian claims, elementwise (Gneiting and Raftery, JASA 102, 359, 2007, eq. 21)."""
    spread = np.maximum(sd, LEAST_SD)
    z = (truth - mean) / spread
    density = np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
    return np.asarray(spread * (z * (2.0 * ndtr(z) - 1.0) + 2.0 * density - 1.0 / SQRT_PI))


class TrueWorth:
    """The drop of the true CRPS that a measurement would bring, given what the report says now.

    ``truth`` holds the true values of every target in the card's order. A measurement is taken to show the truth of
    its time, interpolated between the asked times from nothing at the start; the report moves as the belief's process
    would.
    """

    def __init__(
        self,
        targets: tuple[Target, ...],
        truth: Mapping[str, Sequence[float]],
        report: Callable[[], Report],
    ) -> None:
        missing = sorted(t.name for t in targets if len(truth.get(t.name, ())) != len(t.prior_mean))
        if missing:
            raise ValueError(f"the truth needs as many values as the card for: {', '.join(missing)}")
        self.truth = {name: np.asarray(values, dtype=np.float64) for name, values in truth.items()}
        self._report = report
        self.now = report()

    def look(self) -> None:
        """Read the report again; it is what a decision starts from."""
        self.now = self._report()

    def __call__(self, prospect: Prospect) -> Array:
        """Return the drop of the weighted, normalised CRPS of each candidate, (c,)."""
        total = np.zeros(1)
        for result in prospect.outcomes:
            total = total + self._of_field(result)
        for constant in prospect.constants:
            total = total + self._of_global(constant)
        return total

    def _of_field(self, result: Outcome) -> Array:
        target = result.field.target
        said = self.now.targets[target.name]
        mean, sd, truth = np.array(said.mean), np.array(said.sd), self.truth[target.name]
        surprise = self._at(result)[result.cells] - self._said_at(result, mean)[result.cells]
        moved = mean + np.einsum("ck,ckm->cm", surprise, result.gain)
        left = 1.0 - result.reduction / np.maximum(result.var, LEAST_SD**2)
        narrowed = sd * np.sqrt(np.clip(left, 0.0, 1.0))
        drop = (crps(mean, sd, truth) - crps(moved, narrowed, truth)).sum(axis=1)
        return np.asarray(target.weight * drop / target.crps_scale)

    def _of_global(self, constant: Constant) -> Array:
        target, left = constant.target, constant.after / constant.before
        said = self.now.targets[target.name]
        mean, sd, truth = np.array(said.mean), np.array(said.sd), self.truth[target.name]
        # The expected mean moves towards the truth by the share of the variance that goes.
        moved = mean + (1.0 - left**2) * (truth - mean)
        drop = crps(mean, sd, truth) - crps(moved, sd * left, truth)
        return np.asarray(target.weight * drop / target.crps_scale)

    def _at(self, result: Outcome) -> Array:
        """The truth of all cells at the age they have at the measurement, (N,)."""
        return self._interpolated(result, self.truth[result.field.target.name])

    def _said_at(self, result: Outcome, mean: Array) -> Array:
        return self._interpolated(result, mean)

    def _interpolated(self, result: Outcome, values: Array) -> Array:
        cells = len(result.field.grid.centres)
        table = np.concatenate([np.zeros((1, cells)), values.reshape(-1, cells)])
        return result.field.at(table, result.ages_s)


class Clairvoyant(BayesPolicy):
    """The Bayesian policy's proposers and chooser, with the true value of every candidate."""

    name = "clairvoyant"
    sees_truth = True

    def __init__(
        self, settings: BayesSettings, truth: Mapping[str, Sequence[float]], report: Callable[[], Report]
    ) -> None:
        super().__init__(settings)
        self._truth = truth
        self._report = report

    def begin(self, setup: Setup, seed: int) -> None:
        """Start a run.

        Raises:
            ValueError: the truth does not have the values that the card asks for.
        """
        super().begin(setup, seed)
        self.worth = TrueWorth(setup.card.targets, self._truth, self._report)


class ForeknowingGreedy(Greedy):
    """Greedy over looks whose outlook knows the truth."""

    name = "clairvoyant"
    sees_truth = True
