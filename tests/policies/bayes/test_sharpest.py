"""Optimisation of sharpness finds a peak, asks within its ranges, and does the same for the same seed."""

import numpy as np
import pytest

from policies.bayes.sharpest import Sharpest, normalised_variance

RANGES = np.array([40.0, 10.0])
PEAK = np.array([12.0, -3.0])


def played(images, seed=0):
    search = Sharpest(RANGES, seed, begin=6)
    for _ in range(images):
        asked = search.suggest()
        assert (np.abs(asked) <= RANGES).all()
        search.tell(asked, float(np.exp(-(((asked - PEAK) / RANGES) ** 2).sum() * 4)))
    return search


def test_it_finds_a_peak():
    search = played(16)
    assert len(search) == 16
    assert np.abs((search.best() - PEAK) / RANGES).max() < 0.12


def test_the_same_seed_asks_the_same():
    np.testing.assert_allclose(played(7).suggest(), played(7).suggest())
    assert not np.allclose(played(2).suggest(), played(2, seed=1).suggest())


def test_normalised_variance_is_that_of_its_definition():
    assert normalised_variance(np.array([[1.0, 3.0]])) == pytest.approx(0.25)
    for bad in (np.zeros((2, 2)), np.full((2, 2), np.nan)):
        with pytest.raises(ValueError, match="above 0"):
            normalised_variance(bad)
