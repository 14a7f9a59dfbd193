"""Clouds of what is usual, against what Bayes makes of a normal one, and of one with two heaps."""

import numpy as np
import pytest

from agent.perception.atoms import Atoms
from agent.perception.expectation import Expectation, load_expectation, save_expectation
from hardware_bridge.report import Estimate


def fitted(*values: float, sd: float) -> Atoms:
    return Atoms(("a", "b")[: len(values)], np.array(values), sd**2 * np.eye(len(values)), 1.0)


@pytest.fixture(scope="module")
def normal() -> Expectation:
    rng = np.random.default_rng(0)
    return Expectation(("a", "b"), rng.multivariate_normal([100.0, 50.0], [[400.0, 180.0], [180.0, 100.0]], 6000))


@pytest.mark.parametrize("sd", [5.0, 40.0])
def test_a_normal_cloud_gives_what_a_normal_prior_gives(normal, sd) -> None:
    cov = np.cov(normal.points.T)
    gain = cov @ np.linalg.inv(cov + sd**2 * np.eye(2))
    true = normal.points.mean(axis=0) + gain @ (np.array([120.0, 40.0]) - normal.points.mean(axis=0))
    likely = normal.given(fitted(120.0, 40.0, sd=sd))
    for n, name in enumerate("ab"):
        assert likely.told(name).value == pytest.approx(true[n], abs=0.15 * sd)
        assert likely.told(name).sd == pytest.approx(np.sqrt((cov - gain @ cov)[n, n]), rel=0.1)


def test_what_is_one_or_the_other_is_told_so() -> None:
    rng = np.random.default_rng(1)
    first = rng.random(2000) < 0.5
    whole = rng.uniform(300.0, 500.0, 2000)
    cloud = Expectation(("a", "b"), np.stack([whole * first, whole * ~first], axis=1))
    share = cloud.given(fitted(300.0, 130.0, sd=80.0)).share("a", "b")
    assert share.value > 0.85
    unsure = cloud.given(fitted(200.0, 200.0, sd=400.0)).share("a", "b")
    assert unsure.value == pytest.approx(0.5, abs=0.1)
    assert unsure.sd > 0.4


def test_many_counts_are_believed_wherever_they_lie(normal) -> None:
    likely = normal.given(fitted(260.0, 10.0, sd=0.01))
    assert likely.told("a").value == pytest.approx(260.0, abs=0.5)
    assert likely.told("a").sd < 0.02


def test_thickness_tells_of_what_grows_with_it() -> None:
    thick = np.random.default_rng(2).uniform(0.2, 1.0, 3000)
    cloud = Expectation(("a", "t_over_lambda"), np.stack([1000.0 * thick, thick], axis=1))
    vague = fitted(500.0, sd=1e4)
    assert cloud.given(vague, Estimate(value=0.9, sd=0.001)).told("a").value == pytest.approx(900.0, rel=0.08)
    assert cloud.given(vague).told("a").value == pytest.approx(600.0, rel=0.1)


def test_a_cloud_is_kept_in_a_file(tmp_path) -> None:
    save_expectation("w", "EELS", {"a": np.arange(5.0), "b": np.ones(5)}, tmp_path)
    back = load_expectation("w", "EELS", tmp_path)
    assert back.names == ("a", "b")
    assert back.points[:, 0].tolist() == list(range(5))


@pytest.mark.parametrize(("world", "mode"), [("valence", "EELS"), ("interface", "EELS"), ("interface", "EDS")])
def test_what_is_shipped_can_be_read(world, mode) -> None:
    cloud = load_expectation(world, mode)
    assert cloud.points.shape[1] == len(cloud.names)
    assert np.isfinite(cloud.points).all()
