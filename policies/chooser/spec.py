"""What the learned chooser is told: explicit numbers of every candidate and of the situation, each with its range.

The same functions make them for a run and for training, so that a network sees in both what it was trained on. Changing
what a number means, or which there are, needs another ``VERSION``: checkpoints say which one they were trained with.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

VERSION = 1
MODES = ("HAADF", "EELS", "CBED", "EDS")

CANDIDATE: dict[str, tuple[float, float]] = {
    "worth": (-12.0, 0.0),  # log of information per share of the rest used up, against the best candidate
    "information": (-9.0, 1.0),  # log10 of the predicted information
    "left": (0.0, 1.1),  # standard deviation left of the prior's, over the cells shown
    "electrons": (-4.0, 1.0),  # log10 of electrons against an even spending
    "time": (0.0, 2.0),  # log of the time it takes against the quickest candidate
    "dose": (0.0, 10.0),  # log10 of electrons a cell shown
    "exposed": (0.0, 1.0),  # fluence so far, as a share of what is allowed
    "age": (0.0, 1.0),  # since the cells were last looked at, as a share of the run; 1 where never
    "looks": (0.0, 6.0),  # log of 1 + looks at the cells so far
    "cells": (0.0, 1.0),  # a fourth of the cells shown
    **{mode: (0.0, 1.0) for mode in MODES},
}
SITUATION: dict[str, tuple[float, float]] = {
    "time_left": (0.0, 1.0),  # share of the run
    "electrons_left": (0.0, 1.0),  # share of what the run may use
    "budget": (-4.0, 1.0),  # log2 of what the run may use against the world's card
    "pace": (-3.0, 3.0),  # log of the share of electrons left against that of the time left
    "looks": (0.0, 8.0),  # log of 1 + looks so far
    "loss_left": (0.0, 1.1),  # expected loss of the report, as a share of the prior's
    "surprise": (0.0, 10.0),  # rms of the last readings' deviations from what was expected, in sd
    "surprise_recent": (0.0, 10.0),  # its mean over the last looks
    "missed_recent": (0.0, 1.0),  # share of the last looks that told nothing
}
FADING = 0.8
"""What of the mean over the last looks is left after another one."""


@dataclass(frozen=True)
class Offers:
    """Candidates (..., N), as told in the specification, before they are brought to a scale.

    ``mode`` counts along ``MODES``; ``there`` says which candidates there are.
    """

    information: torch.Tensor
    left: torch.Tensor
    electrons: torch.Tensor
    time_s: torch.Tensor
    exposed: torch.Tensor
    age: torch.Tensor
    looks: torch.Tensor
    cells: torch.Tensor
    mode: torch.Tensor
    there: torch.Tensor


@dataclass(frozen=True)
class Standing:
    """The situation (...,): what is left, of how much, and how the last looks went."""

    time_left_s: torch.Tensor
    duration_s: torch.Tensor
    electrons_left: torch.Tensor
    max_electrons: torch.Tensor
    budget_electrons: torch.Tensor
    looks: torch.Tensor
    loss_left: torch.Tensor
    surprise: torch.Tensor
    surprise_recent: torch.Tensor
    missed_recent: torch.Tensor


def worth(offers: Offers, standing: Standing, electron_weight: float) -> torch.Tensor:
    """Logarithm of the information per share of the rest that candidates use up (..., N): what greedy goes by."""
    of_time = offers.time_s / standing.time_left_s[..., None].clamp_min(1e-9)
    of_electrons = offers.electrons / standing.electrons_left[..., None].clamp_min(1.0)
    return torch.log(offers.information.clamp_min(1e-12) / (of_time + electron_weight * of_electrons).clamp_min(1e-12))


def candidates(offers: Offers, standing: Standing, electron_weight: float) -> torch.Tensor:
    """The numbers of candidates (..., N, features), within their ranges; 0 for those that are not there."""
    per = worth(offers, standing, electron_weight)
    best = torch.where(offers.there, per, torch.full_like(per, -torch.inf)).amax(dim=-1, keepdim=True)
    quickest = torch.where(offers.there, offers.time_s, torch.full_like(per, torch.inf)).amin(dim=-1, keepdim=True)
    even = standing.electrons_left / standing.time_left_s.clamp_min(1e-9)
    columns = [
        per - best,
        torch.log10(offers.information.clamp_min(1e-12)),
        offers.left,
        torch.log10(offers.electrons.clamp_min(1.0) / (even[..., None] * offers.time_s).clamp_min(1.0)),
        torch.log(offers.time_s / quickest.clamp_min(1e-9)),
        torch.log10((offers.electrons / offers.cells.clamp_min(1.0)).clamp_min(1.0)),
        offers.exposed,
        offers.age,
        torch.log1p(offers.looks),
        offers.cells / 4,
        *((offers.mode == n).float() for n in range(len(MODES))),
    ]
    return torch.where(offers.there[..., None], _within(columns, CANDIDATE), torch.zeros(()))


def situation(standing: Standing) -> torch.Tensor:
    """The numbers of the situation (..., features), within their ranges."""
    time_left = standing.time_left_s / standing.duration_s
    electrons_left = standing.electrons_left / standing.max_electrons
    columns = [
        time_left,
        electrons_left,
        torch.log2(standing.max_electrons / standing.budget_electrons),
        torch.log(electrons_left.clamp_min(1e-6) / time_left.clamp_min(1e-6)),
        torch.log1p(standing.looks),
        standing.loss_left,
        standing.surprise,
        standing.surprise_recent,
        standing.missed_recent,
    ]
    return _within(columns, SITUATION)


def _within(columns: list[torch.Tensor], ranges: dict[str, tuple[float, float]]) -> torch.Tensor:
    bounded = [column.float().clamp(*ranges[name]) for column, name in zip(columns, ranges, strict=True)]
    return torch.stack(bounded, dim=-1)
