"""From counted columns to readings of a cell: what was counted, and how sure that is.

It stands where other worlds have a network (``network``): same call, same way to be shipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from agent.perception.network import unshrunk

Array = NDArray[np.float64]

HOW, KINDS = 5, 3
"""Inputs are how a patch was looked at (HOW numbers), what ``Columns.told`` says, and how late in the run it was."""

MOST_TOLD = 0.95
"""What was counted says at least something: its sd is below this share of the worlds'."""

ARRAYS = ("beside", "wider", "target_mean", "target_sd")


@dataclass(frozen=True)
class Counting:
    """Readings of KINDS of defects in cells.

    ``target_mean`` and ``target_sd`` (KINDS,) are those of the worlds that it was fitted on. Since nobody knows where a
    field is to better than the stage and the drift, some of what was counted belongs to cells beside it: that adds a
    variance of ``beside[0]`` + ``beside[1]`` x (share of the run that is over), times the number that is usual around
    there (half of what was counted, half of what all worlds have). ``wider`` (KINDS,) multiplies errors of counting.

    Counts are right on average, also where they know next to nothing: no share of a variance is too little to be told.
    """

    least_told: ClassVar[float] = 0.0

    beside: Array
    wider: Array
    target_mean: Array
    target_sd: Array

    def __call__(self, inputs: Array) -> tuple[Array, Array]:
        """Mean and sd (..., KINDS) of numbers in cells, for inputs (..., N), by the worlds that it was fitted on."""
        number = inputs[..., HOW : HOW + KINDS] ** 2
        sd = np.minimum(np.exp(inputs[..., HOW + KINDS : HOW + 2 * KINDS]), MOST_TOLD * self.target_sd)
        value, error = unshrunk(number, sd, self.target_mean, self.target_sd)
        around = (number + self.target_mean) / 2
        var = (self.wider * error) ** 2 + around * (self.beside[0] + self.beside[1] * inputs[..., -1:])
        trust = self.target_sd**2 / (self.target_sd**2 + var)
        return self.target_mean + trust * (value - self.target_mean), np.sqrt(trust * var)

    def arrays(self, name: str) -> dict[str, NDArray[np.float32]]:
        """What is shipped of it, by name."""
        return {f"{name}.{key}": getattr(self, key).astype(np.float32) for key in ARRAYS}

    @classmethod
    def of(cls, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> Counting:
        """Read one of a file."""
        return cls(*(np.asarray(arrays[f"{name}.{key}"], dtype=np.float64) for key in ARRAYS))
