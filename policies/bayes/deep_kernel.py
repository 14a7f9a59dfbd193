"""A Gaussian process on what a small network sees in image patches: from the look of a place to what a spectrum tells.

Two places are alike as far as their patches look alike, and what is alike may still change over the field:
  k(a, b) = exp(-|phi(a) - phi(b)|^2 / 2) [local Matern(|place a - place b|) + general],   phi(z) = z / l + network(z)
of the first components z of a patch. Network, kernel and noise are fitted together, by the marginal likelihood (A. G.
Wilson et al., Deep Kernel Learning, arXiv 1511.02222) and priors. The network begins as nothing, so that with few
measurements this is a process on principal components; its weights have normal priors around where they begin.
Published searches of this kind in microscopes have networks of 64, 64 and 2 neurons and a Gaussian kernel
(github.com/gnganesh99/DKL_on_STM, readme); priors and sizes here were found on seeds of their own. Equations are those
of C. E. Rasmussen and C. K. I. Williams, Gaussian Processes for Machine Learning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from policies.bayes.kernel import Array
from policies.bayes.scene import Scene

LEAST_NOISE = 1e-4
"""Of the variance of what was measured."""

MOST_FITTED = 400
"""Measurements that a fit looks at, evenly picked in their order; predictions rest on all."""

PRIORS = {"noise": (-3.0, 1.0), "local": (0.0, 1.0), "general": (-1.0, 1.0), "near": (-1.8, 0.7), "look": (0.5, 0.7)}
"""Of each part of the kernel mean and sd of its logarithm: variances, the length in units of the field, and l."""


@dataclass(frozen=True)
class KernelSettings:
    """What two places are compared by, and how it is fitted.

    ``features`` is how many components count. Without ``hidden`` layers there is no network. ``freedom`` is the sd of
    its weights around where they begin, those of each layer over the square root of its inputs. A fit ends after
    ``steps_first`` steps, and a later one, which begins where the last one ended, after ``steps``.
    """

    by_look: bool = True
    by_place: bool = True
    features: int = 6
    hidden: tuple[int, ...] = (32, 32)
    freedom: float = 0.5
    steps_first: int = 60
    steps: int = 12


class _Kernel(torch.nn.Module):
    """Prior covariance of places, rows of (features, x, y) in units of the spread of what was measured."""

    def __init__(self, settings: KernelSettings, inputs: int) -> None:
        super().__init__()
        self._settings = settings
        self.logs = torch.nn.ParameterDict()
        for name, (middle, _) in PRIORS.items():
            size = settings.features if name == "look" else 1
            self.logs[name] = torch.nn.Parameter(torch.full((size,), middle))
        self.level = torch.nn.Parameter(torch.zeros(1))
        sizes = (inputs, *settings.hidden, settings.features) if settings.hidden and settings.by_look else ()
        linear = [torch.nn.Linear(a, b) for a, b in pairwise(sizes)]
        self.network = torch.nn.Sequential(*[part for each in linear for part in (torch.nn.Tanh(), each)][1:])
        for parameter in linear[-1].parameters() if linear else ():
            torch.nn.init.zeros_(parameter)

    def value(self, name: str) -> Tensor:
        """A part of the kernel."""
        return torch.exp(self.logs[name])

    @property
    def noise(self) -> Tensor:
        """Variance of the noise."""
        return self.value("noise") + LEAST_NOISE

    @property
    def variance(self) -> Tensor:
        """Prior variance at any place."""
        total: Tensor = self.value("local") * self._settings.by_place + self.value("general") * self._settings.by_look
        return total

    def features(self, looks: Tensor) -> Tensor:
        """What is seen in patches (n, C), (n, F)."""
        plain = looks[:, : self._settings.features] / self.value("look")
        return plain + self.network(looks) if len(self.network) else plain

    def forward(self, a: Tensor, b: Tensor, apart: Tensor) -> Tensor:
        """Covariance of features (n, F) with (m, F), at places ``apart`` (n, m)."""
        cov = apart.new_zeros(apart.shape)
        if self._settings.by_place:
            far = math.sqrt(3.0) * apart / self.value("near")
            cov = self.value("local") * (1 + far) * torch.exp(-far)
        if self._settings.by_look:
            squared = (a**2).sum(dim=1)[:, None] + (b**2).sum(dim=1) - 2 * a @ b.T
            cov = (cov + self.value("general")) * torch.exp(-0.5 * squared.clamp(min=0.0))
        return cov


class DeepKernel:
    """What is believed of a property at every place of a scene: ``mean`` and ``var`` (N,), in its own unit."""

    def __init__(self, scene: Scene, settings: KernelSettings, seed: int) -> None:
        self._settings = settings
        self._looks, self._places = torch.from_numpy(scene.looks), torch.from_numpy(scene.places)
        missing = settings.features - self._looks.shape[1]
        if missing > 0:
            self._looks = torch.nn.functional.pad(self._looks, (0, missing))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._kernel = _Kernel(settings, self._looks.shape[1]).double()
        weights = list(self._kernel.network.parameters())
        self._began = [each.detach().clone() for each in weights]
        self._sds = [settings.freedom / math.sqrt(each.shape[-1]) for each in weights]
        self._steps, self._scale = settings.steps_first, 1.0
        self._features, self._white, self._left = (torch.zeros(0),) * 3
        self.mean, self.var = np.zeros(len(self._looks)), np.ones(len(self._looks))

    def learn(self, rows: NDArray[np.intp], values: Array) -> None:
        """Fit the kernel to all measurements so far, values (n,) at places numbered rows (n,), and believe them.

        Raises:
            ValueError: a value is not finite.
        """
        if not np.isfinite(values).all():
            raise ValueError(f"values: {int((~np.isfinite(values)).sum())} of {len(values)} are not finite")
        middle, self._scale = float(values.mean()), float(values.std()) or 1.0
        at, y = torch.from_numpy(rows), torch.from_numpy((values - middle) / self._scale)
        some = np.unique(np.linspace(0, len(y) - 1, min(MOST_FITTED, len(y))).astype(int))
        self._fit(at[some], y[some])
        with torch.no_grad():
            self.mean = middle + self._scale * self._believe(at, y).numpy()
        self.var = self._scale**2 * self._left.numpy()

    def imagine(self, row: int) -> None:
        """Take the variance off that a measurement at a place would take, whatever it will find."""
        with torch.no_grad():
            cov = self._with_all(torch.tensor([row]))[0] - self._white[:, row] @ self._white
            told = cov / (self._left[row] + self._kernel.noise).sqrt()
            self._white = torch.cat([self._white, told[None]])
            self._left = (self._left - told**2).clamp(min=0.0)
        self.var = self._scale**2 * self._left.numpy()

    def _fit(self, at: Tensor, y: Tensor) -> None:
        parameters, apart = list(self._kernel.parameters()), torch.cdist(self._places[at], self._places[at])

        def loss(vector: Array) -> tuple[float, Array]:
            vector_to_parameters(torch.from_numpy(vector), parameters)
            total = -self._evidence(at, y, apart) - self._prior()
            slopes = torch.autograd.grad(total, parameters, allow_unused=True)
            filled = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, slopes, strict=True)]
            return total.item(), parameters_to_vector(filled).numpy()

        start = parameters_to_vector(parameters).detach().numpy().copy()
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": self._steps})
        vector_to_parameters(torch.from_numpy(found.x), parameters)
        self._steps = self._settings.steps

    def _evidence(self, at: Tensor, y: Tensor, apart: Tensor) -> Tensor:
        """Logarithm of the marginal likelihood (Rasmussen and Williams, 5.8)."""
        lower = self._lower(self._kernel.features(self._looks[at]), apart)
        white = torch.linalg.solve_triangular(lower, (y - self._kernel.level)[:, None], upper=False)
        found: Tensor = -0.5 * (white**2).sum() - lower.diagonal().log().sum() - 0.5 * len(y) * math.log(2 * math.pi)
        return found

    def _lower(self, features: Tensor, apart: Tensor) -> Tensor:
        cov = self._kernel(features, features, apart)
        lower: Tensor = torch.linalg.cholesky(cov + self._kernel.noise * torch.eye(len(cov), dtype=cov.dtype))
        return lower

    def _prior(self) -> Tensor:
        """Logarithm of the priors, but for a constant."""
        total = -0.5 * (self._kernel.level**2).sum()
        for name, (middle, sd) in PRIORS.items():
            total = total - 0.5 * (((self._kernel.logs[name] - middle) / sd) ** 2).sum()
        for each, began, sd in zip(self._kernel.network.parameters(), self._began, self._sds, strict=True):
            total = total - 0.5 * (((each - began) / sd) ** 2).sum()
        return total

    def _believe(self, at: Tensor, y: Tensor) -> Tensor:
        """The posterior at all places, of which the mean is returned (Rasmussen and Williams, 2.25 and 2.26)."""
        self._features = self._kernel.features(self._looks)
        lower = self._lower(self._features[at], torch.cdist(self._places[at], self._places[at]))
        self._white = torch.linalg.solve_triangular(lower, self._with_all(at), upper=False)
        white = torch.linalg.solve_triangular(lower, (y - self._kernel.level)[:, None], upper=False)[:, 0]
        self._left = (self._kernel.variance - (self._white**2).sum(dim=0)).clamp(min=0.0)
        mean: Tensor = self._kernel.level + white @ self._white
        return mean

    def _with_all(self, at: Tensor) -> Tensor:
        """Prior covariance of some places with all, (n, N)."""
        cov: Tensor = self._kernel(self._features[at], self._features, torch.cdist(self._places[at], self._places))
        return cov
