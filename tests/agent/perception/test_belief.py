from __future__ import annotations

import numpy as np
import pytest

from agent.perception.belief import Belief, Rows, gain
from agent.perception.ensemble import Row

SIZE = 12


class Made:
    """What of a prior the belief asks for."""

    def __init__(self, seed: int = 0) -> None:
        half = np.random.default_rng(seed).standard_normal((SIZE, 2 * SIZE))
        covariance = half @ half.T
        scale = np.sqrt(np.diag(covariance))
        self.correlation = (covariance / scale / scale[:, None]).astype(np.float32)
        self.mean = np.zeros(SIZE)


def rows(seed: int, count: int) -> Rows:
    random = np.random.default_rng(seed)
    return Rows.of(
        [
            Row(random.permutation(SIZE)[:3], random.standard_normal(3), float(random.uniform(0.05, 1)), float(value))
            for value in random.standard_normal(count)
        ]
    )


def exact(prior: Made, many: list[Rows]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance by the formulae of conditioning, all readings at once."""
    observe = np.concatenate([np.zeros((len(each.var), SIZE)) for each in many])
    for n, (places, weights) in enumerate(
        (p, w) for each in many for p, w in zip(each.places, each.weights, strict=True)
    ):
        observe[n, places] = weights
    prior_covariance = prior.correlation.astype(np.float64)
    spread = observe @ prior_covariance @ observe.T + np.diag(np.concatenate([each.var for each in many]))
    weight = np.linalg.solve(spread, observe @ prior_covariance).T
    values = np.concatenate([each.value for each in many])
    return weight @ values, prior_covariance - weight @ observe @ prior_covariance


@pytest.fixture
def prior() -> Made:
    return Made()


def believed(prior: Made, many: list[Rows]) -> Belief:
    belief = Belief.of(prior)  # type: ignore[arg-type]
    for each in many:
        belief = belief.after(prior, each)  # type: ignore[arg-type]
    return belief


def test_readings_one_after_the_other_condition_as_all_at_once(prior: Made) -> None:
    many = [rows(seed, count) for seed, count in enumerate((1, 3, 2, 1, 4))]
    belief, (mean, covariance) = believed(prior, many), exact(prior, many)
    np.testing.assert_allclose(belief.mean, mean, atol=2e-4)
    np.testing.assert_allclose(belief.var, np.diag(covariance), atol=2e-4)


def test_nothing_read_is_the_prior(prior: Made) -> None:
    belief = Belief.of(prior)  # type: ignore[arg-type]
    assert not belief.mean.any()
    np.testing.assert_array_equal(belief.var, np.diag(prior.correlation))


def test_a_batch_is_as_many_single_beliefs(prior: Made) -> None:
    ones = [[rows(seed, 2), rows(seed + 50, 2)] for seed in range(3)]
    belief = Belief.of(prior, 3)  # type: ignore[arg-type]
    for step in range(2):
        parts = [one[step] for one in ones]
        both = Rows(*(np.stack([getattr(p, name) for p in parts]) for name in ("places", "weights", "var", "value")))
        belief = belief.after(prior, both)  # type: ignore[arg-type]
    for n, one in enumerate(ones):
        np.testing.assert_allclose(belief.mean[n], believed(prior, one).mean, atol=1e-5)
        np.testing.assert_allclose(belief.var[n], believed(prior, one).var, atol=1e-5)


def test_a_reading_without_weight_tells_nothing(prior: Made) -> None:
    one = rows(1, 1)
    nothing = Rows(
        places=np.concatenate([one.places, np.zeros_like(one.places)]),
        weights=np.concatenate([one.weights, np.zeros_like(one.weights)]),
        var=np.append(one.var, np.float32(1.0)),
        value=np.append(one.value, np.float32(0.0)),
    )
    np.testing.assert_allclose(believed(prior, [nothing]).mean, believed(prior, [one]).mean, atol=1e-6)


def test_many_readings_are_kept_in_few_factors(prior: Made) -> None:
    many = [rows(seed, 5) for seed in range(20)]
    belief, (mean, covariance) = believed(prior, many), exact(prior, many)
    assert belief.factors.shape[-2] <= 2 * SIZE + 5
    np.testing.assert_allclose(belief.mean, mean, atol=2e-3)
    np.testing.assert_allclose(belief.var, np.diag(covariance), atol=2e-3)


def test_the_gain_says_what_a_reading_would_do_before_it_is_done(prior: Made) -> None:
    belief, asked = believed(prior, [rows(3, 2)]), rows(4, 2)
    factors, said = gain(prior.correlation, belief, asked)
    after = belief.after(prior, asked)  # type: ignore[arg-type]
    np.testing.assert_allclose(belief.var - (factors**2).sum(axis=0), after.var, atol=1e-5)
    np.testing.assert_allclose(belief.mean + said @ factors, after.mean, atol=1e-5)
