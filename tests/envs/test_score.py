from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from envs.prior import load_card
from envs.score import crps_gaussian, losses, score
from hardware_bridge.report import Card, Report, TargetReport, prior_report


@pytest.fixture(scope="module")
def card() -> Card:
    return load_card("growth")


def drawn(card: Card, seed: int) -> dict[str, list[float]]:
    """A truth drawn from the prior itself."""
    random = np.random.default_rng(seed)
    return {t.name: random.normal(t.prior_mean, t.prior_sd).tolist() for t in card.targets}


def exactly(truth: dict[str, list[float]], card: Card, sd: float = 0.0, shift: float = 0.0) -> Report:
    targets = {
        t.name: TargetReport(
            mean=tuple(v + shift * s for v, s in zip(truth[t.name], t.prior_sd, strict=True)),
            sd=tuple(sd * s for s in t.prior_sd),
        )
        for t in card.targets
    }
    return Report(world=card.world, targets=targets)


@pytest.mark.parametrize(("mean", "sd", "value"), [(0.0, 1.0, 0.3), (2.0, 0.5, -1.0), (-3.0, 4.0, 5.0)])
def test_crps_is_the_integral_it_stands_for(mean: float, sd: float, value: float) -> None:
    def squared(x: float) -> float:
        return float((norm.cdf(x, mean, sd) - (x >= value)) ** 2)

    expected = quad(squared, -60, value, limit=200)[0] + quad(squared, value, 60, limit=200)[0]
    assert crps_gaussian(mean, sd, value) == pytest.approx(expected, abs=1e-6)


def test_a_certain_forecast_scores_its_absolute_error() -> None:
    assert crps_gaussian([1.0, 2.0], [0.0, 0.0], [1.0, -1.0]).tolist() == [0.0, 3.0]


def test_the_expected_crps_of_a_calibrated_forecast_is_sd_over_root_pi() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 200_000)
    assert crps_gaussian(3.0, 2.0, values).mean() == pytest.approx(2.0 / math.sqrt(math.pi), rel=0.01)


def test_a_probability_is_scored_by_its_squared_error() -> None:
    assert losses("probability", [0.2, 0.2], [9.0, 9.0], [0.0, 1.0]).tolist() == pytest.approx([0.04, 0.64])


def test_saying_the_true_probability_loses_least() -> None:
    outcomes = (np.arange(1000) < 300).astype(float)
    lost = [losses("probability", said, 0.0, outcomes).mean() for said in (0.1, 0.25, 0.3, 0.35, 0.9)]
    assert min(lost) == lost[2] == pytest.approx(0.3 * 0.7)


def test_the_truth_scores_one(card: Card) -> None:
    truth = drawn(card, 0)
    assert score(exactly(truth, card), truth, card)[0] == pytest.approx(1.0)


def test_the_prior_scores_zero_on_average_over_other_seeds(card: Card, other_truths: dict[str, np.ndarray]) -> None:
    seeds = len(other_truths["count"])
    scores = [
        score(prior_report(card), {name: v[n].tolist() for name, v in other_truths.items()}, card)[0]
        for n in range(seeds)
    ]
    assert abs(np.mean(scores)) < 3 * np.std(scores) / math.sqrt(seeds) + 0.02


def test_invented_and_overconfident_content_lowers_the_score(card: Card) -> None:
    truth = drawn(card, 1)
    honest = score(exactly(truth, card, sd=0.5, shift=0.5), truth, card)[0]
    overconfident = score(exactly(truth, card, sd=0.01, shift=0.5), truth, card)[0]
    invented = score(exactly(truth, card, sd=0.01, shift=3.0), truth, card)[0]
    assert honest > overconfident > 0.0 > invented


def test_half_the_weight_is_on_fields_and_half_on_globals(card: Card) -> None:
    for kind in ("field", "global"):
        weights = [t.weight for t in card.targets if t.kind == kind]
        assert sum(weights) == pytest.approx(0.5)
        assert max(weights) == pytest.approx(min(weights))


def test_a_missing_target_is_named(card: Card) -> None:
    truth = drawn(card, 2)
    truth.pop("count")
    with pytest.raises(ValueError, match="target count"):
        score(prior_report(card), truth, card)
