"""What a measurement is worth: the predicted information of DESIGN's score, in units of the score.

For a Gaussian report with sd s that is calibrated, the expected CRPS is s / sqrt(pi) (Gneiting and Raftery, JASA 102,
359, 2007). A measurement that lowers s to s' is therefore worth w (s - s') / (sqrt(pi) * crps_scale) on a target of
weight w.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hardware_bridge.report import Target
from policies.bayes.fields import FieldBelief
from policies.bayes.gp import Block
from policies.bayes.kernel import Array

SQRT_PI = math.sqrt(math.pi)


@dataclass(frozen=True)
class Outcome:
    """What measuring sets of cells would do to the watched values of one field.

    ``cells`` (c, k) are what each of c candidates measures; ``gain`` (c, k, m) is the change of the posterior mean per
    unit of surprise in each cell; ``reduction`` (c, m) the drop of the posterior variance. ``ages_s`` (N,) is how old
    every cell of the grid looks then.
    """

    field: FieldBelief
    cells: NDArray[np.intp]
    gain: Array
    reduction: Array
    ages_s: Array

    @property
    def var(self) -> Array:
        """Posterior variance of the watched values before the measurement, (m,)."""
        return self.field.process.var


@dataclass(frozen=True)
class Constant:
    """What candidates would do to a global of the world: its sd when the run ends without and with them, (c,)."""

    target: Target
    before: float
    after: Array


@dataclass(frozen=True)
class Prospect:
    """All that c candidates would do: to each field and to each global."""

    outcomes: list[Outcome]
    constants: list[Constant]


def outcome(field: FieldBelief, block: Block, cells: NDArray[np.intp], noise_var: Array, ages_s: Array) -> Outcome:
    """Work out what measuring sets of cells (c, k) with noises (c, k), of cells that look so old (N,), would do."""
    k = cells.shape[1]
    cov = block.cov[cells[:, :, None], cells[:, None, :]] + noise_var[:, :, None] * np.eye(k)
    cross = block.cross[cells]
    # Few cells and known noise: the inverse is well conditioned, and faster than a solve for so many watched values.
    gain = np.asarray(np.linalg.inv(cov) @ cross, dtype=np.float64)
    reduction = np.einsum("ckm,ckm->cm", cross, gain)
    return Outcome(field, cells, gain, np.minimum(reduction, field.process.var), ages_s)


class Worth(Protocol):
    """Turns what candidates would do into information."""

    def look(self) -> None:
        """Get ready for a decision."""
        ...

    def __call__(self, prospect: Prospect) -> Array:
        """Return the information of each candidate, (c,), in units of the score."""
        ...


def sd_drop(var: Array, reduction: Array) -> Array:
    """Drop of the standard deviation when a variance is reduced, elementwise."""
    return np.asarray(np.sqrt(var) - np.sqrt(np.maximum(var - reduction, 0.0)))


class ExpectedWorth:
    """The predicted information of somebody who does not know the truth: the weighted drop of sd."""

    def look(self) -> None:
        """All it needs is in the prospect."""

    def __call__(self, prospect: Prospect) -> Array:
        """Return the information of each candidate, (c,)."""
        total = np.zeros(1)
        for result in prospect.outcomes:
            target = result.field.target
            drop = sd_drop(result.var, result.reduction).sum(axis=1)
            total = total + target.weight * drop / (SQRT_PI * target.crps_scale)
        for constant in prospect.constants:
            drop = constant.before - constant.after
            total = total + constant.target.weight * drop / (SQRT_PI * constant.target.crps_scale)
        return total
