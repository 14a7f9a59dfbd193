"""The slabs hold what the plain sum of outer products holds, at every moment."""

import numpy as np
import pytest

from policies.bayes import known
from policies.bayes.known import Known


@pytest.mark.parametrize("size", [1, 5, 64, 150])
def test_columns_are_those_of_the_plain_sum(size: int) -> None:
    rng = np.random.default_rng(size)
    made, plain = Known(size), np.zeros((size, size))
    for step in range(3 * known.SLABS + 7):
        fade = float(rng.uniform(0.8, 1.0)) if step % 3 else 1.0
        made.fade(fade)
        vector = rng.normal(size=size)
        made.add(vector)
        plain = fade**2 * plain + np.outer(vector, vector)
        i = int(rng.integers(size))
        np.testing.assert_allclose(made.column(i), plain[i], atol=1e-11 * plain[i, i])
    np.testing.assert_allclose([made.column(i) for i in range(size)], plain, atol=1e-11 * plain.max())


def test_nothing_is_known_at_first() -> None:
    made = Known(70)
    made.fade(0.5)
    assert not np.any([made.column(i) for i in range(70)])
