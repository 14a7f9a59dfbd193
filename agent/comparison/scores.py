"""The scores of policies side by side: paired seeds, shares of the electron budget, and who is the best baseline."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agent.episode import Episode
from envs.curve import Array, Interval, area, closed, interval

BASELINES = frozenset({"staring", "raster", "random", "expert", "prospector"})
"""Policies that follow a plan or a rule; what is adaptive is compared with the best of them."""

CLAIRVOYANT, HINDSIGHT = "clairvoyant", "hindsight"


@dataclass(frozen=True)
class Compared:
    """Scores (seeds, shares) by policy, of the seeds that all of them played at all of these shares."""

    scores: Mapping[str, Array]
    seeds: tuple[int, ...]
    shares: tuple[float, ...]

    @classmethod
    def of(cls, episodes: Collection[Episode]) -> Compared:
        """What can be compared among episodes of one world: seeds and shares that one policy lacks are left out.

        Raises:
            ValueError: no seed was played by all policies at any share.
        """
        found = {(e.policy, e.seed, e.share): e.score for e in episodes}
        policies = sorted({e.policy for e in episodes})
        played = [{e.share for e in episodes if e.policy == policy} for policy in policies]
        shares = tuple(sorted(set.intersection(*played))) if played else ()
        seeds = tuple(
            seed
            for seed in sorted({e.seed for e in episodes})
            if shares and all((policy, seed, share) in found for policy in policies for share in shares)
        )
        if not seeds:
            raise ValueError("no seed was played by all policies at one share of the budget yet")
        table = {p: np.array([[found[p, seed, share] for share in shares] for seed in seeds]) for p in policies}
        return cls(table, seeds, shares)

    @property
    def policies(self) -> list[str]:
        """All policies, the best overall first."""
        return sorted(self.scores, key=lambda policy: -float(self.overall(policy).mean()))

    @property
    def strongest(self) -> str:
        """The baseline that is best overall; of no baseline, the worst that was played."""
        ranked = self.policies
        return next((policy for policy in ranked if policy in BASELINES), ranked[-1])

    def overall(self, policy: str) -> Array:
        """One figure a seed (seeds,): the area under the score over log2 of the budget; of one share, the score."""
        scores = self.hindsight if policy == HINDSIGHT else self.scores[policy]
        return area(scores, self.shares) if len(self.shares) > 1 else scores[:, 0]

    @property
    def hindsight(self) -> Array:
        """For every seed and share the best of all that were played, (seeds, shares)."""
        return np.asarray(np.max([*self.scores.values()], axis=0))

    def total(self, policy: str) -> Interval:
        """The mean of ``overall`` with its interval."""
        return interval(self.overall(policy))

    def at_shares(self, policy: str) -> list[Interval]:
        """Mean scores with their intervals, one for every share."""
        scores = self.hindsight if policy == HINDSIGHT else self.scores[policy]
        return [interval(column) for column in scores.T]

    def above_strongest(self, policy: str) -> Interval:
        """How far a policy is above the best baseline overall."""
        return interval(self.overall(policy) - self.overall(self.strongest))

    def closed(self, policy: str) -> Interval | None:
        """Share of the gap that a policy closes, up to the clairvoyant or, where none is above, hindsight.

        None where the gap is under 0.1.
        """
        return closed(self.overall(policy), self.overall(self.strongest), self.overall(self.ceiling))

    @property
    def ceiling(self) -> str:
        """What the gap goes up to: the clairvoyant where it was played and is above the best baseline."""
        if CLAIRVOYANT in self.scores and self.above_strongest(CLAIRVOYANT).mean > 0:
            return CLAIRVOYANT
        return HINDSIGHT


@dataclass(frozen=True)
class Kept:
    """What commands told beside what was predicted of them, in bins of as many commands each.

    ``predicted`` and ``realised`` are means (bins,), ``low`` and ``high`` bound 95 % of the bootstrap of the latter,
    whole episodes drawn again.
    """

    predicted: Array
    realised: Array
    low: Array
    high: Array
    commands: int


def kept(episodes: Sequence[Episode], bins: int = 8, seed: int = 0) -> Kept | None:
    """Predicted and realised information of the commands of one policy; None where it predicts none."""
    told = [np.array(e.told, dtype=np.float64).reshape(-1, 2) for e in episodes]
    every = np.concatenate([np.empty((0, 2)), *told])
    if len(every) < 2 * bins:
        return None
    edges = np.quantile(every[:, 0], np.linspace(0.0, 1.0, bins + 1)[1:-1])
    sums, counts = np.zeros((len(told), bins, 2)), np.zeros((len(told), bins))
    for n, rows in enumerate(told):
        which = np.searchsorted(edges, rows[:, 0])
        counts[n] = np.bincount(which, minlength=bins)
        for column in range(2):
            sums[n, :, column] = np.bincount(which, rows[:, column], bins)
    whole = np.maximum(counts.sum(axis=0), 1.0)
    picks = np.random.default_rng(seed).integers(0, len(told), (2000, len(told)))
    drawn = sums[picks, :, 1].sum(axis=1) / np.maximum(counts[picks].sum(axis=1), 1.0)
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    predicted, realised = (sums.sum(axis=0) / whole[:, None]).T
    return Kept(predicted, realised, low, high, len(every))
