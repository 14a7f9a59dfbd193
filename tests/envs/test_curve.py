from __future__ import annotations

import numpy as np
import pytest

from envs.curve import area, closed, interval


def test_a_constant_score_is_its_own_area() -> None:
    assert area([0.4, 0.4, 0.4, 0.4]) == pytest.approx(0.4)


def test_a_score_linear_in_log_budget_has_the_mean_of_its_ends() -> None:
    assert area([0.1, 0.2, 0.3, 0.4]) == pytest.approx(0.25)


def test_the_interval_of_a_mean_agrees_with_the_normal_one() -> None:
    values = np.random.default_rng(1).normal(1.0, 2.0, 400)
    found = interval(values)
    half = 1.96 * values.std() / 20
    assert found.mean == pytest.approx(values.mean())
    assert found.high - found.mean == pytest.approx(half, rel=0.1)
    assert found.mean - found.low == pytest.approx(half, rel=0.1)


def test_a_policy_half_way_closes_half_of_the_gap() -> None:
    random = np.random.default_rng(2)
    base = random.normal(0.3, 0.05, 20)
    found = closed(base + 0.1, base, base + 0.2)
    assert found is not None
    assert found.mean == pytest.approx(0.5)
    assert found.low == pytest.approx(0.5)


def test_a_world_without_headroom_has_no_gap_to_close() -> None:
    base = np.linspace(0.2, 0.4, 10)
    assert closed(base + 0.05, base, base + 0.09) is None
