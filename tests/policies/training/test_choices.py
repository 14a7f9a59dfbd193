"""Decisions of runs as numbers: which of them count, what came of each; the order of candidates says nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from policies.training.choices import CANDIDATE_FEATURES, Choices, features
from policies.training.trajectory import CANDIDATE, SITUATION, Trajectory


def trajectory(actions: list[int], candidates: int, seed: int = 1) -> Trajectory:
    random, turns = np.random.default_rng(seed), len(actions)
    situation = np.array([[n, 10.0 * n, 100.0 - 10 * n, 1e6 - 1e4 * n, 100.0, 1e6] for n in range(turns + 1)])
    numbers = random.uniform(0.1, 1.0, (turns + 1, candidates, len(CANDIDATE)))
    numbers[..., CANDIDATE.index("mode")] = random.integers(0, 3, (turns + 1, candidates))
    there = np.ones((turns + 1, candidates), np.int8)
    there[-1] = 0
    return Trajectory(
        name="run",
        observations={"situation": situation, "candidates": numbers, "there": there},
        actions=np.array(actions),
        rewards=np.arange(1.0, turns + 1.0),
        terminated=True,
        header="{}",
        events=("{}",) * turns,
    )


def test_what_was_none_of_the_candidates_is_no_decision_but_counts_in_what_was_to_come() -> None:
    data = Choices.of([trajectory([0, 2, 1], 2), trajectory([3, 3, 2, 0], 3, seed=2)])
    assert data.action.tolist() == [0, 1, 2, 0]
    assert data.reward.tolist() == [1.0, 3.0, 3.0, 4.0]
    assert data.to_come.tolist() == [6.0, 3.0, 7.0, 4.0]
    assert data.run.tolist() == [0, 0, 1, 1]
    assert data.first.tolist() == [True, False, True, False]
    assert data.there.tolist()[0] == [True, True, False], "a smaller set has room for the larger"
    assert not data.candidates[0, 2].any()
    assert data.next_there.any(dim=1).tolist() == [True, False, True, False]
    assert torch.equal(data.next_candidates[2], data.candidates[3])


def test_no_decision_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="no decision in these runs"):
        Choices.of([trajectory([2, 2], 2)])
    with pytest.raises(ValueError, match="no decision in these runs"):
        Choices.of([])


def test_the_order_of_candidates_says_nothing() -> None:
    seen = trajectory([0, 1], 4).observations
    turned = np.array([2, 0, 3, 1])
    own, stood = features(seen["candidates"], seen["situation"], seen["there"])
    other, alike = features(seen["candidates"][:, turned], seen["situation"], seen["there"][:, turned])
    assert own.shape == (3, 4, CANDIDATE_FEATURES)
    assert np.array_equal(own[:, turned], other)
    assert np.array_equal(stood, alike)


def test_numbers_are_finite_where_nothing_is_left_and_nothing_is_told() -> None:
    nothing = np.zeros((1, 2, len(CANDIDATE)))
    there = np.array([[1, 0]], np.int8)
    own, stood = features(nothing, np.zeros((1, len(SITUATION))), there)
    assert np.isfinite(own).all()
    assert np.isfinite(stood).all()
    assert np.abs(features(nothing, np.zeros((1, len(SITUATION))), np.zeros((1, 2), np.int8))[0]).max() == 0.0


def test_the_best_for_its_price_is_told_from_the_others() -> None:
    numbers = np.zeros((1, 3, len(CANDIDATE)))
    numbers[0, :, CANDIDATE.index("information")] = [0.01, 0.02, 0.02]
    numbers[0, :, CANDIDATE.index("time_s")] = [1.0, 1.0, 10.0]
    situation = np.array([[0.0, 0.0, 100.0, 1e6, 100.0, 1e6]])
    own, stood = features(numbers, situation, np.ones((1, 3), np.int8))
    assert own[0, :, 1] == pytest.approx([-np.log10(2.0), 0.0, -1.0])
    assert stood[0].tolist() == [1.0, 1.0, 0.0]
