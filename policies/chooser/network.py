"""The network of the learned chooser: candidates attend to each other and to the situation, and each gets a score."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from policies.chooser.spec import CANDIDATE, SITUATION

WORTH = list(CANDIDATE).index("worth")
NOWHERE = -1e9


class Attending(nn.Module):
    """From candidates (..., N, features), situation (..., features) and which are there (..., N) to scores and value.

    What is learned is added to greedy's own order, which it begins with: to ``trust`` times the logarithm of what a
    candidate tells for what it uses up. Candidates that are not there get no chance.
    """

    def __init__(self, width: int = 32, trust: float = 4.0) -> None:
        super().__init__()
        self.width = width
        self.candidate_low, self.candidate_span = _scale(CANDIDATE)
        self.situation_low, self.situation_span = _scale(SITUATION)
        self.of_candidate = nn.Linear(len(CANDIDATE), width)
        self.of_situation = nn.Linear(len(SITUATION), width)
        self.asked = nn.Linear(width, width, bias=False)
        self.known = nn.Linear(width, width, bias=False)
        self.told = nn.Linear(width, width, bias=False)
        self.mixed = nn.Linear(2 * width, width)
        self.score = nn.Linear(width, 1)
        self.whole = nn.Linear(2 * width, width)
        self.value = nn.Linear(width, 1)
        self.trust = nn.Parameter(torch.tensor(trust))
        for last in (self.score, self.value):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(
        self, candidates: torch.Tensor, situation: torch.Tensor, there: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores (..., N), which are logits of being picked, and the value of the situation (...,)."""
        scaled = 2 * (candidates - self.candidate_low) / self.candidate_span - 1
        around = 2 * (situation - self.situation_low) / self.situation_span - 1
        stands = torch.tanh(self.of_situation(around))
        each = torch.tanh(self.of_candidate(scaled) + stands[..., None, :])
        alike = self.asked(each) @ self.known(each).transpose(-1, -2) / math.sqrt(self.width)
        alike = alike.masked_fill(~there[..., None, :], NOWHERE)
        others = torch.softmax(alike, dim=-1) @ self.told(each)
        mixed = torch.tanh(self.mixed(torch.cat([each, others], dim=-1)))
        scores = self.trust * candidates[..., WORTH] + self.score(mixed)[..., 0]
        share = there.float() / there.float().sum(dim=-1, keepdim=True).clamp_min(1.0)
        pooled = (share[..., None] * mixed).sum(dim=-2)
        value = self.value(torch.tanh(self.whole(torch.cat([pooled, stands], dim=-1))))[..., 0]
        return scores.masked_fill(~there, NOWHERE), value

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """What was learned, by name."""
        return {name: each.detach().cpu().numpy().astype(np.float32) for name, each in self.named_parameters()}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[np.float32]]) -> Attending:
        """A network from what was learned.

        Raises:
            ValueError: arrays are missing, or of another shape.
        """
        wanted = cls()
        if "asked.weight" in arrays:
            wanted = cls(width=len(arrays["asked.weight"]))
        shapes = {name: tuple(each.shape) for name, each in wanted.named_parameters()}
        found = {name: tuple(each.shape) for name, each in arrays.items()}
        if found != shapes:
            wrong = sorted(name for name in shapes.keys() | found.keys() if shapes.get(name) != found.get(name))
            raise ValueError(f"weights do not fit the network: {', '.join(wrong)}")
        with torch.no_grad():
            for name, each in wanted.named_parameters():
                each.copy_(torch.from_numpy(np.asarray(arrays[name], dtype=np.float32)))
        return wanted


def _scale(ranges: Mapping[str, tuple[float, float]]) -> tuple[torch.Tensor, torch.Tensor]:
    low, high = torch.tensor(list(ranges.values())).T
    return low, high - low
