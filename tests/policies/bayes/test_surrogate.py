"""Fits are made beside the run and swapped in whole; what is old is forgotten."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from policies.bayes import surrogate
from policies.bayes.kernel import SpaceTimeKernel
from policies.bayes.statespace import Reading, StateSpaceProcess
from policies.bayes.surrogate import Surrogate

PRIOR = SpaceTimeKernel(shared_share=0.3, time_s=100.0, length_nm=300.0)
OTHER = SpaceTimeKernel(shared_share=0.2, time_s=40.0, length_nm=500.0, variance_factor=1.3)
ALONG = np.linspace(-500.0, 500.0, 6)
PLACES = np.stack(np.meshgrid(ALONG, ALONG), axis=-1).reshape(-1, 2)


def reading(i: int) -> Reading:
    rng = np.random.default_rng(i)
    return Reading(int(rng.integers(36)), 3.0 * i, float(rng.normal()), 0.1)


def made(n: int) -> Surrogate:
    it = Surrogate(PRIOR, PLACES)
    for i in range(n):
        it.append(reading(i))
    return it


def learned(kernel: SpaceTimeKernel, numbers: range) -> StateSpaceProcess:
    process = StateSpaceProcess(kernel, PLACES)
    for i in numbers:
        process.append(reading(i))
    return process


def assert_same(a: StateSpaceProcess, b: StateSpaceProcess, atol: float = 1e-12) -> None:
    assert (a.kernel, a.t_s) == (b.kernel, b.t_s)
    first, second = a.predict(a.t_s + 5.0), b.predict(b.t_s + 5.0)
    np.testing.assert_allclose(first.mean, second.mean, atol=atol)
    np.testing.assert_allclose(first.cov, second.cov, atol=atol)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let the fit find ``OTHER``, but not before the event is set."""
    gate = threading.Event()

    def found(*_: object) -> SpaceTimeKernel:
        assert gate.wait(10.0)
        return OTHER

    monkeypatch.setattr(surrogate, "better_kernel", found)
    return gate


def test_a_fit_is_swapped_in_whole_with_what_came_meanwhile(held: threading.Event) -> None:
    it = made(40)
    before = it.process
    it.start_fit()
    it.append(reading(40))
    # While it runs, decisions go on with the process that there is.
    assert it.process is before
    assert not it.fitted
    assert_same(it.process, learned(PRIOR, range(41)))
    held.set()
    it.append(reading(41))
    assert it.process is before
    assert it.swap()
    assert_same(it.process, learned(it.process.kernel, range(42)))
    assert (it.process.kernel.time_s, it.process.kernel.variance_factor) == (40.0, 1.3)
    it.append(reading(42))
    assert_same(it.process, learned(it.process.kernel, range(43)))


def test_a_fit_that_fails_leaves_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> SpaceTimeKernel:
        raise MemoryError("no room")

    monkeypatch.setattr(surrogate, "better_kernel", fails)
    it = made(20)
    before = it.process
    it.start_fit()
    with pytest.raises(MemoryError):
        it.swap()
    assert it.process is before
    assert_same(it.process, learned(PRIOR, range(20)))
    assert not it.swap()


@pytest.mark.parametrize("shared_share", [0.0, 0.2])
def test_old_readings_are_forgotten(monkeypatch: pytest.MonkeyPatch, shared_share: float) -> None:
    """Of 200 readings, three seconds apart, the last 7 * 40 s are learned again: the rest has faded, but for levels."""
    fitted = replace(OTHER, shared_share=shared_share)
    monkeypatch.setattr(surrogate, "better_kernel", lambda *_: fitted)
    it = made(200)
    it.start_fit()
    it.swap()
    assert it.process.n == 1 + int(7.0 * OTHER.time_s / 3.0)
    whole, kept = learned(fitted, range(200)).predict(600.0), it.process.predict(600.0)
    if shared_share == 0.0:
        np.testing.assert_allclose(kept.mean, whole.mean, atol=np.exp(-7.0))
        np.testing.assert_allclose(kept.cov, whole.cov, atol=1e-6)
    # What the forgotten readings told of the level is not known any more, and the process knows that.
    more = kept.cov - whole.cov
    assert float(more.min()) > -1e-9
    assert float(more.max()) < 0.3 * OTHER.variance_factor * max(shared_share, 1e-5)


def test_a_fit_finds_what_two_outputs_were_drawn_with() -> None:
    together, true = np.array([[1.0, 0.8], [0.8, 1.0]]), SpaceTimeKernel(0.3, time_s=40.0, length_nm=500.0)
    rng = np.random.default_rng(4)
    n = 240
    t_s = np.cumsum(rng.exponential(1.0, n))
    place, weights = rng.integers(36, size=n), np.eye(2)[rng.integers(2, size=n)]
    x = np.column_stack([PLACES[place], t_s, np.ones(n)])
    cov = true(x, x) * (weights @ together @ weights.T) + 0.01 * np.eye(n)
    # In units of nothing in particular: the fit finds those by itself.
    values = 30.0 * rng.multivariate_normal(np.zeros(n), cov)
    start = SpaceTimeKernel(0.3, time_s=160.0, length_nm=500.0)
    it = Surrogate(start, PLACES, 900.0 * together, most_fitted=n)
    for i in range(n):
        it.append(Reading(int(place[i]), float(t_s[i]), float(values[i]), 9.0, tuple(weights[i])))
    it.start_fit()
    it.swap()
    found = it.process.kernel
    assert abs(np.log(found.time_s / 40.0)) < 0.5 * np.log(4.0)
    assert 0.4 < found.variance_factor < 2.5


def test_a_refused_reading_is_not_remembered() -> None:
    it = made(3)
    with pytest.raises(ValueError, match="before the newest"):
        it.append(reading(0))
    assert len(it.readings) == 3


def test_without_readings_there_is_no_fit() -> None:
    it = made(0)
    it.start_fit()
    assert not it.fitted
    assert not it.swap()
