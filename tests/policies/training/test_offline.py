"""Learners of recorded choices find what is known to be best in small worlds, each by what it should look at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from policies.training.choices import Choices
from policies.training.offline import Learning, Network, chances, cloned, implicit_q, marwil


def stacked(rows: list[tuple[object, ...]]) -> Choices:
    columns = [np.stack([np.asarray(each) for each in column]) for column in zip(*rows, strict=True)]
    real = [torch.from_numpy(c.astype(np.float32) if c.dtype == np.float64 else c) for c in columns]
    return Choices(*real)


def one_step(n: int = 1000) -> Choices:
    """Three candidates, taken evenly by chance; the reward is the first number of the one taken, and noise."""
    random, rows = np.random.default_rng(1), []
    for run in range(n):
        candidates, action = random.uniform(-1, 1, (3, 2)), random.integers(3)
        reward = candidates[action, 0] + 0.3 * random.standard_normal()
        none = (np.zeros((3, 2)), np.zeros(1), np.zeros(3, bool))
        rows.append((candidates, np.ones(1), np.ones(3, bool), *none, action, reward, reward, run, True))
    return stacked(rows)


NOW, LATER, NOTHING, ALL = np.eye(4)


def two_steps(n: int = 1500, now: float = 0.6) -> Choices:
    """A run ends with ``now``, or goes on to a choice between nothing and 1; everything was taken evenly by chance."""
    random, rows = np.random.default_rng(2), []
    both, early, late = np.ones(2, bool), np.zeros(1), np.ones(1)
    end = (np.zeros((2, 4)), late, np.zeros(2, bool))
    begun, then = np.stack([NOW, LATER]), np.stack([NOTHING, ALL])
    for run in range(n):
        if random.random() < 0.5:
            rows.append((begun, early, both, *end, 0, now, now, run, True))
        else:
            gain = random.integers(2)
            rows.append((begun, early, both, then, late, both, 1, 0.0, float(gain), run, True))
            rows.append((then, late, both, *end, gain, float(gain), float(gain), run, False))
    return stacked(rows)


HOW = Learning(steps=200, batch=128, rate=1e-2, temper=3.0)
LONG = Learning(steps=400, batch=128, rate=1e-2, temper=3.0, expectile=0.95, discount=1.0, follow=0.1)


def of(network: Network, data: Choices) -> torch.Tensor:
    return chances(network, data.candidates, data.situation, data.there)


def agreement(network: Network, data: Choices) -> float:
    """How often the best candidate is the most likely one."""
    return float((of(network, data).argmax(dim=1) == data.candidates[..., 0].argmax(dim=1)).float().mean())


def test_cloning_does_what_was_done() -> None:
    data = one_step()
    taken = of(cloned(data, HOW), data)
    assert taken.mean(dim=0) == pytest.approx([1 / 3] * 3, abs=0.05)
    assert float(taken.max(dim=1).values.mean()) < 0.5


@pytest.mark.parametrize("learner", [marwil, implicit_q])
def test_weighing_by_what_came_finds_the_best(learner: object) -> None:
    assert callable(learner)
    data = one_step()
    assert agreement(cloned(data, HOW), data) < 0.7
    assert agreement(learner(data, HOW), data) > 0.9


def test_the_best_halves_of_runs_are_put_together() -> None:
    # To go on is worth 0.5 as it was done, 1 at its best: 0.6 now lies between.
    data = two_steps()
    first = [data.candidates[:1], data.situation[:1], data.there[:1]]
    assert float(chances(implicit_q(data, LONG), *first)[0, 1]) > 0.5
    as_done = replace(LONG, expectile=0.5)
    assert float(chances(implicit_q(data, as_done), *first)[0, 0]) > 0.5


def test_values_of_what_nobody_did_are_not_asked_for() -> None:
    # Where nobody ever took ALL, going on is worth nothing, whatever a network would say of ALL.
    data = two_steps()
    kept = ~((data.action == 1) & ~data.first) & ~((data.to_come == 1.0) & data.first)
    less = Choices(*(getattr(data, name)[kept] for name in Choices.__dataclass_fields__))
    chosen = chances(implicit_q(less, LONG), data.candidates[:1], data.situation[:1], data.there[:1])
    assert float(chosen[0, 0]) > 0.5


def test_the_order_of_candidates_makes_no_difference_and_those_not_there_have_no_chance() -> None:
    data, turned = one_step(20), torch.tensor([2, 0, 1])
    network = cloned(data, Learning(steps=5))
    there = data.there.clone()
    there[:, 1] = False
    taken = chances(network, data.candidates, data.situation, there)
    other = chances(network, data.candidates[:, turned], data.situation, there[:, turned])
    assert torch.allclose(taken[:, turned], other, atol=1e-6)
    assert not taken[:, 1].any()
    assert torch.allclose(taken.sum(dim=1), torch.ones(20))


def test_the_same_seed_learns_the_same() -> None:
    data = one_step(200)
    one, two = (implicit_q(data, Learning(steps=20, seed=3)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
