"""Lines of the benchmark: what counts as reached, and that both sides are timed."""

import pytest
import torch

from experiments.benchmarks.lines import Line, Reached, measure


def spin() -> object:
    return torch.zeros(4)


def test_both_sides_are_timed_and_threads_left_as_they_were():
    threads = torch.get_num_threads()
    one = measure(Line("nothing", lambda: spin, prototype=lambda: spin, per_call=3), "cpu", 0.01)
    assert one.per_s > 3.0
    assert one.prototype_per_s > 3.0
    assert one.ratio == pytest.approx(one.per_s / one.prototype_per_s)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("bar", "times", "met"),
    [
        (None, None, None),
        (100.0, None, True),
        (101.0, None, False),
        (None, 2.0, True),
        (None, 2.1, False),
        (1.0, 9.0, False),
    ],
)
def test_a_line_is_met_where_all_that_is_asked_is_reached(bar, times, met):
    assert Reached(Line("line", lambda: spin, bar=bar, times=times), "cpu", 100.0, 50.0).met is met


def test_a_ratio_without_a_prototype_is_not_met():
    assert Reached(Line("line", lambda: spin, times=2.0), "cpu", 100.0, None).met is False
