"""The appended process equals GPyTorch's exact one and the textbook's closed form."""

import gpytorch
import numpy as np
import pytest
import torch

from policies.bayes.gp import GaussianProcess
from policies.bayes.kernel import SpaceTimeKernel, SurfaceKernel

TIME_S, LENGTH_NM = 120.0, 400.0


def points(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    place = rng.uniform(-1000.0, 1000.0, (n, 2))
    time = rng.uniform(0.0, 600.0, (n, 1))
    return np.hstack([place, time, np.ones((n, 1))])


class ExactGP(gpytorch.models.ExactGP):
    def __init__(self, x: torch.Tensor, y: torch.Tensor, noise: torch.Tensor) -> None:
        super().__init__(x, y, gpytorch.likelihoods.FixedNoiseGaussianLikelihood(noise))
        self.mean_module = gpytorch.means.ZeroMean()
        in_time = gpytorch.kernels.MaternKernel(nu=0.5, active_dims=(2,))
        in_time.lengthscale = TIME_S
        in_space = gpytorch.kernels.MaternKernel(nu=0.5, active_dims=(0, 1))
        in_space.lengthscale = LENGTH_NM
        self.covar_module = in_time * in_space

    def forward(self, x: torch.Tensor) -> gpytorch.distributions.MultivariateNormal:
        return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))


def test_posterior_equals_gpytorch() -> None:
    x, watched, rng = points(150, 0), points(40, 1), np.random.default_rng(2)
    y, noise = rng.normal(size=150), rng.uniform(0.01, 0.3, 150)
    process = GaussianProcess(SpaceTimeKernel(shared_share=0.0, time_s=TIME_S, length_nm=LENGTH_NM), watched)
    for point, value, var in zip(x, y, noise, strict=True):
        process.append(point, value, var)

    reference = ExactGP(torch.tensor(x), torch.tensor(y), torch.tensor(noise)).double().eval()
    # Above this many points GPyTorch would go over to iterative solves.
    with torch.no_grad(), gpytorch.settings.max_cholesky_size(1000):
        posterior = reference(torch.tensor(watched))
    np.testing.assert_allclose(process.mean, posterior.mean.numpy(), atol=1e-6)
    np.testing.assert_allclose(process.var, posterior.variance.numpy(), atol=1e-6)
    mean, var = process.predict(watched)
    np.testing.assert_allclose(mean, process.mean, atol=1e-10)
    np.testing.assert_allclose(var, process.var, atol=1e-10)


def test_sums_and_globals_equal_the_closed_form() -> None:
    rng = np.random.default_rng(3)
    kernel = SpaceTimeKernel(shared_share=0.4, time_s=TIME_S, length_nm=LENGTH_NM)
    x = np.hstack([points(60, 4)[:, :3], rng.uniform(0.5, 2.0, (60, 1)), rng.normal(size=(60, 2))])
    the_globals = np.array([[0, 0, 0, 0, 1.0, 0], [0, 0, 0, 0, 0, 1.0]])
    shift = np.array([30.0, -20.0, 10.0, 0, 0, 0])
    watched = np.vstack([x[:5] + shift, the_globals])
    weights = np.zeros((20, 60))
    process = GaussianProcess(kernel, watched)
    y, noise = rng.normal(size=20), rng.uniform(0.05, 0.2, 20)
    for i in range(20):
        share = rng.uniform(0.2, 1.0, 3)
        weights[i, 3 * i : 3 * i + 3] = share
        process.append_sum(x[3 * i : 3 * i + 3], share, y[i], noise[i])

    measured = weights @ kernel(x, x) @ weights.T + np.diag(noise)
    cross = weights @ kernel(x, watched)
    cov = kernel(watched, watched) - cross.T @ np.linalg.solve(measured, cross)
    np.testing.assert_allclose(process.mean, cross.T @ np.linalg.solve(measured, y), atol=1e-10)
    np.testing.assert_allclose(process.var, np.diag(cov), atol=1e-10)
    block = process.block(watched)
    np.testing.assert_allclose(block.mean, process.mean, atol=1e-10)
    np.testing.assert_allclose(block.cov, cov, atol=1e-10)
    np.testing.assert_allclose(block.cross, cov, atol=1e-10)


def test_before_any_measurement_it_is_the_prior() -> None:
    watched = points(7, 0)
    kernel = SpaceTimeKernel(shared_share=0.3, time_s=TIME_S, length_nm=LENGTH_NM)
    process = GaussianProcess(kernel, watched)
    block = process.block(watched[:3])
    np.testing.assert_array_equal(process.mean, 0.0)
    np.testing.assert_array_equal(process.var, np.diag(kernel(watched, watched)))
    np.testing.assert_array_equal(block.cross, kernel(watched[:3], watched))
    np.testing.assert_array_equal(process.predict(watched)[1], process.var)


def test_an_exact_measurement_twice_changes_nothing() -> None:
    watched = points(3, 0)
    process = GaussianProcess(SpaceTimeKernel(shared_share=0.0, time_s=TIME_S, length_nm=LENGTH_NM), watched)
    process.append(watched[0], 1.5, 0.0)
    process.append(watched[0], 1.5, 0.0)
    assert process.mean[0] == pytest.approx(1.5, abs=1e-6)
    assert process.var[0] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("value", "noise"), [(np.nan, 1.0), (1.0, np.nan), (np.inf, 1.0), (1.0, -1.0)])
def test_bad_measurements_are_refused(value: float, noise: float) -> None:
    process = GaussianProcess(SpaceTimeKernel(shared_share=0.0, time_s=1.0, length_nm=1.0), points(3, 0))
    with pytest.raises(ValueError, match="finite value and noise_var"):
        process.append(points(1, 1)[0], value, noise)
    assert process.n == 0


@pytest.mark.parametrize(
    "kernel",
    [
        SpaceTimeKernel(shared_share=0.5, time_s=100.0, length_nm=300.0),
        SurfaceKernel(
            reach_nm=1000.0,
            offset_sd=2.0,
            tilt_sd=1.0,
            bulge_sd=3.0,
            rest_sd=0.5,
            rest_length_nm=500.0,
            wander_sd=1.0,
            wander_s=60.0,
        ),
    ],
)
def test_kernels_are_covariances(kernel: SpaceTimeKernel | SurfaceKernel) -> None:
    columns = 3 if isinstance(kernel, SurfaceKernel) else 4
    x = points(40, 5)[:, :columns]
    cov = kernel(x, x)
    np.testing.assert_allclose(cov, cov.T)
    np.testing.assert_allclose(kernel.variance(x), np.diag(cov))
    assert np.linalg.eigvalsh(cov).min() > -1e-9


@pytest.mark.parametrize("field", ["shared_share", "time_s", "length_nm"])
def test_kernel_names_what_is_wrong(field: str) -> None:
    settings = {"shared_share": 0.5, "time_s": 1.0, "length_nm": 1.0} | {field: -1.0}
    with pytest.raises(ValueError, match=f"{field} = -1"):
        SpaceTimeKernel(**settings)
