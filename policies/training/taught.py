"""A chooser that learned from recorded runs: it puts the best candidates of another chooser in an order of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from policies.interface import Chooser, Proposal, Situation
from policies.training.choices import features
from policies.training.offline import Network
from policies.training.trajectory import candidates_of, situation_of


class Taught:
    """Asks a network which of the ``among`` candidates that its own chooser puts first comes first.

    It learned from decisions among so many, chosen in the same way; the others follow as they were. ``duration_s`` and
    ``max_electrons`` are those of the run.
    """

    def __init__(self, own: Chooser, network: Network, duration_s: float, max_electrons: float, among: int = 4) -> None:
        self._own, self._network, self._among = own, network, among
        self._duration_s, self._max_electrons = duration_s, max_electrons

    def rank(self, proposals: Sequence[Proposal], situation: Situation) -> Sequence[Proposal]:
        """Return the proposals best first, distinct after it."""
        ranked = list(self._own.rank(proposals, situation))
        best = ranked[: self._among]
        if len(best) < 2:
            return ranked
        numbers, there = candidates_of(best, len(best))
        rest = np.array(situation_of(situation, self._duration_s, self._max_electrons))
        seen = features(numbers[None], rest[None], there[None])
        with torch.no_grad():
            scores: torch.Tensor = self._network(
                *(torch.from_numpy(each) for each in seen), torch.ones(1, len(best)) > 0
            )[0]
        order = torch.argsort(scores[0], descending=True, stable=True)
        return [*(best[place] for place in order.tolist()), *ranked[self._among :]]
