"""The state-space form is the exact process: equal to BoTorch's, GPyTorch's and the textbook's closed form."""

from dataclasses import replace

import gpytorch
import numpy as np
import pytest
import torch
from botorch.models import SingleTaskGP
from gpytorch.kernels import ConstantKernel, MaternKernel, ScaleKernel

from policies.bayes.kernel import SpaceTimeKernel
from policies.bayes.statespace import Reading, StateSpaceProcess

KERNEL = SpaceTimeKernel(shared_share=0.3, time_s=80.0, length_nm=400.0, variance_factor=1.7)
TOGETHER = np.array([[1.0, 0.6], [0.6, 2.0]])


def grid(edge: int) -> np.ndarray:
    along = np.linspace(-1000.0, 1000.0, edge)
    return np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)


def readings(n: int, places: int, seed: int, outputs: int = 1) -> list[Reading]:
    """Readings in the order of time, some of them at one and the same; of sums of outputs where there are several."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.exponential(2.0, n) * (rng.uniform(size=n) < 0.7))
    weights = rng.uniform(-1.0, 1.0, (n, outputs)) if outputs > 1 else np.ones((n, 1))
    return [
        Reading(int(rng.integers(places)), float(t), float(rng.normal()), float(rng.uniform(0.01, 0.3)), tuple(w))
        for t, w in zip(times, weights.tolist(), strict=True)
    ]


def learned(process: StateSpaceProcess, given: list[Reading]) -> StateSpaceProcess:
    for reading in given:
        process.append(reading)
    return process


def torch_kernel() -> gpytorch.kernels.Kernel:
    in_time, in_space = MaternKernel(nu=0.5, active_dims=(2,)), MaternKernel(nu=0.5, active_dims=(0, 1))
    in_time.lengthscale, in_space.lengthscale = KERNEL.time_s, KERNEL.length_nm
    local, shared = ScaleKernel(in_time * in_space), ConstantKernel()
    local.outputscale = KERNEL.variance_factor * (1.0 - KERNEL.shared_share)
    shared.constant = torch.tensor(KERNEL.variance_factor * KERNEL.shared_share)
    return local + shared


def points(places: np.ndarray, given: list[Reading]) -> np.ndarray:
    return np.array([(*places[r.place], r.t_s) for r in given])


def botorch_model(x: np.ndarray, given: list[Reading], kernel: gpytorch.kernels.Kernel) -> SingleTaskGP:
    columns = ([[getattr(r, name)] for r in given] for name in ("value", "noise_var"))
    y, noise = (torch.tensor(column, dtype=torch.float64) for column in columns)
    mean = gpytorch.means.ZeroMean()
    return SingleTaskGP(torch.tensor(x), y, noise, covar_module=kernel, mean_module=mean, outcome_transform=None)


def posterior(model: SingleTaskGP, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Above this many points GPyTorch would go over to iterative solves.
    with torch.no_grad(), gpytorch.settings.max_cholesky_size(1000):
        found = model.double().posterior(torch.tensor(asked))
    return found.mean.numpy()[:, 0], found.variance.numpy()[:, 0]


@pytest.mark.parametrize("ahead_s", [0.0, 5.0, 100.0])
def test_the_posterior_is_that_of_botorch(ahead_s: float) -> None:
    places, given = grid(9), readings(200, 81, 0)
    process = learned(StateSpaceProcess(KERNEL, places), given)
    t_s = process.t_s + ahead_s
    forecast = process.predict(t_s)

    model = botorch_model(points(places, given), given, torch_kernel())
    mean, var = posterior(model, np.hstack([places, np.full((81, 1), t_s)]))
    np.testing.assert_allclose(forecast.mean[0], mean, atol=1e-6)
    np.testing.assert_allclose(forecast.cov[0, 0], var, atol=1e-6)


class OfOutputs(gpytorch.kernels.Kernel):
    """The intrinsic model of coregionalisation; the last column of a point is its output."""

    def __init__(self) -> None:
        super().__init__()
        self.base = torch_kernel()

    def forward(self, a: torch.Tensor, b: torch.Tensor, diag: bool = False, **_: object) -> torch.Tensor:
        cov = self.base(a, b).to_dense() * torch.tensor(TOGETHER)[a[..., -1].long()][..., b[..., -1].long()]
        return cov.diagonal(dim1=-2, dim2=-1) if diag else cov


def test_two_outputs_are_those_of_botorch() -> None:
    places, which = grid(6), np.random.default_rng(5).integers(2, size=120)
    given = [replace(r, weights=((1.0, 0.0), (0.0, 1.0))[k]) for r, k in zip(readings(120, 36, 1), which, strict=True)]
    process = learned(StateSpaceProcess(KERNEL, places, TOGETHER), given)
    t_s = process.t_s + 10.0
    forecast = process.predict(t_s)

    model = botorch_model(np.column_stack([points(places, given), which]), given, OfOutputs())
    for output in (0, 1):
        asked = np.column_stack([places, np.full(36, t_s), np.full(36, output)])
        mean, var = posterior(model, asked)
        np.testing.assert_allclose(forecast.mean[output], mean, atol=1e-6)
        np.testing.assert_allclose(forecast.cov[output, output], var, atol=1e-6)


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_long_run_equals_the_closed_form(outputs: int) -> None:
    """Weighted sums of outputs, many times as many readings as the queue is long, each place at a time of its own."""
    together = TOGETHER[:outputs, :outputs]
    places, given = grid(5), readings(700, 25, 2, outputs)
    process = learned(StateSpaceProcess(KERNEL, places, together), given)
    at_s = process.t_s + np.linspace(0.0, 60.0, 25)
    forecast = process.predict(at_s)

    def unit(x: np.ndarray) -> np.ndarray:
        return np.hstack([x, np.ones((len(x), 1))])

    x, weights = unit(points(places, given)), np.array([r.weights for r in given])
    measured = KERNEL(x, x) * (weights @ together @ weights.T) + np.diag([r.noise_var for r in given])
    asked = unit(np.column_stack([places, at_s]))
    cross = np.concatenate([KERNEL(x, asked) * (weights @ together)[:, [q]] for q in range(outputs)], axis=1)
    mean = cross.T @ np.linalg.solve(measured, [r.value for r in given])
    taken = (cross.T @ np.linalg.solve(measured, cross)).reshape(outputs, 25, outputs, 25)
    cov = KERNEL.variance_factor * together[:, :, None] - np.einsum("pmqm->pqm", taken)
    np.testing.assert_allclose(forecast.mean.ravel(), mean, atol=1e-9)
    np.testing.assert_allclose(forecast.cov, cov, atol=1e-9)


def test_it_forgets_all_but_the_level() -> None:
    process = learned(StateSpaceProcess(KERNEL, grid(4)), readings(80, 16, 3))
    forecast = process.predict(process.t_s + 40.0 * KERNEL.time_s)
    np.testing.assert_allclose(forecast.mean, forecast.mean[0, 0])
    level_var = float(forecast.cov[0, 0, 0]) - KERNEL.variance_factor * (1.0 - KERNEL.shared_share)
    assert 0.0 < level_var < 0.5 * KERNEL.variance_factor * KERNEL.shared_share
    no_level = SpaceTimeKernel(shared_share=0.0, time_s=80.0, length_nm=400.0)
    process = learned(StateSpaceProcess(no_level, grid(4)), readings(80, 16, 3))
    forecast = process.predict(process.t_s + 40.0 * KERNEL.time_s)
    np.testing.assert_allclose(forecast.mean, 0.0, atol=1e-12)
    np.testing.assert_allclose(forecast.cov, 1.0)


def test_before_any_reading_it_is_the_prior() -> None:
    forecast = StateSpaceProcess(KERNEL, grid(3), TOGETHER).predict(12.0)
    np.testing.assert_array_equal(forecast.mean, 0.0)
    np.testing.assert_allclose(forecast.cov, KERNEL.variance_factor * np.repeat(TOGETHER[:, :, None], 9, axis=2))


def test_an_exact_reading_twice_changes_nothing() -> None:
    process = learned(StateSpaceProcess(KERNEL, grid(3)), [Reading(4, 1.0, 1.5, 0.0)] * 2)
    forecast = process.predict(1.0)
    assert forecast.mean[0, 4] == pytest.approx(1.5, abs=1e-6)
    assert forecast.cov[0, 0, 4] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("reading", "what"),
    [
        (Reading(0, 2.0, np.nan, 0.1), "finite numbers"),
        (Reading(0, 2.0, 1.0, -0.1), "noise_var >= 0"),
        (Reading(0, np.inf, 1.0, 0.1), "finite numbers"),
        (Reading(9, 2.0, 1.0, 0.1), "place = 9 is not one of 9"),
        (Reading(-1, 2.0, 1.0, 0.1), "place = -1"),
        (Reading(0, 2.0, 1.0, 0.1, (0.0,)), "not all of them 0"),
        (Reading(0, 2.0, 1.0, 0.1, (1.0, 1.0)), "must be 1 numbers"),
        (Reading(0, 0.5, 1.0, 0.1), "t_s = 0.5 is before the newest reading, of 1 s"),
    ],
)
def test_bad_readings_are_refused_and_change_nothing(reading: Reading, what: str) -> None:
    process = learned(StateSpaceProcess(KERNEL, grid(3)), [Reading(4, 1.0, 1.5, 0.1)])
    before = process.predict(3.0)
    with pytest.raises(ValueError, match=what):
        process.append(reading)
    assert process.n == 1
    np.testing.assert_array_equal(process.predict(3.0).mean, before.mean)


def test_it_does_not_forecast_the_past() -> None:
    process = learned(StateSpaceProcess(KERNEL, grid(2)), [Reading(0, 10.0, 1.0, 0.1)])
    with pytest.raises(ValueError, match="t_s = 9 is before the newest reading, of 10 s"):
        process.predict(np.array([11.0, 9.0, 12.0, 13.0]))


@pytest.mark.parametrize(
    ("together", "what"),
    [([[1.0, 2.0], [2.0, 1.0]], "positive definite"), ([[1.0, 0.5]], "symmetric"), ([[np.nan]], "symmetric")],
)
def test_outputs_that_cannot_go_together_are_refused(together: list[list[float]], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        StateSpaceProcess(KERNEL, grid(2), np.array(together))
