"""Bayesian optimisation of sharpness: settings of the lenses tried one after the other, each image told as one number.

It knows no optics. What is asked next maximises BoTorch's noisy expected improvement (S. Ament et al., Unexpected
Improvements to Expected Improvement for Bayesian Optimization, NeurIPS 2023) under a Gaussian process whose
hyperparameters are fitted to all images so far.
"""

from __future__ import annotations

import numpy as np
import torch
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.transforms import Standardize
from botorch.optim.optimize import optimize_acqf
from botorch.sampling.normal import SobolQMCNormalSampler
from gpytorch.mlls import ExactMarginalLogLikelihood
from numpy.typing import NDArray
from scipy.stats import qmc

Array = NDArray[np.float64]

SAMPLES, RESTARTS, RAW = 128, 4, 128


def normalised_variance(counts: Array) -> float:
    """Variance of an image over its squared mean: what BEACON takes for sharpness (arXiv 2410.14873).

    Raises:
        ValueError: an image that is not finite or has no mean.
    """
    mean = float(counts.mean())
    if not (np.isfinite(mean) and mean > 0.0):
        raise ValueError(f"counts: mean {mean:g}, must be finite and above 0")
    return float(counts.var()) / mean**2


class Sharpest:
    """Settings (P,) within +-``range_nm`` that make images sharpest; the first ``begin`` are spread evenly."""

    def __init__(self, range_nm: Array, seed: int, begin: int = 10) -> None:
        self.range_nm, self._seed, self._begin = np.asarray(range_nm, dtype=np.float64), seed, begin
        self._even = qmc.Sobol(len(self.range_nm), seed=seed)
        self._tried: list[Array] = []
        self._found: list[float] = []

    def __len__(self) -> int:
        return len(self._tried)

    def tell(self, settings_nm: Array, sharpness: float) -> None:
        """Take in how sharp an image at settings (P,) was."""
        self._tried.append((np.asarray(settings_nm) / self.range_nm + 1) / 2)
        self._found.append(sharpness)

    def suggest(self) -> Array:
        """The settings (P,) in nm to try next."""
        if len(self._tried) < self._begin:
            return self._in_nm(self._even.random(1)[0])
        x, model = self._model()
        sampler = SobolQMCNormalSampler(torch.Size([SAMPLES]), seed=self._seed + len(x))
        worth = qLogNoisyExpectedImprovement(model, x, sampler, prune_baseline=True)
        bounds = torch.stack([torch.zeros(x.shape[1]), torch.ones(x.shape[1])]).double()
        with torch.random.fork_rng():
            torch.manual_seed(self._seed + len(x))
            asked, _ = optimize_acqf(worth, bounds, q=1, num_restarts=RESTARTS, raw_samples=RAW)
        return self._in_nm(asked[0].detach().numpy())

    def best(self) -> Array:
        """The settings (P,) tried so far of which the model expects the sharpest image."""
        x, model = self._model()
        with torch.no_grad():
            return self._in_nm(x[int(model.posterior(x).mean.argmax())].numpy())

    def _model(self) -> tuple[torch.Tensor, SingleTaskGP]:
        x = torch.from_numpy(np.stack(self._tried))
        y = torch.tensor(self._found, dtype=torch.float64)[:, None]
        model = SingleTaskGP(x, y, outcome_transform=Standardize(1))
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        return x, model

    def _in_nm(self, share: Array) -> Array:
        return np.asarray((2 * share - 1) * self.range_nm)
