from __future__ import annotations

import numpy as np
import pytest

from agent.perception.counting import HOW, KINDS, Counting
from agent.perception.network import unshrunk

MEAN, SD = np.array([2.0, 4.0, 2.0]), np.array([2.2, 3.6, 2.0])


def inputs(number: float, sd: float, late: float) -> np.ndarray:
    row = np.zeros((1, HOW + 2 * KINDS + 4))
    row[:, HOW : HOW + KINDS], row[:, HOW + KINDS : HOW + 2 * KINDS], row[:, -1] = np.sqrt(number), np.log(sd), late
    return row


def reading(counting: Counting, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    value, sd = unshrunk(*counting(row), MEAN, SD)
    return value[0], sd[0]


def test_what_is_counted_exactly_in_its_own_cell_is_read_as_it_is() -> None:
    value, sd = reading(Counting(np.zeros(2), np.ones(3), MEAN, SD), inputs(5.0, 0.1, 0.5))
    np.testing.assert_allclose(value, 5.0, atol=0.02)
    np.testing.assert_allclose(sd, 0.1, rtol=0.02)


def test_what_may_belong_to_the_next_cell_is_less_sure_and_the_later_the_less() -> None:
    counting = Counting(np.array([0.3, 0.6]), np.ones(3), MEAN, SD)
    early, late = (reading(counting, inputs(5.0, 0.1, when))[1] for when in (0.0, 1.0))
    np.testing.assert_allclose(early**2, 0.3 * (5 + MEAN) / 2 + 0.01, rtol=0.02)
    np.testing.assert_allclose(late**2, 0.9 * (5 + MEAN) / 2 + 0.01, rtol=0.02)


def test_what_counting_itself_had_to_believe_is_taken_out_again() -> None:
    # Counting ends half-way between 4.4 and what all worlds have, as sure as both together: 4.4 was seen.
    counting = Counting(np.zeros(2), np.ones(3), MEAN, SD)
    value, sd = reading(counting, inputs((4.4 + MEAN[0]) / 2, SD[0] / np.sqrt(2), 0.0))
    assert value[0] == pytest.approx(4.4, rel=1e-3)
    assert sd[0] == pytest.approx(SD[0], rel=1e-3)


def test_it_survives_its_file() -> None:
    counting = Counting(np.array([0.3, 0.6]), np.array([1.0, 1.2, 1.5]), MEAN, SD)
    again = Counting.of("HAADF", counting.arrays("HAADF"))
    np.testing.assert_allclose(
        np.concatenate(again(inputs(5.0, 1.0, 0.2))), np.concatenate(counting(inputs(5.0, 1.0, 0.2))), rtol=1e-5
    )
