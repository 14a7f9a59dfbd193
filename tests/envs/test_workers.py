from __future__ import annotations

import pytest

from envs.workers import LOCAL, each


def squared(x: int) -> int:
    return x * x


def test_jobs_run_in_order_without_ray() -> None:
    assert list(each(squared, [3, 1, 2])) == [9, 1, 4]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_ray_gives_the_same_results() -> None:
    assert sorted(each(squared, [1, 2, 3, 4], LOCAL)) == [1, 4, 9, 16]


def test_no_jobs_start_nothing() -> None:
    assert list(each(squared, [], LOCAL)) == []
