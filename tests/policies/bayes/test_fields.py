"""Fields keep their prior until something is seen, and exposed cells stand for older ones."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from policies.bayes.fields import FieldBelief, Measurement
from policies.bayes.grid import Grid


@pytest.fixture
def count(make_bench: Callable[..., Any]) -> FieldBelief:
    card = make_bench().setup.card
    return FieldBelief(next(t for t in card.targets if t.name == "count"), card, Grid(card))


def test_unseen_it_is_the_prior(count: FieldBelief) -> None:
    np.testing.assert_array_equal(count.process.mean, 0.0)
    np.testing.assert_allclose(np.sqrt(count.process.var), count.target.prior_sd)


def test_the_prior_goes_from_nothing_through_the_asked_times(count: FieldBelief) -> None:
    for t_s, expected in ((0.0, 0.0), (75.0, 1.5), (150.0, 3.0), (600.0, 12.0)):
        np.testing.assert_allclose(count.prior(np.full(64, t_s))[0], expected)
    np.testing.assert_allclose(count.pace(np.full(64, 200.0)), 3.0 / 150.0)


def test_a_measurement_tells_its_cell_most(count: FieldBelief) -> None:
    count.append(Measurement(cell=27, t_s=300.0, exposure_s=0.0, value=9.0, noise_var=0.1), 0.0)
    at_300 = count.process.mean[64:128]
    assert int(np.argmax(at_300)) == 27
    assert at_300[27] == pytest.approx(3.0, rel=0.05)
    assert count.process.var[64 + 27] < 0.2


def test_an_exposed_cell_tells_an_older_one(count: FieldBelief) -> None:
    """With the coupling at its mean of 1, 150 s at unit level turn 300 s into 450 s."""
    exposure = np.zeros(64)
    exposure[27] = 150.0
    assert count.ages(300.0, exposure)[27] == 450.0
    assert count.expected(300.0, exposure)[27] == pytest.approx(9.0)
    assert count.expected(300.0, exposure)[26] == pytest.approx(6.0)
    point = count.points(300.0, exposure)[27]
    # What the coupling is not known to be, times how fast the count grows there.
    assert point[4] == pytest.approx(3.0 / 150.0 * 0.3 * 150.0)


def test_what_tells_too_little_is_not_kept(count: FieldBelief) -> None:
    measurement = Measurement(cell=27, t_s=300.0, exposure_s=0.0, value=9.0, noise_var=1e6)
    count.append(measurement, 0.1)
    assert count.measurements == []
    assert count.process.n == 0
    count.append(measurement, 0.0)
    assert len(count.measurements) == count.process.n == 1


def test_a_rebuilt_process_has_learned_the_same(count: FieldBelief) -> None:
    for cell in (1, 30, 44):
        count.append(Measurement(cell, 200.0, 0.0, 4.0, 0.5), 0.0)
    again = count.rebuilt(count.kernel, count.measurements)
    np.testing.assert_allclose(again.mean, count.process.mean)
    np.testing.assert_allclose(again.var, count.process.var)
