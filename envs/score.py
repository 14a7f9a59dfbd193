"""How good a report is: S = 1 for the exact truth, 0 for no better than the prior, below 0 for misled; never clipped.

S = sum_q w_q [1 - sum CRPS(report_q, truth_q) / crps_scale_q], the scale being the expected CRPS of the prior. A target
whose unit is ``probability`` is scored by Brier's rule in place of the CRPS, its standard deviations left aside.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from hardware_bridge.report import Card, Report

Array = NDArray[np.float64]
Truth = Mapping[str, Sequence[float]]

PROBABILITY = "probability"


def crps_gaussian(mean: ArrayLike, sd: ArrayLike, value: ArrayLike) -> Array:
    """Continuous ranked probability score of Gaussian forecasts; in the unit of the value, 0 is exact.

    sd [z (2 Phi(z) - 1) + 2 phi(z) - 1/sqrt(pi)], z = (value - mean) / sd: Gneiting and Raftery, J. Am. Stat. Assoc.
    102 (2007) 359, eq. 21. Where sd is 0 it is the absolute error.
    """
    mean, sd, value = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (mean, sd, value)))
    error = np.abs(value - mean)
    z = np.divide(error, sd, out=np.zeros_like(error), where=sd > 0)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    spread = sd * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / math.sqrt(math.pi))
    return np.asarray(np.where(sd > 0, spread, error))


def losses(unit: str, mean: ArrayLike, sd: ArrayLike, value: ArrayLike) -> Array:
    """What each claim about a target in this unit loses, elementwise: Gaussian CRPS, or Brier's score of a probability.

    (probability - outcome)^2: Brier, Mon. Weather Rev. 78 (1950) 1.
    """
    if unit == PROBABILITY:
        return np.asarray((np.asarray(mean, dtype=np.float64) - np.asarray(value, dtype=np.float64)) ** 2)
    return crps_gaussian(mean, sd, value)


def score(report: Report, truth: Truth, card: Card) -> tuple[float, dict[str, float]]:
    """Score a report against the truth of its world: (S, the score of each target), the latter unweighted.

    Raises:
        ValueError: a target is missing or has the wrong number of values.
    """
    parts: dict[str, float] = {}
    total = 0.0
    for target in card.targets:
        claimed, true = report.targets.get(target.name), truth.get(target.name)
        wanted = len(target.prior_mean)
        if claimed is None or true is None or not len(claimed.mean) == len(claimed.sd) == len(true) == wanted:
            raise ValueError(f"target {target.name}: report and truth must each hold {wanted} values")
        loss = float(losses(target.unit, claimed.mean, claimed.sd, true).sum())
        parts[target.name] = 1.0 - loss / target.crps_scale
        total += target.weight * parts[target.name]
    return total, parts
