"""What a policy is worth is told from runs of another one: closed forms of a world of two choices."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from policies.training.offpolicy import worth

# The world of two choices of test_offline.
_path = Path(__file__).with_name("test_offline.py")
_spec = importlib.util.spec_from_file_location("world_of_two_choices", _path)
assert _spec is not None
assert _spec.loader is not None
_world = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_world)
two_steps = _world.two_steps


def always(early: int, late: int):  # type: ignore[no-untyped-def]
    """Take a place at the first choice and one at the second."""

    def policy(candidates: torch.Tensor, situation: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        place = torch.where(situation[:, 0] > 0.5, late, early)
        return torch.nn.functional.one_hot(place, there.shape[1]) * there

    return policy


def evenly(candidates: torch.Tensor, situation: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    return there / there.sum(dim=1, keepdim=True).clamp_min(1)


@pytest.mark.parametrize(
    ("policy", "true"), [(always(1, 1), 1.0), (always(1, 0), 0.0), (always(0, 1), 0.6), (evenly, 0.55)]
)
def test_the_estimate_is_the_closed_form(policy, true: float) -> None:  # type: ignore[no-untyped-def]
    found = worth(policy, two_steps())
    assert found.mean == pytest.approx(true, abs=0.01)
    assert found.low - 1e-9 <= found.mean <= found.high + 1e-9


def test_the_interval_is_wide_where_there_are_few_runs() -> None:
    few, many = (worth(evenly, two_steps(n)) for n in (20, 1500))
    assert few.high - few.low > 3.0 * (many.high - many.low) > 0.0


def test_of_two_policies_the_difference_is_paired() -> None:
    data = two_steps(200)
    best, even = worth(always(1, 1), data), worth(evenly, data)
    apart, low, high = best.above(even)
    assert apart == pytest.approx(0.45, abs=0.05)
    assert 0.3 < low < apart < high < 0.6
    assert best.above(best) == (0.0, 0.0, 0.0)


def test_what_comes_later_may_count_less() -> None:
    assert worth(always(1, 1), two_steps(), discount=0.5).mean == pytest.approx(0.5, abs=0.01)
