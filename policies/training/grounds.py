"""Where a chooser practises, as training sees it: many runs at once, handed in by whoever knows worlds."""

from __future__ import annotations

from typing import Protocol

import torch

from policies.chooser import spec


class Grounds(Protocol):
    """W runs side by side, begun together; N candidates each."""

    @property
    def worlds(self) -> int:
        """How many runs there are."""
        ...

    @property
    def alike(self) -> int:
        """How many runs, one after the other, are in the same world with the same budget."""
        ...

    @property
    def offers(self) -> spec.Offers:
        """The candidates (W, N)."""
        ...

    @property
    def standing(self) -> spec.Standing:
        """How things stand (W,)."""
        ...

    @property
    def over(self) -> torch.Tensor:
        """Which runs are over (W,)."""
        ...

    @property
    def score(self) -> torch.Tensor:
        """The score of the reports now (W,)."""
        ...

    @property
    def electron_weight(self) -> float:
        """What greedy's order weighs electrons by."""
        ...

    def restart(self) -> None:
        """Begin all runs anew, in other worlds."""
        ...

    def reseed(self, seed: int) -> None:
        """What is random from now on follows from a seed."""
        ...

    def step(self, choice: torch.Tensor) -> torch.Tensor:
        """Take candidates (W,), and tell by how much each raised the score (W,)."""
        ...


def seen(grounds: Grounds) -> torch.Tensor:
    """What a network is told now, in one row a run (W, size): candidates, which of them are there, the situation."""
    told = spec.candidates(grounds.offers, grounds.standing, grounds.electron_weight)
    parts = told.flatten(1), grounds.offers.there.float(), spec.situation(grounds.standing)
    return torch.cat(parts, dim=1)


def parted(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Candidates (..., N, features), situation (..., features) and which are there (..., N), from rows."""
    features, around = len(spec.CANDIDATE), len(spec.SITUATION)
    count = (rows.shape[-1] - around) // (features + 1)
    told = rows[..., : count * features].reshape(*rows.shape[:-1], count, features)
    return told, rows[..., count * (features + 1) :], rows[..., count * features : count * (features + 1)] > 0.5


def beside_others(gained: torch.Tensor, alike: int) -> torch.Tensor:
    """How far what runs gained (..., W) is above the mean of the others in the same world.

    Most of what runs differ by is the luck of their worlds. What others made of the same one does not depend on a run's
    own choices, so that to take it off leaves what is learned the same, and makes it plainer.
    """
    if alike < 2:
        return gained
    groups = gained.reshape(*gained.shape[:-1], -1, alike)
    others = (groups.sum(dim=-1, keepdim=True) - groups) / (alike - 1)
    return (groups - others).reshape(gained.shape)


def size_of(grounds: Grounds) -> tuple[int, int]:
    """How long a row of ``seen`` is, and how many candidates it holds."""
    count = grounds.offers.there.shape[1]
    return count * (len(spec.CANDIDATE) + 1) + len(spec.SITUATION), count
