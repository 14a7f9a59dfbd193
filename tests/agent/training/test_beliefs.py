"""The small belief is the reporter's: with all its latent values to the last digits, with few of them nearly."""

import numpy as np
import pytest
import torch

from agent.lessons import prior_of
from agent.perception.belief import Belief, Rows
from agent.training.beliefs import Beliefs, Readings, Small, losses
from envs.score import crps_gaussian
from hardware_bridge.report import Estimate

WORLD = "valence"


def both(latent: int, readings: int = 30) -> tuple[Belief, Beliefs, torch.Tensor]:
    """The reporter's own belief and the second of two small ones, after the same readings."""
    prior, random = prior_of(WORLD), np.random.default_rng(3)
    exact, small = Belief.of(prior), Beliefs(Small.of(prior, latent), 2)
    for _ in range(readings):
        cell, at_s, sd = int(random.integers(64)), float(random.uniform(0, 600)), float(random.uniform(0.05, 0.3))
        value = float(random.uniform(0, 1))
        exact = exact.after(prior, Rows.of([prior.row(0, cell, at_s, Estimate(value=value, sd=sd))]))
        told = Readings(
            cell=torch.tensor([[0], [cell]]),
            field=torch.zeros(2, 1, dtype=torch.long),
            value=torch.tensor([[0.0], [value]]),
            sd=torch.tensor([[torch.inf], [sd]]),
            at_s=torch.full((2,), at_s),
        )
        surprise = small.take(told)
    return exact, small, surprise


def test_with_all_latent_values_it_is_the_reporters_belief() -> None:
    exact, small, _ = both(len(prior_of(WORLD).mean))
    values, prior = small.values(), prior_of(WORLD)
    cells = values.mean[1, :, :5].T.reshape(-1), values.var[1, :, :5].T.reshape(-1)
    assert np.allclose(cells[0], exact.mean[:320], atol=1e-4)
    assert np.allclose(cells[1], exact.var[:320], atol=1e-4)
    assert np.allclose(values.mean_globals[1], exact.mean[320 : prior.size], atol=1e-4)
    assert np.allclose(values.var_globals[1], exact.var[320 : prior.size], atol=1e-4)


def test_with_few_latent_values_it_is_nearly_so() -> None:
    exact, small, _ = both(24)
    values = small.values()
    off = values.mean[1, :, :5].T.reshape(-1).numpy() - exact.mean[:320]
    assert np.sqrt((off**2).mean()) < 0.35 * np.sqrt((exact.mean[:320] ** 2).mean())
    assert np.allclose(values.var_globals[1], exact.var[320:324], atol=0.05)


def test_a_reading_without_end_of_error_tells_nothing() -> None:
    _, small, surprise = both(24)
    values = small.values()
    assert surprise[0, 0] == 0.0
    assert not values.mean[0].any()
    assert torch.allclose(values.var[0, :, :5], torch.ones(64, 5), atol=1e-4)


def test_surprise_is_how_far_a_reading_is_off_in_standard_deviations() -> None:
    prior = prior_of(WORLD)
    small = Beliefs(Small.of(prior, len(prior.mean)), 1)
    at = prior.place(0, 2, 7)
    sd = float(np.hypot(prior.sd[at], 0.1))
    told = Readings(
        cell=torch.tensor([[7]]),
        field=torch.tensor([[0]]),
        value=torch.tensor([[float(prior.mean[at]) + 2 * sd]]),
        sd=torch.tensor([[0.1]]),
        at_s=torch.tensor([prior.times_s[2]]),
    )
    assert small.take(told)[0, 0] == pytest.approx(2.0, rel=1e-3)


def test_losses_are_those_of_the_score() -> None:
    random = np.random.default_rng(1)
    mean, sd, truth = random.normal(size=50), random.uniform(0.1, 2, 50), random.normal(size=50)
    found = losses(*(torch.tensor(each) for each in (mean, sd, truth)))
    assert np.allclose(found, crps_gaussian(mean, sd, truth))
