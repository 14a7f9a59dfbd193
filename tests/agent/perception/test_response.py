from __future__ import annotations

import numpy as np
import pytest

from agent.perception.again import BLIND, Change
from agent.perception.response import Response

LOSSES = 6


@pytest.fixture
def response() -> Response:
    random = np.random.default_rng(0)
    return Response(
        middle=np.log([80.0, 0.65]),
        spread=np.array([0.4, 0.3]),
        together=np.array([[1.0, 0.3], [0.3, 1.0]]),
        mean=np.linspace(1.0, 3.0, LOSSES),
        later=np.full(LOSSES, -0.2),
        slopes=np.column_stack([np.full(LOSSES, -0.8), np.linspace(-0.3, 0.6, LOSSES)]),
        common=0.1 * random.standard_normal((LOSSES, 2)),
        own=np.full(LOSSES, 0.1),
        common_dosed=0.2 * random.standard_normal((LOSSES, 2)),
        own_dosed=np.full(LOSSES, 0.1),
        pixel_nm=np.array([16.0]),
    )


def change(response: Response, logs: np.ndarray, random: np.random.Generator, dose: float = 0.4) -> Change:
    """A change in a world of known couplings, by the model itself."""
    sd = np.full(LOSSES, 0.05)
    mean = dose * (response.mean + response.slopes @ logs) + 0.1 * response.later
    common = response.common @ random.standard_normal(2) + dose * response.common_dosed @ random.standard_normal(2)
    own = np.sqrt(sd**2 + response.own**2 + (dose * response.own_dosed) ** 2) * random.standard_normal(LOSSES)
    return Change(mean + common + own, sd, dose, 0.1, 16.0)


def test_couplings_are_told_as_by_weighing_all_that_are_possible(response: Response) -> None:
    random = np.random.default_rng(1)
    one = change(response, np.array([0.7, -0.5]), random)
    dose = one.dose
    spread = np.diag(one.sd**2 + response.own**2 + (dose * response.own_dosed) ** 2)
    spread += response.common @ response.common.T + dose**2 * response.common_dosed @ response.common_dosed.T
    logs = random.multivariate_normal(np.zeros(2), response.together, 200_000)
    left = one.lost - dose * (response.mean + logs @ response.slopes.T) - one.waited * response.later
    chi = np.einsum("nk,kl,nl->n", left, np.linalg.inv(spread), left)
    mean, var = response.told(one)
    # What is told is exact for normal errors; of Student's t it takes the weight at the best couplings.
    best = chi.min() + mean @ np.linalg.solve(response.together, mean)
    weight = np.exp(-0.5 * chi * (4 + LOSSES) / (4 + min(chi.min(), best)))
    weight /= weight.sum()
    np.testing.assert_allclose(mean, weight @ logs, atol=0.08)
    np.testing.assert_allclose(np.sqrt(var), np.sqrt(weight @ logs**2 - (weight @ logs) ** 2), rtol=0.1)


def test_readings_give_back_what_is_known_by_the_worlds_of_training(response: Response) -> None:
    random, z = np.random.default_rng(2), []
    whole = response.prior()
    for _ in range(300):
        logs = random.multivariate_normal(np.zeros(2), response.together)
        truth = np.exp(response.middle + response.spread * logs)
        value, sd = response(change(response, logs, random))
        assert np.isfinite(sd[0])
        share = 1 / (1 + (sd / whole[1]) ** 2)
        z.append((truth - whole[0] - share * (value - whole[0])) / (np.sqrt(1 - share) * whole[1]))
    assert np.abs(np.mean(z, axis=0)).max() < 0.2
    np.testing.assert_allclose(np.std(z, axis=0), 1.0, atol=0.25)


def test_what_was_not_seen_tells_nothing(response: Response) -> None:
    mean, var = response.told(Change(np.zeros(LOSSES), np.full(LOSSES, BLIND), 0.3, 0.1, 16.0))
    assert np.abs(mean).max() < 0.01
    assert var.min() > 0.99
    assert np.isinf(response(Change(np.zeros(LOSSES), np.full(LOSSES, BLIND), 0.3, 0.1, 16.0))[1]).all()


def test_fields_of_another_size_than_those_learned_from_tell_nothing(response: Response) -> None:
    one = change(response, np.zeros(2), np.random.default_rng(5))
    assert np.isfinite(response(one)[1][0])
    assert np.isinf(response(one._replace(pixel_nm=64.0))[1]).all()


def test_a_change_that_no_coupling_explains_tells_less(response: Response) -> None:
    random = np.random.default_rng(3)
    one = change(response, np.zeros(2), random)
    odd = one._replace(lost=one.lost + np.array([2.0, -2.0, 2.0, -2.0, 2.0, -2.0]))
    assert (response.told(odd)[1] > response.told(one)[1]).all()


def test_it_survives_its_arrays(response: Response) -> None:
    again = Response.of("CBED.again", response.arrays("CBED.again"))
    np.testing.assert_allclose(again.slopes, response.slopes, rtol=1e-6)
    assert set(response.arrays("x")) == {f"x.{name}" for name in Response.__dataclass_fields__}


def test_the_prior_is_that_of_worlds_of_normal_logarithms(response: Response) -> None:
    drawn = np.exp(np.random.default_rng(4).normal(response.middle, response.spread, (1_000_000, 2)))
    np.testing.assert_allclose(response.prior(), (drawn.mean(axis=0), drawn.std(axis=0)), rtol=0.01)


def test_the_error_of_a_reading_does_not_follow_its_value(response: Response) -> None:
    one = Change(0.3 * response.mean, np.full(LOSSES, 0.02), 0.3, 0.0, 16.0)
    much, little = (one._replace(lost=one.lost + by) for by in (0.15, -0.15))
    (high, high_sd), (low, low_sd) = response(little), response(much)
    assert high[0] > 1.2 * low[0]
    assert high_sd[0] == pytest.approx(low_sd[0], rel=0.25)
