"""What readings make of a Gaussian prior: exact conditioning, without ever writing a covariance down.

The covariance left after readings is C - F^T F, with C the prior's and one row of F (M, D) a reading. A new reading
costs its own column of that, and many worlds share one C. Arrays may have leading axes, one belief each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.perception.ensemble import Prior, Row, Single
from hardware_bridge.report import Report, TargetReport

PROBABILITY = "probability"
LEAST_VAR = 1e-6
"""Least variance that is left, of the prior's."""

MOST_FACTORS = 2
"""Factors are written anew, as few as there are values, when they are so many times as many."""


@dataclass(frozen=True)
class Rows:
    """m readings of each belief, as ``Row`` has them: places and weights (..., m, K), var and value (..., m).

    A reading with weights of 0 tells nothing, which fills up ragged batches.
    """

    places: NDArray[np.intp]
    weights: Single
    var: Single
    value: Single

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Rows:
        """The readings of one belief."""
        return cls(
            places=np.stack([row.places for row in rows]),
            weights=np.stack([row.weights for row in rows]).astype(np.float32),
            var=np.array([row.var for row in rows], dtype=np.float32),
            value=np.array([row.value for row in rows], dtype=np.float32),
        )


@dataclass(frozen=True)
class Belief:
    """A Gaussian over standardised values: ``mean`` and ``var`` (..., D), ``factors`` (..., M, D) as said above."""

    mean: Single
    var: Single
    factors: Single

    @classmethod
    def of(cls, prior: Prior, *leading: int) -> Belief:
        """The belief of somebody who has read nothing."""
        size = len(prior.mean)
        var = np.broadcast_to(np.diag(prior.correlation), (*leading, size))
        return cls(np.zeros((*leading, size), np.float32), var, np.zeros((*leading, 0, size), np.float32))

    def after(self, prior: Prior, rows: Rows) -> Belief:
        """The belief after readings."""
        factors, said = gain(prior.correlation, self, rows)
        kept = np.concatenate([self.factors, factors], axis=-2)
        if kept.shape[-2] > MOST_FACTORS * kept.shape[-1]:
            kept = np.asarray(np.linalg.qr(kept, mode="r"))
        return Belief(
            mean=self.mean + (said[..., None, :] @ factors)[..., 0, :],
            var=np.maximum(self.var - (factors**2).sum(axis=-2), LEAST_VAR),
            factors=kept,
        )


def gain(correlation: Single, belief: Belief, rows: Rows) -> tuple[Single, Single]:
    """New factors (..., m, D) that readings add, and what they have to say (..., m): their surprise, whitened."""
    weights, places = rows.weights, rows.places
    told = np.take_along_axis(belief.factors[..., None, :, :], places[..., None, :], axis=-1) @ weights[..., None]
    columns = (weights[..., None, :] @ correlation[places])[..., 0, :] - told[..., 0] @ belief.factors
    own = np.take_along_axis(columns[..., None, :], places[..., None, :, :], axis=-1) * weights[..., None, :, :]
    spread = own.sum(axis=-1, dtype=np.float64)
    expected = (np.take_along_axis(belief.mean[..., None, :], places, axis=-1) * weights).sum(axis=-1)
    noise = np.maximum(rows.var, LEAST_VAR)[..., None] * np.eye(places.shape[-2])
    lower = np.linalg.cholesky((spread + spread.swapaxes(-1, -2)) / 2 + noise)
    both = np.concatenate([columns, (rows.value - expected)[..., None]], axis=-1)
    white = np.linalg.solve(lower, both).astype(np.float32)
    return white[..., :-1], white[..., -1]


def report_of(prior: Prior, belief: Belief) -> Report:
    """What a belief (without leading axes) claims about all targets of a card.

    Fields stay within what the prior's ensemble holds, probabilities within 0 and 1.
    """
    mean = prior.mean + prior.sd * belief.mean
    sd = prior.sd * np.sqrt(belief.var)
    block, cells = len(prior.times_s) * prior.card.cells**2, prior.card.cells**2
    targets = {}
    for n, target in enumerate(prior.fields):
        asked = slice(n * block + cells, (n + 1) * block)
        low, high = (0.0, 1.0) if target.unit == PROBABILITY else (prior.low[n], prior.high[n])
        claimed = np.clip(mean[asked], low, high)
        targets[target.name] = TargetReport(mean=tuple(claimed.tolist()), sd=tuple(sd[asked].tolist()))
    for n, target in enumerate(prior.globals, start=len(prior.fields) * block):
        targets[target.name] = TargetReport(mean=(float(mean[n]),), sd=(float(sd[n]),))
    return Report(world=prior.card.world, targets=targets)
