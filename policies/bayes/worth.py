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
from policies.bayes.fields import GLOBALS, FieldBelief
from policies.bayes.gp import Block
from policies.bayes.kernel import Array

SQRT_PI = math.sqrt(math.pi)


@dataclass(frozen=True)
class Outcome:
    """What measuring sets of cells would do to the watched values of one field.

    ``cells`` (c, k) are what each of c candidates measures; ``gain`` (c, k, m) is the change of the posterior mean
    per unit of surprise in each cell; ``reduction`` (c, m) the drop of the posterior variance ``var`` (m,). ``t_s``
    is when.
    """

    field: FieldBelief
    block: Block
    cells: NDArray[np.intp]
    gain: Array
    reduction: Array
    ages_s: Array

    @property
    def var(self) -> Array:
        """Posterior variance of the watched values before the measurement, (m,)."""
        return self.field.process.var


def outcome(field: FieldBelief, block: Block, cells: NDArray[np.intp], noise_var: Array, ages_s: Array) -> Outcome:
    """Work out what measuring sets of cells (c, k) with noises (c, k), of cells that look so old (N,), would do."""
    k = cells.shape[1]
    cov = block.cov[cells[:, :, None], cells[:, None, :]] + noise_var[:, :, None] * np.eye(k)
    cross = block.cross[cells]
    # Few cells and known noise: the inverse is well conditioned, and faster than a solve for so many watched values.
    gain = np.asarray(np.linalg.inv(cov) @ cross, dtype=np.float64)
    reduction = np.einsum("ckm,ckm->cm", cross, gain)
    return Outcome(field, block, cells, gain, np.minimum(reduction, field.process.var), ages_s)


class Worth(Protocol):
    """Turns outcomes of all fields into information."""

    def look(self) -> None:
        """Get ready for a decision."""
        ...

    def __call__(self, outcomes: list[Outcome]) -> Array:
        """Return the information of each candidate, (c,), in units of the score."""
        ...


def sd_drop(var: Array, reduction: Array) -> Array:
    """Drop of the standard deviation when a variance is reduced, elementwise."""
    return np.asarray(np.sqrt(var) - np.sqrt(np.maximum(var - reduction, 0.0)))


class ExpectedWorth:
    """The predicted information of somebody who does not know the truth: the weighted drop of sd.

    On a global the fields are not added up: the one that tells it best counts.
    """

    def __init__(self, targets: tuple[Target, ...]) -> None:
        self.globals = {t.name: t for t in targets if t.kind == "global" and t.name in GLOBALS}

    def look(self) -> None:
        """All it needs is in the outcomes."""

    def __call__(self, outcomes: list[Outcome]) -> Array:
        """Return the information of each candidate, (c,)."""
        total = np.zeros(len(outcomes[0].cells))
        for result in outcomes:
            target, last = result.field.target, -len(GLOBALS)
            drop = sd_drop(result.var[:last], result.reduction[:, :last]).sum(axis=1)
            total += target.weight * drop / (SQRT_PI * target.crps_scale)
        for name, target in self.globals.items():
            at = GLOBALS.index(name) - len(GLOBALS)
            before = min(r.var[at] for r in outcomes)
            after = np.min([r.var[at] - r.reduction[:, at] for r in outcomes], axis=0)
            drop = target.prior_sd[0] * (math.sqrt(before) - np.sqrt(np.maximum(after, 0.0)))
            total += target.weight * drop / (SQRT_PI * target.crps_scale)
        return total
