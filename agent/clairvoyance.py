"""What looks would tell one who knows the truth: for evaluation only, beside policies that do not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from agent.lessons import values_of, ways_of, weighed_prior
from agent.perception.belief import LEAST_VAR
from agent.perception.outlook import ReaderOutlook
from agent.perception.reader import load_eyesight
from envs.score import losses

Array = NDArray[np.float64]


class Clairvoyance(ReaderOutlook):
    """Tells of looks by how much they would lower what the report truly loses now.

    A look is taken to read the truth, between the asked times on a straight line, with the error that such looks
    usually have; it thinks one look ahead and does not know what noise will come, so that it is no bound. ``weights``
    are what single targets are worth instead of what the card says.

    Raises:
        ValueError: there is no such world, or no reader of it.
    """

    def __init__(self, world: str, seed: int, weights: Mapping[str, float]) -> None:
        prior = weighed_prior(world, weights)
        super().__init__(prior, load_eyesight(world), ways_of(world))
        self._truth = values_of(world, seed)
        block = len(prior.times_s) * prior.card.cells**2
        fields = [(slice(n * block, (n + 1) * block), target.unit) for n, target in enumerate(prior.fields)]
        first = len(prior.fields) * block
        self._units = [*fields, *((slice(n, n + 1), t.unit) for n, t in enumerate(prior.globals, start=first))]

    def _reading(self, field: int, cell: int, at_s: float) -> float:
        """What is true of a cell at a time."""
        places = [self._prior.place(field, n, cell) for n in range(len(self._prior.times_s))]
        return float(np.interp(at_s, self._prior.times_s, self._truth[places]))

    def _lowered(self, factors: Array, said: Array) -> Array:
        """How much less reports after each of n looks lose than the one that stands now."""
        size = self._prior.size
        mean = self._reporter.belief.mean[:size].astype(np.float64)
        var = np.diagonal(self._covariance)[:size]
        after = np.maximum(var - (factors**2).sum(axis=1), LEAST_VAR)
        now = self._lost(mean[None], np.maximum(var, LEAST_VAR)[None])
        return np.asarray(now - self._lost(mean + np.einsum("nm,nms->ns", said, factors), after))

    def _lost(self, mean: Array, var: Array) -> Array:
        """What reports (n, size) in units of the prior lose, (n,), in units of the score."""
        size = self._prior.size
        claimed = self._prior.mean[:size] + self._prior.sd[:size] * mean
        sd = self._prior.sd[:size] * np.sqrt(var)
        lost = np.zeros(mean.shape)
        for where, unit in self._units:
            lost[:, where] = losses(unit, claimed[:, where], sd[:, where], self._truth[where])
        return np.asarray(lost @ self._weights)
