"""Which elements a spectrum shows: each candidate's core edge as a step in what is otherwise smooth.

About the onset E_k of an edge, with those of other candidates that lie there too:

    counts(E) = A E^-r [1 + sum_j a_j Phi((E - E_j) / blur)]

Phi is the Gaussian step and a_k by how much the edge raises what is there, so nothing needs to be known of thickness,
current, gain or cross-section; atoms cannot be counted that way. The noise of a channel is measured on the spectrum
itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.special import ndtr

from agent.perception.scan import Array
from hardware_bridge.report import Estimate

Element = Literal[
    "C", "Ag", "N", "Ti", "O", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ge", "Al", "Si", "P", "Au", "S"
]  # fmt: skip
# Onsets of edges below 2.5 keV that stand out from the background, eV: Ahn and Krivanek, EELS Atlas (1983).
EDGES_eV: Mapping[Element, float] = {
    "C": 284.0, "Ag": 367.0, "N": 401.0, "Ti": 456.0, "O": 532.0, "Cr": 575.0, "Mn": 640.0, "Fe": 708.0, "Co": 779.0,
    "Ni": 855.0, "Cu": 931.0, "Zn": 1020.0, "Ge": 1217.0, "Al": 1560.0, "Si": 1839.0, "P": 2146.0, "Au": 2206.0,
    "S": 2472.0,
}  # fmt: skip
# What is fitted about an onset, eV, over what range an edge may rise (the one that fits best is taken), and how many of
# those must lie on the axis on either side of it.
BELOW_eV, ABOVE_eV = 200.0, 160.0
BLURS_eV, LEAST_BLURS = (5.0, 20.0, 50.0), 1.5
# Edges nearer to each other than so many of those are not told apart.
APART_BLURS = 2.0
# Prior sd of a step.
STEP_SD = 10.0
# Below this energy plasmons dominate, which are no smooth background.
FROM_eV = 120.0
ROUNDS = 12
SHARES = (1.0, 0.5, 0.2, 0.05)
NOISE_CHANNELS = 33
LEAST_CHANNELS = 30


def edge_steps(counts: Array, axis_eV: Array, elements: Sequence[Element]) -> dict[Element, Estimate]:
    """By how much each candidate's edge raises a spectrum, (E,) in any unit, as a share of what lies under it.

    An element is left out where the axis does not hold enough on both sides of its edge, where there is no signal, and
    where its edge is too near to be told from another one that is surer.
    """
    variance = _variance(counts)
    found: dict[Element, _Fit] = {}
    for name in elements:
        fits = [_fit(counts, variance, axis_eV, (name, *elements), blur_eV) for blur_eV in BLURS_eV]
        if best := min((fit for fit in fits if fit is not None), default=None, key=lambda fit: fit.misfit):
            found[name] = best
    return {name: fit.step for name, fit in found.items() if not _is_doubtful(name, found)}


@dataclass(frozen=True)
class _Fit:
    """A step with the blur that fitted best, and its reduced chi-square."""

    step: Estimate
    blur_eV: float
    misfit: float

    @property
    def snr(self) -> float:
        return self.step.value / self.step.sd


def _is_doubtful(name: Element, found: Mapping[Element, _Fit]) -> bool:
    """Whether an edge nearby, within what both are blurred by, explains the rise better."""
    return any(
        abs(EDGES_eV[name] - EDGES_eV[other]) < APART_BLURS * max(found[name].blur_eV, fit.blur_eV)
        and fit.snr > found[name].snr
        for other, fit in found.items()
        if other != name
    )


def _fit(counts: Array, variance: Array, axis_eV: Array, names: Sequence[Element], blur_eV: float) -> _Fit | None:
    """The step of the first of these elements; others count where they lie in its window and can be told from it."""
    onset_eV, reach_eV = EDGES_eV[names[0]], LEAST_BLURS * blur_eV
    use = (axis_eV > max(onset_eV - BELOW_eV, FROM_eV)) & (axis_eV < onset_eV + ABOVE_eV)
    energy, seen = axis_eV[use], counts[use]
    if energy.size < LEAST_CHANNELS or not float(seen.mean()) > 0.0:
        return None
    low, high = energy[0] + reach_eV, energy[-1] - reach_eV
    if not low < onset_eV < high:
        return None
    others = [e for e in names[1:] if low < EDGES_eV[e] < high and abs(EDGES_eV[e] - onset_eV) > APART_BLURS * blur_eV]
    here = [names[0], *others]
    steps: Array = np.array([ndtr((energy - EDGES_eV[e]) / blur_eV) for e in here], dtype=np.float64)
    powers = np.log(energy / onset_eV) ** np.arange(2.0)[:, None]
    weight = 1.0 / np.maximum(variance[use], 1e-6 * float(seen.mean()) ** 2)
    start = np.concatenate([[np.log(float(seen.mean())), -3.0], np.zeros(len(here))])
    solved = _solve(_Steps(seen, weight, powers, steps), start)
    if solved is None:
        return None
    at, cov, misfit = solved
    sd = float(np.sqrt(cov[2, 2] * max(misfit, 1.0)))
    return _Fit(Estimate(value=float(at[2]), sd=sd), blur_eV, misfit)


@dataclass(frozen=True)
class _Steps:
    """A window of a spectrum: counts and weights, (E,), powers of ln energy and steps, (n, E) each."""

    seen: Array
    weight: Array
    powers: Array
    steps: Array

    def model(self, at: Array) -> tuple[Array, Array]:
        """Expected counts, (E,), and their slopes, (parameters, E)."""
        background = np.exp(np.clip(at[:2] @ self.powers, -50.0, 50.0))
        raised = 1.0 + at[2:] @ self.steps
        return background * raised, np.concatenate([background * raised * self.powers, background * self.steps])

    def cost(self, at: Array) -> float:
        """Chi-square, and what the prior has against these steps."""
        return float((self.weight * (self.seen - self.model(at)[0]) ** 2).sum() + ((at[2:] / STEP_SD) ** 2).sum())


def _solve(window: _Steps, at: Array) -> tuple[Array, Array, float] | None:
    """Fit by Gauss and Newton, going no farther than helps: parameters, covariance, reduced chi-square."""
    held = np.diag([0.0, 0.0, *np.full(at.size - 2, STEP_SD**-2)])
    cost = window.cost(at)
    for _ in range(ROUNDS):
        model, slopes = window.model(at)
        try:
            cov = np.asarray(np.linalg.inv((slopes * window.weight) @ slopes.T + held), dtype=np.float64)
        except np.linalg.LinAlgError:
            return None
        step = cov @ ((slopes * window.weight) @ (window.seen - model) - held @ at)
        tried = [(window.cost(at + share * step), share) for share in SHARES]
        best, share = min(tried)
        if not best < cost:
            break
        at, cost = at + share * step, best
    good = np.isfinite(at).all() and np.isfinite(cov).all() and (np.diag(cov) > 0.0).all()
    return (at, cov, cost / (window.seen.size - at.size)) if good else None


def _variance(counts: Array) -> Array:
    """Variance of the noise of every channel, (E,), from second differences, which a smooth spectrum does not have."""
    rough = np.convolve(counts, [1.0, -2.0, 1.0], mode="same") ** 2 / 6.0
    rough[[0, -1]] = rough[[1, -2]]
    return np.asarray(uniform_filter1d(rough, NOISE_CHANNELS))
