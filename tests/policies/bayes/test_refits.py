"""Rounds of work beside the run are taken whole, or not at all."""

import threading

import pytest

from policies.bayes.refits import Refits


def test_all_results_come_at_once() -> None:
    gate, fits = threading.Event(), Refits[int]()
    assert not fits.under_way
    fits.start({"a": lambda: 1, "b": lambda: 2 if gate.wait(10.0) else 0})
    assert fits.under_way
    assert not fits.done
    gate.set()
    assert fits.take() == {"a": 1, "b": 2}
    assert not fits.under_way
    assert fits.take() == {}


def test_one_failure_gives_none_out() -> None:
    def fails() -> int:
        raise RuntimeError("no fit")

    fits = Refits[int]()
    fits.start({"a": lambda: 1, "b": fails})
    with pytest.raises(RuntimeError, match="no fit"):
        fits.take()
    assert fits.take() == {}


def test_a_new_round_replaces_one_that_was_not_taken() -> None:
    fits = Refits[int]()
    fits.start({"a": lambda: 1})
    fits.start({"b": lambda: 2})
    assert fits.take() == {"b": 2}
