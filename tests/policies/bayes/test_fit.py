"""Hyperparameters come out as those that data were drawn with, the same every time."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from policies.bayes import fit
from policies.bayes.fields import FieldBelief, Measurement
from policies.bayes.fit import fitted_kernel, refit
from policies.bayes.grid import Grid
from policies.bayes.kernel import SpaceTimeKernel

TRUE = SpaceTimeKernel(shared_share=0.5, time_s=100.0, length_nm=250.0)


def drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.hstack([rng.uniform(-1000.0, 1000.0, (n, 2)), rng.uniform(0.0, 600.0, (n, 1))])
    cov = TRUE(np.hstack([x, np.ones((n, 1))]), np.hstack([x, np.ones((n, 1))]))
    noise = np.full(n, 0.01)
    return x, rng.multivariate_normal(np.zeros(n), cov + np.diag(noise)), noise


def test_it_moves_towards_what_data_were_drawn_with() -> None:
    start = SpaceTimeKernel(shared_share=0.5, time_s=250.0, length_nm=600.0)
    found = [fitted_kernel(start, *drawn(200, seed)) for seed in range(3)]
    for name in ("time_s", "length_nm"):
        began, true = getattr(start, name), getattr(TRUE, name)
        ended = float(np.mean([getattr(kernel, name) for kernel in found]))
        assert abs(np.log(ended / true)) < 0.5 * abs(np.log(began / true))


def test_same_data_same_kernel() -> None:
    start = SpaceTimeKernel(shared_share=0.3, time_s=200.0, length_nm=300.0)
    assert fitted_kernel(start, *drawn(60, 7)) == fitted_kernel(start, *drawn(60, 7))


@pytest.fixture
def field(make_bench: Callable[..., Any]) -> FieldBelief:
    card = make_bench().setup.card
    made = FieldBelief(next(t for t in card.targets if t.name == "count"), card, Grid(card))
    rng = np.random.default_rng(0)
    for i in range(40):
        value = max(float(6.0 + rng.normal(0.0, 2.0)), 0.0)
        made.append(Measurement(int(rng.integers(64)), 250.0 + 3.0 * i, 0.0, value, 0.5), 0.0)
    return made


def test_a_fitted_process_is_swapped_in_whole(field: FieldBelief) -> None:
    result = refit(field, field.measurements[:30], 100)
    later = field.measurements[30:]
    field.adopt(result)
    assert field.kernel == result.kernel != SpaceTimeKernel(0.5, 200.0, 300.0)
    assert field.process.n == 30 + len(later)
    expected = field.rebuilt(result.kernel, field.measurements)
    np.testing.assert_allclose(field.process.mean, expected.mean)


def test_a_fit_that_cannot_be_taught_what_came_since_changes_nothing(
    field: FieldBelief, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, before = refit(field, field.measurements[:30], 100), (field.kernel, field.process)

    def fails(*args: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(result.process, "append", fails)
    with pytest.raises(MemoryError):
        field.adopt(result)
    assert (field.kernel, field.process) == before


def test_too_few_measurements_keep_the_kernel(field: FieldBelief) -> None:
    assert refit(field, field.measurements[:5], 100).kernel == field.kernel


def test_a_fit_that_fails_keeps_the_kernel(field: FieldBelief, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: object) -> SpaceTimeKernel:
        raise RuntimeError("not positive definite")

    monkeypatch.setattr(fit, "fitted_kernel", fails)
    assert refit(field, field.measurements, 100).kernel == field.kernel
