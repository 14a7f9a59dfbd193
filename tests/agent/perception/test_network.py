from __future__ import annotations

import numpy as np
import pytest

from agent.perception.network import Network, unshrunk


def network(inputs: int = 3) -> Network:
    random = np.random.default_rng(0)
    layers = tuple((random.standard_normal((a, b)), random.standard_normal(b)) for a, b in ((2, 4), (4, 5), (5, 4)))
    project = random.standard_normal((inputs, 2)).astype(np.float16).astype(np.float64)
    return Network(np.ones(inputs), np.full(inputs, 2.0), project, layers, np.array([5.0, -1.0]), np.array([2.0, 0.5]))


def test_it_survives_its_arrays() -> None:
    made = network()
    again = Network.of("HAADF", {**made.arrays("HAADF"), "EELS.middle": np.zeros(9)})
    inputs = np.random.default_rng(1).standard_normal((6, 3))
    for one, other in zip(made(inputs), again(inputs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_it_is_what_torch_makes_of_the_same_numbers() -> None:
    import torch

    made = network()
    inputs = np.random.default_rng(1).standard_normal((6, 3))
    hidden = torch.from_numpy((inputs - 1.0) / 2.0 @ made.project)
    for weight, bias in made.layers[:-1]:
        hidden = torch.tanh(torch.nn.functional.linear(hidden, torch.from_numpy(weight.T), torch.from_numpy(bias)))
    weight, bias = made.layers[-1]
    out = torch.nn.functional.linear(hidden, torch.from_numpy(weight.T), torch.from_numpy(bias)).numpy()
    mean, sd = made(inputs)
    np.testing.assert_allclose(mean, made.target_mean + made.target_sd * out[:, :2])
    np.testing.assert_allclose(sd, made.target_sd * np.exp(np.minimum(out[:, 2:], 3.0) / 2))


@pytest.mark.parametrize("noise_sd", [0.3, 1.0, 3.0])
def test_the_prior_of_training_is_taken_out_of_a_posterior(noise_sd: float) -> None:
    random = np.random.default_rng(2)
    truth = 5.0 + 2.0 * random.standard_normal(20_000)
    measured = truth + noise_sd * random.standard_normal(20_000)
    # The posterior of a Gaussian prior is known in closed form; the reading behind it is what was measured.
    share = 4.0 / (4.0 + noise_sd**2)
    mean, sd = 5.0 + share * (measured - 5.0), np.full(20_000, 2.0 * np.sqrt(1 - share))
    value, error = unshrunk(mean, sd, np.array(5.0), np.array(2.0))
    np.testing.assert_allclose(value, measured)
    np.testing.assert_allclose(error, noise_sd)


def test_a_posterior_as_wide_as_its_prior_leaves_a_reading_that_tells_nothing() -> None:
    value, error = unshrunk(np.array([5.1]), np.array([2.5]), np.array([5.0]), np.array([2.0]))
    assert error > 50.0
    assert np.isfinite(value)
