"""Our side of the decision benchmark: readings, and decisions timed one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from experiments.benchmarks.decision_rivals import WORTH_OF_SD
from policies.bayes.gp import GaussianProcess
from policies.bayes.kernel import Array, SpaceTimeKernel
from policies.bayes.options import Moment, Option, choose
from policies.bayes.statespace import Reading, StateSpaceProcess
from policies.bayes.surrogate import Surrogate

KERNEL = SpaceTimeKernel(shared_share=0.3, time_s=600.0, length_nm=250.0)
EXTENT_NM, SPACING_S, LEAD_S, NOISE_VAR = 2000.0, 2.0, 3.0, 0.01
# In which time an instrument would measure, where decisions are timed beside a fit.
PAUSE_S = 0.01
# Two outputs, thickness and composition say, and what each mode responds to.
TOGETHER = np.array([[1.0, 0.6], [0.6, 1.0]])
GOALS = np.array([0.3, 1.0])
MODES = (
    Option("EELS", (0.0, 1.0), noise_var=0.01, electrons=50.0, time_s=2.0),
    Option("HAADF, slow", (1.0, 0.3), noise_var=0.1, electrons=5.0, time_s=1.0),
    Option("HAADF, fast", (1.0, 0.3), noise_var=0.5, electrons=1.0, time_s=0.2),
)

Given = TypeVar("Given")


def places(edge: int) -> Array:
    """The candidates, (edge^2, 2) nm."""
    along = np.linspace(-EXTENT_NM / 2, EXTENT_NM / 2, edge)
    return np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)


def readings(n: int, edge: int, seed: int = 0) -> list[Reading]:
    """Readings of a slow wave at random candidates, one after the other."""
    rng, where = np.random.default_rng(seed), places(edge)
    found = []
    for i in range(n):
        place, t_s = int(rng.integers(edge**2)), SPACING_S * (i + 1)
        x, y = where[place]
        value = np.sin(x / 300.0 + t_s / 500.0) * np.cos(y / 400.0) + rng.normal(0.0, np.sqrt(NOISE_VAR))
        found.append(Reading(place, t_s, float(value), NOISE_VAR))
    return found


def columns(given: Sequence[Reading], where: Array) -> tuple[Array, Array, Array]:
    """Readings as points (n, 3), values (n,) and noise (n,)."""
    x = np.array([(*where[r.place], r.t_s) for r in given])
    return x, np.array([r.value for r in given]), np.array([r.noise_var for r in given])


def timed(work: Callable[[Given], object], each: Iterable[Given]) -> Array:
    """Milliseconds that the work took with each of what it was given."""
    taken = []
    for given in each:
        begun = time.perf_counter()
        work(given)
        taken.append(1e3 * (time.perf_counter() - begun))
    return np.array(taken)


def best(mean: Array, var: Array) -> int:
    """The candidate of the largest mean + 2 sd."""
    return int(np.argmax(mean + WORTH_OF_SD * np.sqrt(np.maximum(var, 0.0))))


def exact(where: Array, candidates: Array, given: Sequence[Reading], repeats: int) -> tuple[Array, GaussianProcess]:
    """Decisions by the appended process; its candidates are at one time that stands."""
    process = GaussianProcess(KERNEL, np.hstack([candidates, np.ones((len(candidates), 1))]))
    x, values, noise_var = columns(given, where)
    x = np.hstack([x, np.ones((len(x), 1))])

    def decide(i: int) -> int:
        process.append(x[i], values[i], noise_var[i])
        return best(process.mean, process.var)

    for i in range(len(given) - repeats):
        decide(i)
    return timed(decide, range(len(given) - repeats, len(given))), process


def statespace(
    process: StateSpaceProcess, given: Sequence[Reading], repeats: int, at: Callable[[Reading], float]
) -> Array:
    """Decisions by the state-space process, each forecasting for the time that ``at`` gives."""

    def decide(reading: Reading) -> int:
        process.append(reading)
        forecast = process.predict(at(reading))
        return best(forecast.mean[0], forecast.cov[0, 0])

    for reading in given[:-repeats]:
        process.append(reading)
    return timed(decide, given[-repeats:])


def modes(where: Array, given: Sequence[Reading], repeats: int) -> Array:
    """Decisions over two outputs in three modes, with travel, costs and walls, each at the time it would happen."""
    process = StateSpaceProcess(KERNEL, where, TOGETHER)
    room = np.full(len(where), 1e4)

    def learn(i: int) -> None:
        mode = MODES[i % len(MODES)]
        process.append(replace(given[i], weights=mode.weights, noise_var=mode.noise_var))

    def decide(i: int) -> object:
        learn(i)
        moment = Moment(
            t_s=given[i].t_s + 0.5,
            at_nm=(float(where[given[i].place, 0]), float(where[given[i].place, 1])),
            speed_nm_per_s=1000.0,
            settle_s=0.3,
            reach_nm=EXTENT_NM,
            time_left_s=1e4,
            electrons_left=1e6,
            room=room,
        )
        return choose(process, MODES, moment, GOALS, 4 * EXTENT_NM / len(room) ** 0.5, 4)

    for i in range(len(given) - repeats):
        learn(i)
    return timed(decide, range(len(given) - repeats, len(given)))


def while_fitting(where: Array, given: Sequence[Reading], more: Sequence[Reading]) -> tuple[Array, Array, float]:
    """Decisions while a fit runs beside them, ms; the one that swapped it in, ms; and how long the fit took, s."""
    it = Surrogate(KERNEL, where)
    for reading in given:
        it.append(reading)

    def decide(reading: Reading) -> int:
        it.append(reading)
        forecast = it.process.predict(reading.t_s + LEAD_S)
        return best(forecast.mean[0], forecast.cov[0, 0])

    begun = time.perf_counter()
    it.start_fit()
    taken = []
    for reading in more:
        if it.fitted:
            break
        taken.append(timed(decide, [reading])[0])
        time.sleep(PAUSE_S)
    fit_s = time.perf_counter() - begun
    return np.array(taken), timed(lambda _: it.swap(), [None]), fit_s
