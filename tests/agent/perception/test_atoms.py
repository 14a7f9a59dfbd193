"""Shares of two kinds of atoms against sampling, and what is told of numbers below nothing."""

import numpy as np
import pytest

from agent.perception.atoms import ALL_OR_NONE, Atoms


def atoms(one: float, other: float, sd: float, together: float = 0.0) -> Atoms:
    cov = sd**2 * np.array([[1.0, together], [together, 1.0]])
    return Atoms(("a", "b"), np.array([one, other]), cov, 1.0)


def test_what_many_counts_tell_is_the_quotient() -> None:
    share = atoms(300.0, 700.0, 10.0).share("a", "b")
    assert share.value == pytest.approx(0.3, abs=0.003)
    # d share = (0.7 da - 0.3 db) / 1000
    assert share.sd == pytest.approx(10.0 * np.hypot(0.7, 0.3) / 1000.0, rel=0.05)


def test_errors_in_common_count() -> None:
    apart, together = (atoms(300.0, 700.0, 30.0, r).share("a", "b").sd for r in (0.0, -0.8))
    assert together > 1.2 * apart


def test_what_nothing_tells_is_one_half_and_holds_both_ends() -> None:
    share = atoms(1.0, -1.0, 1e4).share("a", "b")
    assert share.value == pytest.approx(0.5, abs=0.01)
    assert share.sd == pytest.approx(np.sqrt(0.25 * ALL_OR_NONE + 0.125 * (1 - ALL_OR_NONE)), rel=0.05)
    assert share.value - 1.645 * share.sd < 0.0 < 1.0 < share.value + 1.645 * share.sd


def test_the_posterior_is_that_of_sampling() -> None:
    rng = np.random.default_rng(0)
    s = np.where(rng.random(400_000) < ALL_OR_NONE, rng.integers(0, 2, 400_000), rng.beta(0.5, 0.5, 400_000))
    n = rng.uniform(0.0, 400.0, s.size)
    weight = np.exp(-0.5 * (((s * n - 60.0) / 30.0) ** 2 + (((1 - s) * n - 20.0) / 30.0) ** 2))
    mean = np.average(s, weights=weight)
    share = atoms(60.0, 20.0, 30.0).share("a", "b")
    assert share.value == pytest.approx(mean, abs=0.01)
    assert share.sd == pytest.approx(np.sqrt(np.average((s - mean) ** 2, weights=weight)), rel=0.03)


def test_fewer_than_none_are_told_as_none() -> None:
    some = atoms(-5.0, 20.0, 10.0)
    assert (some.told("a").value, some.told("b").value) == (0.0, 20.0)
    core = some.get("a")
    assert core is not None
    assert core.per_nm2.value == -5.0
    assert some.get("c") is None
    with pytest.raises(ValueError, match="tuple"):
        some.share("a", "c")
