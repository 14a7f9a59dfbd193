"""The same decision by BoTorch, hyperparameters frozen, in each of the ways that it offers, and by the closed form."""

from __future__ import annotations

from collections.abc import Callable

import gpytorch
import numpy as np
import torch
from botorch.acquisition.analytic import UpperConfidenceBound
from botorch.models import SingleTaskGP
from botorch.models.gpytorch import BatchedMultiOutputGPyTorchModel
from gpytorch.kernels import ConstantKernel, MaternKernel, ScaleKernel
from scipy.linalg import cho_factor, solve_triangular

from policies.bayes.kernel import Array, SpaceTimeKernel

# Up to this size GPyTorch decomposes exactly; beyond 800 it would not by itself.
EXACT_UP_TO = 20_000
BLOCK = 500
WORTH_OF_SD = 2.0

Decide = Callable[[int], object]


class BoTorch:
    """A model of n readings at points x (n, 3) with values and noise (n,), and candidates (m, 3)."""

    def __init__(self, kernel: SpaceTimeKernel, readings: tuple[Array, Array, Array], candidates: Array) -> None:
        self._kernel = kernel
        x, values, noise_var = readings
        self._x, self._y, self._noise = (torch.from_numpy(a) for a in (x, values[:, None], noise_var[:, None]))
        self._candidates = torch.from_numpy(candidates)
        with torch.no_grad(), gpytorch.settings.max_cholesky_size(EXACT_UP_TO):
            self._before = self._model(len(x) - 1)
            # What it caches on the first use is there before the clock starts.
            self._before.posterior(self._candidates[:2])

    def ways(self) -> dict[str, Decide]:
        """Ways to learn the last reading and find the best candidate by mean + 2 sd."""
        return {
            "new model, posterior of all candidates": lambda _: self._best(self._model(len(self._x))),
            "condition_on_observations, posterior of all candidates": lambda _: self._best(self._conditioned()),
            "new model, UpperConfidenceBound on batches of one": lambda _: self._acquired(self._model(len(self._x))),
        }

    def posterior(self) -> tuple[Array, Array]:
        """Mean and variance, (m,) each, with all n readings."""
        with torch.no_grad(), gpytorch.settings.max_cholesky_size(EXACT_UP_TO):
            found = self._model(len(self._x)).posterior(self._candidates)
            return found.mean.numpy()[:, 0], found.variance.numpy()[:, 0]

    def _model(self, n: int) -> SingleTaskGP:
        # In single precision, the default of modules and of numbers that are given to them, it is off by 1e-7.
        in_time = MaternKernel(nu=0.5, active_dims=(2,)).double()
        in_space = MaternKernel(nu=0.5, active_dims=(0, 1)).double()
        local, shared = ScaleKernel(in_time * in_space).double(), ConstantKernel().double()
        whole, share = self._kernel.variance_factor, self._kernel.shared_share
        in_time.lengthscale, in_space.lengthscale = _double(self._kernel.time_s), _double(self._kernel.length_nm)
        local.outputscale, shared.constant = _double(whole * (1.0 - share)), _double(whole * share)
        model = SingleTaskGP(
            self._x[:n],
            self._y[:n],
            self._noise[:n],
            covar_module=local + shared,
            mean_module=gpytorch.means.ZeroMean(),
            outcome_transform=None,
        )
        return model.double().eval()

    def _conditioned(self) -> BatchedMultiOutputGPyTorchModel:
        with torch.no_grad(), gpytorch.settings.max_cholesky_size(EXACT_UP_TO):
            return self._before.condition_on_observations(self._x[-1:], self._y[-1:], noise=self._noise[-1:])

    def _best(self, model: BatchedMultiOutputGPyTorchModel) -> int:
        with torch.no_grad(), gpytorch.settings.max_cholesky_size(EXACT_UP_TO):
            found = model.posterior(self._candidates)
            return int(torch.argmax(found.mean + WORTH_OF_SD * found.variance.sqrt()))

    def _acquired(self, model: BatchedMultiOutputGPyTorchModel) -> int:
        with torch.no_grad(), gpytorch.settings.max_cholesky_size(EXACT_UP_TO):
            acquisition = UpperConfidenceBound(model, beta=WORTH_OF_SD**2)
            return int(torch.argmax(acquisition(self._candidates[:, None])))


def _double(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def closed_form(kernel: SpaceTimeKernel, readings: tuple[Array, Array, Array], asked: Array) -> tuple[Array, Array]:
    """Mean and variance of the exact process at points (c, 3), for any number of readings that memory holds twice."""
    x, values, noise_var = readings
    x, asked = (np.hstack([points, np.ones((len(points), 1))]) for points in (x, asked))
    cov = np.empty((len(x), len(x)), order="F")
    for begin in range(0, len(x), BLOCK):
        cov[:, begin : begin + BLOCK] = kernel(x, x[begin : begin + BLOCK])
    cov[np.diag_indices(len(x))] += noise_var
    lower = cho_factor(cov, lower=True, overwrite_a=True, check_finite=False)[0]
    white = solve_triangular(lower, np.column_stack([kernel(x, asked), values]), lower=True, check_finite=False)
    return white[:, :-1].T @ white[:, -1], kernel.variance(asked) - np.einsum("nc,nc->c", white[:, :-1], white[:, :-1])
