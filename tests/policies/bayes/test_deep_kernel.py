"""The deep kernel against GPyTorch and scikit-learn on what it sees, and what its network adds."""

from dataclasses import replace

import gpytorch
import numpy as np
import pytest
import torch

from policies.bayes.deep_kernel import PRIORS, DeepKernel, KernelSettings
from policies.bayes.scene import Scene

SEEDS = (0, 1, 2)
DEEP = KernelSettings()


def scene(seed: int = 0, edge: int = 16) -> Scene:
    return Scene.of(np.random.default_rng(seed).normal(size=(2 * edge, 2 * edge)), (edge, edge), 4, 8)


def taught(where: Scene, values: np.ndarray, settings: KernelSettings = DEEP) -> DeepKernel:
    model = DeepKernel(where, settings, seed=3)
    model.learn(np.arange(0, len(values), 3), values[::3])
    return model


class _Reference(gpytorch.kernels.Kernel):
    """The kernel of GPyTorch's own parts."""

    def __init__(self, model: DeepKernel) -> None:
        super().__init__()
        features, value = model._features.shape[1], model._kernel.value
        places = gpytorch.kernels.MaternKernel(nu=1.5, active_dims=(features, features + 1)).double()
        places.lengthscale = value("near").item()
        local = gpytorch.kernels.ScaleKernel(places).double()
        local.outputscale = value("local").item()
        general = gpytorch.kernels.ConstantKernel().double()
        general.constant = value("general").detach()
        alike = gpytorch.kernels.RBFKernel(active_dims=tuple(range(features))).double()
        alike.lengthscale = 1.0
        self.parts = alike * (local + general)

    def forward(self, a: torch.Tensor, b: torch.Tensor, diag: bool = False, **_: object) -> torch.Tensor:
        return self.parts(a, b, diag=diag) if diag else self.parts(a, b).to_dense()


def test_the_posterior_and_the_evidence_are_gpytorchs() -> None:
    where = scene()
    values = 5.0 + 2.0 * where.looks[:, 0] + np.random.default_rng(1).normal(size=len(where.looks))
    model = taught(where, values)
    rows = torch.arange(0, len(values), 3)
    inputs = torch.cat([model._features, model._places], dim=1).detach()
    y = torch.from_numpy((values[::3] - values[::3].mean()) / values[::3].std())
    noise = torch.full_like(y, model._kernel.noise.item())

    class Exact(gpytorch.models.ExactGP):
        def __init__(self) -> None:
            super().__init__(inputs[rows], y, gpytorch.likelihoods.FixedNoiseGaussianLikelihood(noise))
            self.mean, self.kernel = gpytorch.means.ConstantMean().double(), _Reference(model)
            self.mean.constant = model._kernel.level.item()

        def forward(self, x: torch.Tensor) -> gpytorch.distributions.MultivariateNormal:
            return gpytorch.distributions.MultivariateNormal(self.mean(x), self.kernel(x))

    exact = Exact()
    with torch.no_grad():
        evidence = gpytorch.mlls.ExactMarginalLogLikelihood(exact.likelihood, exact)(exact(inputs[rows]), y)
        exact.eval()
        told = exact(inputs)
        ours = model._evidence(rows, y, torch.cdist(model._places[rows], model._places[rows]))
    assert ours.item() == pytest.approx(evidence.item() * len(y), rel=1e-6)
    scale = values[::3].std()
    assert model.mean == pytest.approx(told.mean.numpy() * scale + values[::3].mean(), abs=1e-5)
    assert model.var == pytest.approx(told.variance.numpy() * scale**2, abs=1e-5)


@pytest.mark.parametrize("row", [1, 100])
def test_what_is_imagined_takes_off_what_a_measurement_would(row: int) -> None:
    where = scene()
    values = where.looks[:, 0] + 0.1 * np.random.default_rng(4).normal(size=len(where.looks))
    model = taught(where, values)
    noise = model._scale**2 * model._kernel.noise.item()
    before, mean = model.var.copy(), model.mean.copy()
    model.imagine(row)
    assert model.var[row] == pytest.approx(before[row] * noise / (before[row] + noise))
    assert (model.var <= before + 1e-12).all()
    assert model.mean.tolist() == mean.tolist()


def test_the_network_finds_what_lies_across_all_components() -> None:
    # A step along a direction that is none of the components: lengths of their own say little of it.
    for seed in SEEDS:
        where = scene(seed, 20)
        looks = replace(where, looks=np.random.default_rng([seed, 1]).normal(size=(400, 8)))
        values = np.tanh(4.0 * looks.looks.sum(axis=1) / np.sqrt(8.0))
        error = {}
        for deep in (True, False):
            settings = KernelSettings(by_place=False, features=8, hidden=(32, 32) if deep else (), steps_first=40)
            model = DeepKernel(looks, settings, seed)
            model.learn(np.arange(120), values[:120])
            error[deep] = np.mean((model.mean[120:] - values[120:]) ** 2)
        assert error[True] < 0.2 * error[False]


def test_fits_follow_the_evidence_and_begin_where_the_last_ended() -> None:
    where = scene()
    values = np.sin(9.0 * where.places[:, 0]) + 0.05 * np.random.default_rng(5).normal(size=len(where.looks))
    model = taught(where, values)
    first = model._kernel.value("noise").item()
    assert np.corrcoef(model.mean, values)[0, 1] > 0.95
    assert first < np.exp(PRIORS["noise"][0])
    rows = np.arange(0, len(values), 3)
    model.learn(rows, values[rows])
    assert model._kernel.value("noise").item() == pytest.approx(first, rel=0.5)


def test_the_same_seed_gives_the_same_belief_and_leaves_other_random_numbers_alone() -> None:
    where = scene()
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    twice = [taught(where, where.looks[:, 1]) for _ in range(2)]
    assert torch.equal(torch.rand(3), expected)
    assert np.array_equal(twice[0].mean, twice[1].mean)


@pytest.mark.parametrize("settings", [KernelSettings(by_look=False), KernelSettings(by_place=False, hidden=())])
def test_what_does_not_count_changes_nothing(settings: KernelSettings) -> None:
    where = scene()
    values = where.looks[:, 0] + where.places[:, 1]
    other = replace(where, looks=where.looks[::-1].copy()) if not settings.by_look else replace(
        where, places=where.places[::-1].copy()
    )  # fmt: skip
    assert taught(other, values, settings).mean == pytest.approx(taught(where, values, settings).mean)


def test_values_all_alike_and_flat_images_are_borne() -> None:
    flat = Scene.of(np.ones((16, 16)), (8, 8), 2, 8)
    model = taught(flat, np.full(64, 3.0))
    assert model.mean == pytest.approx(np.full(64, 3.0), abs=0.2)
    assert np.isfinite(model.var).all()


def test_values_that_are_not_finite_are_refused() -> None:
    model = DeepKernel(scene(), KernelSettings(), 0)
    with pytest.raises(ValueError, match="1 of 3 are not finite"):
        model.learn(np.arange(3), np.array([1.0, np.nan, 2.0]))
