"""How what a beam takes away tells of the couplings by which it does: a linear Gaussian model of logarithms.

Losses y (K,) between two looks, at a dose d and t later, in a world whose couplings have the standardised logarithms g:
  y = d (m + A g) + t n + e,   e ~ N(0, diag(sd^2) + C0 + d^2 C1),   C = L L^T + diag(s^2)
where sd is the error of counting, C0 what else changes at a place (much of it at some: e is Student's t as a whole),
and C1 what makes a dose act as a greater or smaller one. g is then told in closed form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from agent.perception.again import ALIKE, BLIND, Change

Array = NDArray[np.float64]

FREEDOM = 4.0
"""Degrees of freedom of Student's t."""

LEAST_TOLD = 0.1
"""What leaves more than 1 - this of the variance of a logarithm tells nothing."""


@dataclass(frozen=True)
class Response:
    """The model of a world, of K losses and G couplings.

    ``middle`` and ``spread`` (G,) are mean and sd of the couplings' logarithms in the worlds that it was trained on,
    ``together`` (G, G) their correlation. ``mean`` and ``later`` (K,) are m and n, ``slopes`` (K, G) is A; ``common``
    and ``common_dosed`` (K, R) are L of C0 and C1, ``own`` and ``own_dosed`` (K,) their s. All hold for electrons that
    were spread over squares of ``pixel_nm`` (1,): of a smaller one more drifts away from under the beam.
    """

    middle: Array
    spread: Array
    together: Array
    mean: Array
    later: Array
    slopes: Array
    common: Array
    own: Array
    common_dosed: Array
    own_dosed: Array
    pixel_nm: Array

    def told(self, change: Change) -> tuple[Array, Array]:
        """Mean (G,) and variance (G,) of the standardised logarithms, by the worlds that it was trained on."""
        dose = change.dose
        spread = np.diag(change.sd**2 + self.own**2 + (dose * self.own_dosed) ** 2)
        spread = spread + self.common @ self.common.T + dose**2 * self.common_dosed @ self.common_dosed.T
        lower = np.linalg.cholesky(spread)
        surprise = change.lost - dose * self.mean - change.waited * self.later
        white = np.linalg.solve(lower, np.column_stack([dose * self.slopes, surprise]))
        rows, said = white[:, :-1], white[:, -1]
        prior = np.linalg.inv(self.together)
        left = said - rows @ np.linalg.solve(rows.T @ rows + prior, rows.T @ said)
        weight = (FREEDOM + np.count_nonzero(change.sd < BLIND)) / (FREEDOM + float(left @ left))
        var = np.linalg.inv(weight * rows.T @ rows + prior)
        return weight * var @ (rows.T @ said), np.diag(var).copy()

    def knows(self, change: Change) -> bool:
        """Whether a change is in fields of the size that it was trained on."""
        return abs(change.pixel_nm / float(self.pixel_nm[0]) - 1) < ALIKE

    def __call__(self, change: Change) -> tuple[Array, Array]:
        """Readings of the couplings (G,) without a prior, and their sd; what tells nothing has no end.

        Couplings follow their logarithms along the line that suits the worlds of training best, give or take what it
        misses. Along the exponential the sd of a reading would follow its value, and low ones would count most.
        """
        mean, var = self.told(change)
        told = (var < 1 - LEAST_TOLD) & self.knows(change)
        left = np.where(told, 1 - var, 1.0)
        middle, sd = self.prior()
        slope = middle * self.spread
        error = np.sqrt(slope**2 * var / left + sd**2 - slope**2)
        return middle + slope * mean / left, np.where(told, error, np.inf)

    def prior(self) -> tuple[Array, Array]:
        """Mean and sd of the couplings (G,) in the worlds of training: of what has a normal logarithm."""
        mean = np.exp(self.middle + self.spread**2 / 2)
        return mean, mean * np.sqrt(np.expm1(self.spread**2))

    def arrays(self, name: str) -> dict[str, NDArray[np.float32]]:
        """What is shipped of it, by name."""
        return {f"{name}.{each.name}": getattr(self, each.name).astype(np.float32) for each in fields(self)}

    @classmethod
    def of(cls, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> Response:
        """Read one of the models of a file."""
        return cls(*(np.asarray(arrays[f"{name}.{each.name}"], dtype=np.float64) for each in fields(cls)))
