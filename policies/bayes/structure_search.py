"""Search for the few places whose spectra show most of a property, led by what an image shows of them.

Spectra are taken in batches. The next ones are where most is expected above the level that only a given share of all
places is believed to exceed: expected improvement (D. R. Jones, M. Schonlau and W. J. Welch, J. Global Optim. 13 (1998)
455), over a level instead of over the best so far, since all of the best places are wanted and not one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from policies.bayes.deep_kernel import DeepKernel, KernelSettings
from policies.bayes.kernel import Array
from policies.bayes.scene import Scene

Rows = NDArray[np.intp]
Measure = Callable[[Rows], Array]
"""From numbers of places (n,) to what spectra taken there say of the property, (n,)."""

Wanted = Literal["most", "unknown", "any"]


DEEP = KernelSettings()
CANDIDATES = 20


@dataclass(frozen=True)
class Plan:
    """How a search goes: ``first`` places all over the field, then ``batch`` at a time until ``points`` are measured.

    ``wanted`` says which: the "most" of the property, the "unknown" (largest variance), or "any" at random. ``top`` is
    the share of places that are looked for. ``doubt`` widens what the model believes where it is asked what may lie
    above the level: a property that most places lack has larger surprises than a normal distribution.
    """

    points: int
    first: int = 40
    batch: int = 5
    top: float = 0.01
    doubt: float = 1.5
    wanted: Wanted = "most"
    kernel: KernelSettings = DEEP

    def __post_init__(self) -> None:
        if not 2 <= self.first <= self.points:
            raise ValueError(f"first = {self.first}: 2 to points, {self.points}")
        if self.batch < 1:
            raise ValueError(f"batch = {self.batch}: at least 1")
        if not 0.0 < self.doubt < np.inf:
            raise ValueError(f"doubt = {self.doubt:g}: above 0 and finite")
        if not 0.0 < self.top < 1.0:
            raise ValueError(f"top = {self.top:g}: above 0 and below 1")


@dataclass(frozen=True)
class Found:
    """Numbers of the places that were measured, in their order (n,), and what was measured there (n,)."""

    rows: Rows
    values: Array


def search(
    scene: Scene, measure: Measure, plan: Plan, seed: int, say: Callable[[Found], None] = lambda found: None
) -> Found:
    """Measure some places of a scene one batch after the other; ``say`` hears of what was found so far.

    The same seed begins with the same places, whatever is wanted.

    Raises:
        ValueError: there are fewer places than are to be measured, or a measurement is not finite.
    """
    places = len(scene.places)
    if plan.points > places:
        raise ValueError(f"points = {plan.points}: at most {places}, the number of places")
    drawn = _spread(scene.places, plan.first, np.random.default_rng([seed, 60]))
    rows = drawn[: plan.first]
    found = Found(rows, _measured(measure, rows))
    model = None if plan.wanted == "any" else DeepKernel(scene, plan.kernel, seed)
    while len(found.rows) < plan.points:
        say(found)
        batch = min(plan.batch, plan.points - len(found.rows))
        if model is None:
            rows = drawn[len(found.rows) :][:batch]
        else:
            model.learn(found.rows, found.values)
            rows = _chosen(model, found.rows, batch, plan)
        found = Found(np.append(found.rows, rows), np.append(found.values, _measured(measure, rows)))
    say(found)
    return found


def _spread(places: Array, first: int, random: np.random.Generator) -> Rows:
    """All places in random order, but that the first so many keep apart.

    Each is the farthest of CANDIDATES random ones from those before it (D. P. Mitchell's best candidates, SIGGRAPH 91).
    """
    left = random.permutation(len(places))
    apart = np.full(len(places), np.inf)
    for n in range(first):
        some = left[n : n + CANDIDATES]
        best = n + int(np.argmax(apart[some]))
        left[n], left[best] = left[best], left[n]
        random.shuffle(left[n + 1 :])
        apart = np.minimum(apart, np.linalg.norm(places - places[left[n]], axis=1))
    return left


def _measured(measure: Measure, rows: Rows) -> Array:
    values = np.asarray(measure(rows), dtype=np.float64)
    if values.shape != rows.shape or not np.isfinite(values).all():
        raise ValueError(f"measured: {values.shape} values for {len(rows)} places, all must be finite")
    return values


def _chosen(model: DeepKernel, measured: Rows, batch: int, plan: Plan) -> Rows:
    """The next places to measure: each as if those before it had been measured."""
    level = float(np.quantile(model.mean, 1.0 - plan.top))
    open_to, chosen = np.ones(len(model.mean), dtype=bool), []
    open_to[measured] = False
    for _ in range(batch):
        worth = model.var if plan.wanted == "unknown" else above(level, model.mean, plan.doubt * np.sqrt(model.var))
        best = int(np.argmax(np.where(open_to, worth, -np.inf)))
        open_to[best] = False
        chosen.append(best)
        model.imagine(best)
    return np.array(chosen, dtype=np.intp)


def above(level: float, mean: Array, sd: Array) -> Array:
    """How far normal variables, mean (N,) and sd (N,), are expected to lie above a level: E max(f - level, 0), (N,)."""
    sd = np.maximum(sd, 1e-12)
    z = (mean - level) / sd
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return np.asarray((mean - level) * ndtr(z) + sd * density)
