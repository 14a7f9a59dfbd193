"""Fits what counted columns leave open, on looks at training worlds: which cell they are of, how honest errors are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from agent.perception.counting import KINDS, Counting

Array = NDArray[np.float64]

START = np.log([0.3, 0.3, *[1.0] * KINDS])
LEAST_ln, MOST_ln, FREEDOM = -7.0, 2.0, 6.0


def counting(inputs: Array, truth: Array) -> Counting:
    """The counting under which the true numbers (n, KINDS) of looks with inputs (n, N) are most likely.

    Errors are taken for those of Student's t with FREEDOM: a few looks count another cell altogether.
    """
    mean, sd = truth.mean(axis=0), truth.std(axis=0) + 1e-9

    def made(logs: Array) -> Counting:
        each = np.exp(np.clip(logs, LEAST_ln, MOST_ln))
        return Counting(each[:2], each[2:], mean, sd)

    def surprise(logs: Array) -> float:
        expected, error = made(logs)(inputs)
        z = (truth - expected) / error
        return float((np.log(error) + (FREEDOM + 1) / 2 * np.log1p(z**2 / FREEDOM)).mean())

    found = minimize(surprise, START, method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-3, "fatol": 1e-6})
    return made(found.x)
