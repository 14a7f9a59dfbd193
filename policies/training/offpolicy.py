"""What a policy would be worth, from runs of others: asked before it decides anything at an instrument.

Least-squares temporal differences of Q (LSTD-Q: Lagoudakis and Parr, J. Machine Learning Research 4 (2003) 1107): the
values, linear in numbers of candidate and situation, that fit what came of every decision if the policy went on from
there. Runs are independent, so that resampling them gives an interval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from policies.training.choices import Choices

Chances = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Candidates (B, K, features), situation (B, features), which are there (B, K): the probability of each (B, K)."""

RIDGE = 1e-3
RESAMPLES = 200
STEPS = 8
"""In so many steps along the time left the values may bend."""


@dataclass(frozen=True)
class Worth:
    """What a policy is expected to raise the score by in a run: the estimate with its 95 % interval over runs."""

    mean: float
    low: float
    high: float
    resampled: tuple[float, ...]

    def above(self, other: Worth) -> tuple[float, float, float]:
        """How far it is above another, estimated from the same runs: with the interval of the paired difference."""
        apart = np.array(self.resampled) - np.array(other.resampled)
        low, high = np.percentile(apart, [2.5, 97.5])
        return self.mean - other.mean, float(low), float(high)


def worth(policy: Chances, data: Choices, discount: float = 1.0, seed: int = 0) -> Worth:
    """Estimate what a policy is worth from the first decision of a run on."""
    taken = _numbers(data.candidates, data.situation)[torch.arange(len(data)), data.action]
    after = _expected(policy, data.next_candidates, data.next_situation, data.next_there)
    first = data.first
    begun = _expected(policy, data.candidates[first], data.situation[first], data.there[first])
    runs = int(data.run.max()) + 1
    size = taken.shape[1]
    left, right = torch.zeros(runs, size, size, dtype=torch.float64), torch.zeros(runs, size, dtype=torch.float64)
    for run in range(runs):
        mine = data.run == run
        left[run] = taken[mine].T @ (taken[mine] - discount * after[mine])
        right[run] = taken[mine].T @ data.reward[mine].double()
    start = torch.zeros(runs, size, dtype=torch.float64)
    start[data.run[first]] = begun

    def estimate(weight: torch.Tensor) -> float:
        total = torch.einsum("r,rij->ij", weight, left) + RIDGE * torch.eye(size, dtype=torch.float64)
        fitted = torch.linalg.solve(total, weight @ right)
        return float((weight @ start @ fitted) / weight.sum())

    random = np.random.default_rng(seed)
    picks = [np.bincount(random.integers(0, runs, runs), minlength=runs) for _ in range(RESAMPLES)]
    resampled = tuple(estimate(torch.from_numpy(pick).double()) for pick in picks)
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Worth(estimate(torch.ones(runs, dtype=torch.float64)), float(low), float(high), resampled)


def _expected(policy: Chances, candidates: torch.Tensor, situation: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """The numbers of what a policy takes, on average, (B, numbers); 0 where nothing is there to be taken."""
    chance = policy(candidates, situation, there).double()
    return torch.einsum("bk,bkn->bn", chance, _numbers(candidates, situation))


def _numbers(candidates: torch.Tensor, situation: torch.Tensor) -> torch.Tensor:
    """What values are linear in, (B, K, numbers): at each step of the time left, one and what candidates are like."""
    candidates, situation = candidates.double(), situation.double()
    at = situation[:, :1].clamp(0.0, 1.0) * (STEPS - 1)
    hats = (1.0 - (at - torch.arange(STEPS)).abs()).clamp_min(0.0)
    alone = hats[:, None].expand(-1, candidates.shape[1], -1)
    coarse = torch.stack([torch.ones_like(at[:, 0]), situation[:, 0]], dim=1)
    like = torch.einsum("bt,bkf->bktf", coarse, candidates).flatten(2)
    rest = situation[:, None, 1:].expand(-1, candidates.shape[1], -1)
    return torch.cat([alone, like, rest], dim=2)
