"""Hyperparameters fitted with BoTorch and GPyTorch, from the measurements of a run around what the card says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress

import gpytorch
import numpy as np
import torch
from botorch.models.gpytorch import GPyTorchModel
from botorch.optim.closures import get_loss_closure_with_grads
from botorch.optim.core import OptimizationStatus, scipy_minimize
from gpytorch.kernels import ConstantKernel, Kernel, MaternKernel, ScaleKernel
from gpytorch.priors import LogNormalPrior

from policies.bayes.fields import FieldBelief, Measurement, Refit
from policies.bayes.kernel import SCALE, Array, SpaceTimeKernel

# How far, as a factor of e, the run may move a hyperparameter from the card's before the prior resists.
PRIOR_SPREAD = 0.5
LEAST_MEASUREMENTS = 12
LEAST_NOISE_VAR = 1e-4
MOST_ITERATIONS = 75
PLACE_AND_TIME = 3


class _OfFactors(Kernel):  # type: ignore[misc]
    """A kernel of place and time, times how much two points have in common of independent factors (more columns)."""

    def __init__(self, base: Kernel) -> None:
        super().__init__()
        self.base = base

    def forward(self, a: torch.Tensor, b: torch.Tensor, diag: bool = False, **_: object) -> torch.Tensor:
        cov: torch.Tensor = self.base(a, b).to_dense() * (a[..., PLACE_AND_TIME:] @ b[..., PLACE_AND_TIME:].mT)
        return cov.diagonal(dim1=-2, dim2=-1) if diag else cov


class _Model(gpytorch.models.ExactGP, GPyTorchModel):  # type: ignore[misc]
    """What is common and what is local in place and time, in units of the prior's sd; noise as known."""

    _num_outputs = 1

    def __init__(self, x: torch.Tensor, y: torch.Tensor, noise_var: torch.Tensor, start: SpaceTimeKernel) -> None:
        super().__init__(x, y, gpytorch.likelihoods.FixedNoiseGaussianLikelihood(noise_var))
        self.mean_module = gpytorch.means.ZeroMean()
        self.in_time = MaternKernel(nu=0.5, active_dims=(2,), lengthscale_prior=_around(start.time_s))
        self.in_space = MaternKernel(nu=0.5, active_dims=(0, 1), lengthscale_prior=_around(start.length_nm))
        shares = (max(start.shared_share, 0.02), max(1.0 - start.shared_share, 0.02))
        self.shared = ConstantKernel(constant_prior=_around(shares[0]))
        self.local = ScaleKernel(self.in_time * self.in_space, outputscale_prior=_around(shares[1]))
        self.covar_module = self.shared + self.local
        if x.shape[1] > PLACE_AND_TIME:
            self.covar_module = _OfFactors(self.covar_module)
        self.in_time.lengthscale, self.in_space.lengthscale = start.time_s, start.length_nm
        # Of a plain number, ConstantKernel's setter asks for its shape.
        self.shared.constant, self.local.outputscale = torch.tensor(shares[0]), shares[1]

    def forward(self, x: torch.Tensor) -> gpytorch.distributions.MultivariateNormal:
        return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))


def _around(value: float) -> LogNormalPrior:
    return LogNormalPrior(math.log(value), PRIOR_SPREAD)


def refit(field: FieldBelief, measurements: Sequence[Measurement], most: int) -> Refit:
    """Fit length, time and variances by maximum posterior, and build a process with them.

    Uses at most ``most`` measurements, evenly picked, whose prior sd is not negligible. With too few it keeps the
    kernel. The result depends on the arguments alone.
    """
    kernel = better_kernel(field.kernel, *standardised(field, measurements), most)
    learned = list(measurements)
    return Refit(kernel, field.rebuilt(kernel, learned), len(learned))


def better_kernel(start: SpaceTimeKernel, x: Array, y: Array, noise_var: Array, most: int) -> SpaceTimeKernel:
    """The kernel fitted to at most so many residuals, evenly picked; with too few, or none that fits, the one before.

    Arguments are those of ``fitted_kernel``.
    """
    picked = np.unique(np.linspace(0, len(x) - 1, min(most, len(x))).astype(int)) if len(x) else np.empty(0, dtype=int)
    if len(picked) >= LEAST_MEASUREMENTS:
        # A fit that fails numerically is no reason to end a run.
        with suppress(RuntimeError, ValueError, ArithmeticError):
            return fitted_kernel(start, x[picked], y[picked], noise_var[picked])
    return start


def fitted_kernel(start: SpaceTimeKernel, x: Array, y: Array, noise_var: Array) -> SpaceTimeKernel:
    """The kernel of maximum posterior for residuals y (n,) at points x (n, 3 + Q), in units of the prior's sd.

    Columns after place and time, if there are any, say how much of each of Q independent factors a residual is made of.

    Raises:
        ArithmeticError: the optimiser failed.
    """
    points, values, noise = (torch.from_numpy(np.ascontiguousarray(a)) for a in (x, y, noise_var))
    model = _Model(points, values, noise, start).double()
    mll = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
    mll.train()
    # BoTorch's fit_gpytorch_mll_scipy says that it failed by a warning, which is no way to speak from a thread.
    parameters = {name: p for name, p in mll.named_parameters() if p.requires_grad}
    result = scipy_minimize(
        get_loss_closure_with_grads(mll, parameters), parameters, options={"maxiter": MOST_ITERATIONS}
    )
    if result.status not in (OptimizationStatus.SUCCESS, OptimizationStatus.STOPPED):
        raise ArithmeticError(f"fitting the process failed: {result.message}")
    shared, local = model.shared.constant.item(), model.local.outputscale.item()
    return SpaceTimeKernel(
        shared_share=shared / (shared + local),
        time_s=model.in_time.lengthscale.item(),
        length_nm=model.in_space.lengthscale.item(),
        variance_factor=shared + local,
    )


def standardised(field: FieldBelief, measurements: Sequence[Measurement]) -> tuple[Array, Array, Array]:
    """Measurements as points (n, 3), residuals (n,) and noise (n,) in units of the prior's sd.

    Those where the prior is certain (at the very start) or the noise far above it tell nothing and are left out.
    """
    rows = []
    for measurement in measurements:
        point, residual = field.residual(measurement)
        scale = float(point[SCALE])
        noise_var = max(measurement.noise_var / scale**2, LEAST_NOISE_VAR)
        if noise_var < 10.0 and abs(residual / scale) < 10.0:
            rows.append((*point[:3], residual / scale, noise_var))
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    return table[:, :3], table[:, 3], table[:, 4]
