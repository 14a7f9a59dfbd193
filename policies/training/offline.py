"""Learning from recorded runs alone: choices cloned, weighted by what came of them, and conservative ones.

Three learners of one network: behaviour cloning; MARWIL, which clones what turned out better than expected (Wang et
al., NeurIPS 2018); and implicit Q-learning, whose values never ask about a choice that nobody made (Kostrikov, Nair and
Levine, ICLR 2022). They are written out because a choice here is one of a few candidates that are others at every turn:
RLlib's conservative learner, CQL, is one for continuous actions, and its network has no place for candidates.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from policies.training.choices import CANDIDATE_FEATURES, SITUATION_FEATURES, Choices

NOWHERE = -1e9
MOST_WEIGHT = 20.0
"""What came far better than expected counts no more than so many times what came as expected."""


@dataclass(frozen=True)
class Learning:
    """How to learn: steps of ``batch`` decisions at a ``rate``, from a ``seed``.

    ``temper`` is how many times e more a choice weighs that came out one standard deviation better, ``expectile`` how
    far the value leans to the better of the choices that were made, ``discount`` what a reward a turn later is worth,
    ``follow`` the share by which the slow copy of the value follows it.
    """

    steps: int = 2000
    batch: int = 256
    rate: float = 1e-3
    seed: int = 0
    temper: float = 1.0
    expectile: float = 0.7
    discount: float = 0.99
    follow: float = 0.01


class Network(nn.Module):
    """From candidates (B, K, features), situation (B, features) and which are there (B, K): scores (B, K), value (B,).

    Each candidate is seen beside the mean of all; in what order they come makes no difference.
    """

    def __init__(
        self, width: int = 32, candidate: int = CANDIDATE_FEATURES, situation: int = SITUATION_FEATURES
    ) -> None:
        super().__init__()
        self.each = nn.Linear(candidate + situation, width)
        self.mixed = nn.Linear(2 * width, width)
        self.score = nn.Linear(width, 1)
        self.value = nn.Linear(width + situation, 1)

    def forward(
        self, candidates: torch.Tensor, situation: torch.Tensor, there: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores, which of those that are not there are hopeless, and the value; 0 where no candidate is there."""
        stands = situation[:, None].expand(-1, candidates.shape[1], -1)
        each = torch.tanh(self.each(torch.cat([candidates, stands], dim=-1)))
        count = there.sum(dim=1, keepdim=True).clamp_min(1)
        mean = (each * there[..., None]).sum(dim=1) / count
        both = torch.cat([each, mean[:, None].expand_as(each)], dim=-1)
        scores = self.score(torch.tanh(self.mixed(both)))[..., 0].masked_fill(~there, NOWHERE)
        value = self.value(torch.cat([mean, situation], dim=-1))[:, 0]
        return scores, value * there.any(dim=1)


def chances(network: Network, candidates: torch.Tensor, situation: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """With what probability a network takes each candidate, (B, K)."""
    with torch.no_grad():
        scores: torch.Tensor = network(candidates, situation, there)[0]
        return torch.softmax(scores, dim=1) * there


def cloned(data: Choices, how: Learning) -> Network:
    """Behaviour cloning: what was done is done again, as often."""
    network = _network(how, data)

    def loss(pick: torch.Tensor) -> torch.Tensor:
        return cross_entropy(_seen(network, data, pick)[0], data.action[pick])

    _descend(loss, [network], data, how)
    return network


def marwil(data: Choices, how: Learning) -> Network:
    """What came out better than the mean of all policies in such a situation is cloned more."""
    network, scale = _network(how, data), data.to_come.std().clamp_min(1e-9)

    def loss(pick: torch.Tensor) -> torch.Tensor:
        scores, value = _seen(network, data, pick)
        better = data.to_come[pick] / scale - value
        likely = cross_entropy(scores, data.action[pick], reduction="none")
        return (_weight(better.detach(), how) * likely).mean() + better.square().mean()

    _descend(loss, [network], data, how)
    return network


def implicit_q(data: Choices, how: Learning) -> Network:
    """Implicit Q-learning: the best of what was done in such situations, and no more than was done."""
    network, critic = _network(how, data), _network(how, data)
    slow, scale = deepcopy(critic), data.to_come.std().clamp_min(1e-9)

    def loss(pick: torch.Tensor) -> torch.Tensor:
        scores, value = _seen(network, data, pick)
        chosen = data.action[pick][:, None]
        with torch.no_grad():
            told = _seen(slow, data, pick)[0].gather(1, chosen)[:, 0]
            after = network(data.next_candidates[pick], data.next_situation[pick], data.next_there[pick])[1]
            target = data.reward[pick] / scale + how.discount * after
        better = told - value
        leaning = torch.where(better > 0, how.expectile, 1.0 - how.expectile)
        missed = (_seen(critic, data, pick)[0].gather(1, chosen)[:, 0] - target).square().mean()
        likely = cross_entropy(scores, chosen[:, 0], reduction="none")
        with torch.no_grad():
            for old, new in zip(slow.parameters(), critic.parameters(), strict=True):
                old.lerp_(new, how.follow)
        total: torch.Tensor = missed + (leaning * better.square()).mean()
        return total + (_weight(better.detach(), how) * likely).mean()

    _descend(loss, [network, critic], data, how)
    return network


LEARNERS: dict[str, Callable[[Choices, Learning], Network]] = {"cloned": cloned, "marwil": marwil, "iql": implicit_q}


def _network(how: Learning, data: Choices) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(how.seed)
        return Network(candidate=data.candidates.shape[-1], situation=data.situation.shape[-1])


def _seen(network: Network, data: Choices, pick: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    seen: tuple[torch.Tensor, torch.Tensor] = network(data.candidates[pick], data.situation[pick], data.there[pick])
    return seen


def _weight(better: torch.Tensor, how: Learning) -> torch.Tensor:
    """How much choices count that came out better (B,) than expected, in standard deviations of that."""
    return torch.exp(how.temper * better / better.std().clamp_min(1e-6)).clamp_max(MOST_WEIGHT)


def _descend(loss: Callable[[torch.Tensor], torch.Tensor], nets: list[Network], data: Choices, how: Learning) -> None:
    optimiser = torch.optim.Adam([each for net in nets for each in net.parameters()], lr=how.rate)
    random = torch.Generator().manual_seed(how.seed)
    for _ in range(how.steps):
        optimiser.zero_grad()
        loss(torch.randint(len(data), (how.batch,), generator=random)).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
