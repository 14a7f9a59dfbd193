"""Patterns of made-up spots that fade by a known factor are found to have faded by it, within the told error."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from agent.perception.again import BLIND, FIRST, Again, losses
from agent.perception.features import RINGS, Patch, rings
from hardware_bridge.report import Card

SIZE = 64
INNER, OUTER = slice(5, 10), slice(10, 15)


@pytest.fixture
def card() -> Card:
    return Card(
        world="made",
        version=1,
        extent_nm=800.0,
        cells=8,
        times_s=(),
        duration_s=100.0,
        budget_electrons=1.0,
        max_fluence_e_per_A2=50.0,
        targets=(),
    )


def expected(left_inner: float = 1.0, left_outer: float = 1.0) -> np.ndarray:
    """Electrons a pixel, of each incident one: flat, and one pixel in six of rings 5 to 14 stands out fivefold."""
    ring = rings(SIZE)[0]
    spots = 4e-4 * (np.random.default_rng(7).random(SIZE**2) < 1 / 6)
    left = np.where((ring >= 5) & (ring < 10), left_inner, np.where((ring >= 10) & (ring < 15), left_outer, 0.0))
    return np.asarray((1e-4 + left * spots).reshape(1, 1, SIZE, SIZE))


def patch(random: np.random.Generator, mean: np.ndarray, electrons: float = 1e6) -> Patch:
    return Patch(0, (0, 0), random.poisson(electrons * mean), electrons, 16.0, (0, 2, 0, 2))


def test_what_is_lost_is_found_whatever_the_dose_of_either_look() -> None:
    random = np.random.default_rng(0)
    z = []
    for now, then in ((3e5, 1e6), (1e6, 1e6), (3e6, 1e6), (1e7, 2e5)):
        for _ in range(20):
            lost, sd = losses(patch(random, expected(0.5, 0.2), now), patch(random, expected(), then))
            z += [(lost[INNER] - math.log(2)) / sd[INNER], (lost[OUTER] - math.log(5)) / sd[OUTER]]
            assert (sd[INNER] < 0.5).all()
    assert abs(np.mean(z)) < 0.15
    assert 0.8 < np.std(z) < 1.2


def test_rings_in_which_nothing_stands_out_tell_nothing() -> None:
    random = np.random.default_rng(1)
    lost, sd = losses(patch(random, expected()), patch(random, expected()))
    empty = [*range(3), *range(17, RINGS)]
    assert (sd[empty] == BLIND).all()
    assert not lost[empty].any()


def test_of_which_nothing_is_left_counts_as_much_lost() -> None:
    random = np.random.default_rng(2)
    lost, sd = losses(patch(random, expected(0.0, 1.0)), patch(random, expected()))
    assert (lost[INNER] > 2.0).all()
    assert (sd[INNER] <= 0.5).all()
    assert np.abs(lost[OUTER]).max() < 0.3


def test_looks_are_compared_where_they_are_of_one_place_and_something_fell_between(card: Card) -> None:
    random, again = np.random.default_rng(3), Again(card)
    one = patch(random, expected())
    assert again(one, 0.0, 10.0) == []
    (change,) = again(one, 10.0, 40.0)
    assert (change.dose, change.waited, change.pixel_nm) == (0.2, 0.3, 16.0)
    # The same pattern, of whose spots all is left, but for what counting made of them.
    assert np.abs(change.lost).max() < 0.03
    beside, coarser = replace(one, box=(0, 2, 1, 4)), replace(one, pixel_nm=20.0)
    assert again(beside, 10.0, 40.0) == again(coarser, 10.0, 40.0) == []
    # As good as nothing fell, or more than such a model holds for.
    assert [len(again(one, fluence, 50.0)) for fluence in (10.5, 26.0)] == [1, 2]
    assert again(replace(one, data=one.data[0, 0]), 10.0, 60.0) == []


def test_the_first_looks_of_a_stay_are_remembered(card: Card) -> None:
    random, again = np.random.default_rng(4), Again(card)
    one = patch(random, expected())
    assert [len(again(one, 2.0 * n, 1.0 * n)) for n in range(6)] == [0, 1, 2, FIRST, FIRST, FIRST]
    again.leave()
    assert again(one, 20.0, 20.0) == []
