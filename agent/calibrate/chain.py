"""What causes moved something, when it also wanders by itself: regression of steps between successive readings.

A reading follows the causes (stage, beam shift, ...) linearly, drifts with time (a line and a parabola), walks at
random and jitters. Its steps then have a covariance q dt + r (2 on the diagonal, -1 beside it) + s^2, where s is the
error of a step as it was measured. How likely each q and r is follows from the residuals (restricted likelihood;
Patterson and Thompson, Biometrika 58, 545, 1971), and effects are averaged over them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from agent.perception.scan import Array

WALKS = np.concatenate([[0.0], np.geomspace(0.1, 300.0, 14)])
JITTERS = np.concatenate([[0.0], np.geomspace(0.3, 100.0, 7)])
"""Random walk in one mean time step, and jitter of a reading, in typical errors of a step: tried one by one."""

TRENDS_FROM = 8
"""The parabola is taken along only where there are so many more steps than causes."""


@dataclass(frozen=True)
class Explained:
    """Effects (p, c) of p causes on c components, with the covariance of each component's effects (c, p, p).

    ``walk_per_sqrt_s`` and ``jitter`` are the mean random walk and jitter.
    """

    effects: Array
    covariance: Array
    walk_per_sqrt_s: float
    jitter: float


def explain(causes: Array, mid_s: Array, steps: Array, step_sd: Array) -> Explained:
    """Find the effect of each cause on the steps between successive readings.

    ``causes`` (n + 1, p) are the settings at each reading, ``mid_s`` (n + 1,) its time, ``steps`` and ``step_sd``
    (n, c) what was measured between one reading and the next and its error.

    Raises:
        ValueError: fewer steps than there are unknowns and two more.
    """
    time = (mid_s - mid_s.mean()) / max(float(np.ptp(mid_s)), 1e-9)
    trend = [time, time**2] if len(steps) > causes.shape[1] + TRENDS_FROM else [time]
    design = np.diff(np.column_stack([causes, *trend]), axis=0)
    n, p = design.shape
    if n < p + 2:
        raise ValueError(f"{n} steps do not tell {p} unknowns apart")
    # Columns of like size, or normal equations lose what digits there are.
    size = np.linalg.norm(design, axis=0)
    design = design / size
    dt = np.diff(mid_s)
    typical = float(np.sqrt(np.mean(step_sd**2)))
    walks = np.diag(dt / dt.mean())
    jitters = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)

    def solved(walk: float, jitter: float) -> list[_Solved]:
        alike = typical**2 * (walk**2 * walks + jitter**2 * jitters)
        return [_Solved.of(design, steps[:, k], alike + np.diag(step_sd[:, k] ** 2)) for k in range(steps.shape[1])]

    tried = [(walk, jitter, solved(walk, jitter)) for walk in WALKS for jitter in JITTERS]
    misfit = np.array([sum(each.misfit for each in found) for _, _, found in tried])
    # All that the residuals allow, each by how likely it is: the few steps there are tell the variances poorly.
    likely = np.exp(misfit.min() - misfit)
    likely /= likely.sum()
    kept = causes.shape[1]
    effects = np.array([[each.effects[:kept] for each in found] for _, _, found in tried])
    inner = np.array([[each.covariance[:kept, :kept] for each in found] for _, _, found in tried])
    mean = np.einsum("t,tcp->cp", likely, effects)
    apart = effects - mean
    covariance = np.einsum("t,tcpq->cpq", likely, inner + np.einsum("tcp,tcq->tcpq", apart, apart))
    return Explained(
        effects=(mean / size[:kept]).T,
        covariance=covariance / np.outer(size[:kept], size[:kept]),
        walk_per_sqrt_s=typical * float(likely @ [walk for walk, _, _ in tried]) / math.sqrt(float(dt.mean())),
        jitter=typical * float(likely @ [jitter for _, jitter, _ in tried]),
    )


@dataclass(frozen=True)
class _Solved:
    """Generalised least squares: effects, their covariance, and minus the ln of the restricted likelihood."""

    effects: Array
    covariance: Array
    misfit: float

    @classmethod
    def of(cls, design: Array, seen: Array, covariance: Array) -> _Solved:
        factor = cho_factor(covariance, lower=True)
        weighted = cho_solve(factor, design)
        cov = np.asarray(np.linalg.inv(weighted.T @ design), dtype=np.float64)
        effects = cov @ (weighted.T @ seen)
        rest = seen - design @ effects
        spread = 2 * float(np.log(np.diag(factor[0])).sum()) - float(np.linalg.slogdet(cov)[1])
        return cls(effects, cov, 0.5 * (float(rest @ cho_solve(factor, rest)) + spread))
