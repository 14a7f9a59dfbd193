"""Predicted information is the drop of the expected CRPS, computed here by brute force."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad

from policies.bayes.fields import FieldBelief, Measurement
from policies.bayes.grid import Grid
from policies.bayes.worth import Constant, ExpectedWorth, Prospect, outcome, sd_drop
from policies.clairvoyant import crps


def crps_by_integration(mean: float, sd: float, truth: float) -> float:
    def squared(x: float) -> float:
        below = 0.5 * (1.0 + math.erf((x - mean) / sd / math.sqrt(2.0)))
        return (below - (x >= truth)) ** 2

    low, high = min(mean - 9 * sd, truth), max(mean + 9 * sd, truth)
    return quad(squared, low, truth, limit=200)[0] + quad(squared, truth, high, limit=200)[0]


@pytest.mark.parametrize(("mean", "sd", "truth"), [(0.0, 1.0, 0.0), (1.0, 0.5, 2.5), (-3.0, 2.0, -4.0)])
def test_crps_is_the_integral(mean: float, sd: float, truth: float) -> None:
    ours = float(crps(np.array(mean), np.array(sd), np.array(truth)))
    assert ours == pytest.approx(crps_by_integration(mean, sd, truth), rel=1e-6)


def test_drop_of_sd_is_the_expected_drop_of_crps() -> None:
    """Truths and measurements drawn together; the report before and after is scored against each truth."""
    rng = np.random.default_rng(0)
    prior_sd, noise_sd, n = 2.0, 1.5, 400_000
    truth = rng.normal(0.0, prior_sd, n)
    seen = truth + rng.normal(0.0, noise_sd, n)
    gain = prior_sd**2 / (prior_sd**2 + noise_sd**2)
    after_sd = prior_sd * math.sqrt(1.0 - gain)
    before = crps(np.zeros(n), np.full(n, prior_sd), truth)
    after = crps(gain * seen, np.full(n, after_sd), truth)
    predicted = float(sd_drop(np.array(prior_sd**2), np.array(gain * prior_sd**2))) / math.sqrt(math.pi)
    realised = float(np.mean(before - after))
    assert predicted == pytest.approx(realised, abs=4.0 * float(np.std(before - after)) / math.sqrt(n))


def test_information_of_an_image_is_what_conditioning_gives(make_bench: Callable[..., Any]) -> None:
    """The drop predicted for a candidate equals that of the process once it has really learned the measurements."""
    card = make_bench().setup.card
    target = next(t for t in card.targets if t.name == "count")
    field = FieldBelief(target, card, Grid(card))
    exposure = np.zeros(64)
    for cell in (3, 20, 41):
        field.append(Measurement(cell, 80.0, 0.0, 4.0, 0.5), 0.0)
    cells, noise = np.array([[9, 10, 17, 18]]), np.array([[0.3, 0.4, 0.5, 0.6]])
    block = field.block(200.0, exposure)
    predicted = ExpectedWorth()(Prospect([outcome(field, block, cells, noise, field.ages(200.0, exposure))], []))
    before = np.sqrt(field.process.var).sum()
    for cell, var in zip(cells[0], noise[0], strict=True):
        field.append(Measurement(int(cell), 200.0, 0.0, 5.0, float(var)), 0.0)
    drop = before - np.sqrt(field.process.var).sum()
    assert predicted[0] == pytest.approx(target.weight * drop / (math.sqrt(math.pi) * target.crps_scale), rel=1e-6)


def test_a_constant_counts_with_its_weight(make_bench: Callable[..., Any]) -> None:
    target = make_bench().setup.card.targets[-1]
    prospect = Prospect([], [Constant(target, 0.3, np.array([0.3, 0.1]))])
    worth = ExpectedWorth()(prospect)
    scale = math.sqrt(math.pi) * target.crps_scale
    np.testing.assert_allclose(worth, [0.0, target.weight * 0.2 / scale])
