"""What looks would tell, as far as the reporter's belief and the usual errors of the reader say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from agent.perception.belief import LEAST_VAR, Rows, gain
from agent.perception.ensemble import Prior
from agent.perception.reader import WHOLE, Conditioned, Eyesight, kind_of
from hardware_bridge.report import Percept
from policies.outlook import Way

Array = NDArray[np.float64]


class ReaderOutlook:
    """The covariance of the belief, kept up to date, and what readings with their usual errors would leave of it.

    What a look is worth follows from how much the standard deviations of all values of all targets would shrink, each
    weighted as in the score: a calibrated Gaussian claim of sd s loses s / sqrt(pi) (Gneiting and Raftery, J. Am. Stat.
    Assoc. 102 (2007) 359).
    """

    def __init__(self, prior: Prior, sight: Eyesight, ways: Sequence[Way]) -> None:
        self._prior, self._sight = prior, sight
        self.ways = tuple(way for way in ways if self._tells(way))
        weights = np.zeros(prior.size)
        block, cells = len(prior.times_s) * prior.card.cells**2, prior.card.cells**2
        for n, target in enumerate(prior.fields):
            weights[n * block + cells : (n + 1) * block] = target.weight / target.crps_scale
        for n, target in enumerate(prior.globals, start=len(prior.fields) * block):
            weights[n] = target.weight / target.crps_scale
        self._weights = weights
        self._worth = weights * prior.sd[: prior.size] / math.sqrt(math.pi)
        self.begin()

    def begin(self) -> None:
        """Start a run: nothing was seen."""
        self._reporter = Conditioned(self._prior)
        self.surprise = 1.0
        self._covariance = self._prior.correlation.copy()

    def add(self, percept: Percept) -> None:
        """Take in the readings of a percept; in order of time."""
        before = self._reporter.belief
        known = len(before.factors)
        self._reporter.add(percept)
        if rows := list(self._reporter.rows(percept)):
            self.surprise = float(np.sqrt((gain(self._prior.correlation, before, Rows.of(rows))[1] ** 2).mean()))
        factors = self._reporter.belief.factors
        if len(factors) > known:
            self._covariance -= factors[known:].T @ factors[known:]
        elif len(factors) < known:  # they were written anew
            self._covariance = self._prior.correlation - factors.T @ factors

    @property
    def loss_left(self) -> float:
        """What a report is expected to lose now, as a share of what the prior would."""
        sd = np.sqrt(np.maximum(np.diagonal(self._covariance)[: self._prior.size], 0.0))
        return float(sd @ self._worth / self._worth.sum())

    def left(self, cells: NDArray[np.intp], at_s: float) -> float:
        """The standard deviation left of fields in cells (n,) at the next asked time, as a share of the prior's."""
        times = self._prior.times_s
        time = int(np.clip(np.searchsorted(times, at_s), 1, len(times) - 1))
        places = [self._prior.place(field, time, cell) for field in range(len(self._prior.fields)) for cell in cells]
        var = np.diagonal(self._covariance)[places]
        return float(np.sqrt(np.maximum(var, 0.0)).mean()) if places else 0.0

    def information(self, way: Way, places: NDArray[np.intp], electrons: Array, at_s: float) -> Array:
        """Predicted information (n,), in units of the score, of looks at places (n,) with so many electrons each (n,).

        ``at_s`` counts from the start of the run.
        """
        found = np.empty(len(places))
        for many in np.unique(electrons):
            alike = electrons == many
            found[alike] = self._drops(_shown(way, self._prior.card.cells)[places[alike]], self.usual(way, many), at_s)
        return found

    def usual(self, way: Way, electrons: float) -> dict[int, float]:
        """The usual error of readings of a look with so many electrons, by field."""
        card, mode = self._sight.card, way.view.mode
        whole = way.view.fov_nm > WHOLE * self._prior.card.extent_nm / self._prior.card.cells
        typical, known = card.typical[kind_of(mode, whole)], np.log(card.electrons)
        fallen = math.log(max(electrons / way.cells**2, 1.0))
        return {
            # More electrons never tell less, whatever the looks were that an error was found from.
            n: card.tempered * float(np.interp(fallen, known, np.minimum.accumulate(typical[target.name])))
            for n, target in enumerate(self._prior.fields)
            if self._sight.sees(mode, target.name)
        }

    def _drops(self, shown: NDArray[np.intp], sds: Mapping[int, float], at_s: float) -> Array:
        """How much looks that show cells (n, c) lower the expected loss of a report, (n,)."""
        cells, own = np.unique(shown, return_inverse=True)
        own = own.reshape(shown.shape)
        read = [(n, np.array([self._reading(n, cell, at_s) for cell in cells.tolist()]), sd) for n, sd in sds.items()]
        parts = [self._prior.rows(n, cells, at_s, values, sd) for n, values, sd in read]
        places, weights, var, value = (np.concatenate(each) for each in zip(*parts, strict=True))
        rows = Rows(places, weights.astype(np.float32), var.astype(np.float32), value.astype(np.float32))
        columns = (rows.weights[:, :, None] * self._covariance[rows.places]).sum(axis=1)
        spread = (columns[:, rows.places] * rows.weights).sum(axis=2, dtype=np.float64)
        spread = (spread + spread.T) / 2 + np.diag(np.maximum(rows.var, LEAST_VAR))
        picked = np.concatenate([own + k * len(cells) for k in range(len(sds))], axis=1)
        lower = np.linalg.cholesky(spread[picked[:, :, None], picked[:, None, :]])
        mean = self._reporter.belief.mean
        surprise = rows.value - (mean[rows.places] * rows.weights).sum(axis=1)
        told = np.concatenate([columns[:, : self._prior.size], surprise[:, None]], axis=1)
        white = np.linalg.solve(lower, told[picked])
        return self._lowered(white[..., :-1], white[..., -1])

    def _reading(self, field: int, cell: int, at_s: float) -> float:
        """What a look would read; how much sure it makes a report does not depend on it."""
        return 0.0

    def _lowered(self, factors: Array, said: Array) -> Array:
        """How much lower the loss is after looks that add factors (n, m, size) to the belief and say (n, m) of them."""
        before = np.diagonal(self._covariance)[: self._prior.size]
        after = np.maximum(before - (factors**2).sum(axis=1), 0.0)
        return np.asarray((np.sqrt(np.maximum(before, 0.0)) - np.sqrt(after)) @ self._worth)

    def _tells(self, way: Way) -> bool:
        mode = way.view.mode
        return mode in self._sight.networks and any(self._sight.sees(mode, t.name) for t in self._prior.fields)


def _shown(way: Way, cells: int) -> NDArray[np.intp]:
    """The cells (places, way's cells^2) that a way to look shows at each of its places."""
    corner = np.arange(cells - way.cells + 1)
    first = (corner[:, None] * cells + corner).ravel()
    within = np.arange(way.cells)
    return np.asarray(first[:, None] + (within[:, None] * cells + within).ravel())
