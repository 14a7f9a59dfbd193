"""What is chosen tells most for its cost, when it would happen, and is allowed."""

from dataclasses import replace

import numpy as np
import pytest

from policies.bayes.kernel import SpaceTimeKernel
from policies.bayes.options import Moment, Option, choose, information
from policies.bayes.statespace import Reading, StateSpaceProcess

KERNEL = SpaceTimeKernel(shared_share=0.2, time_s=60.0, length_nm=100.0)
TOGETHER = np.array([[1.0, 0.5], [0.5, 1.0]])
GOALS = np.array([1.0, 0.0])
DIRECT = Option("EELS", (1.0, 0.0), noise_var=0.1, electrons=50.0, time_s=2.0)
PROXY = Option("HAADF", (0.0, 1.0), noise_var=0.1, electrons=5.0, time_s=0.2)


@pytest.fixture
def process() -> StateSpaceProcess:
    along = np.linspace(-500.0, 500.0, 5)
    made = StateSpaceProcess(KERNEL, np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2), TOGETHER)
    rng = np.random.default_rng(0)
    for i in range(60):
        made.append(Reading(int(rng.integers(20)), 2.0 * i, float(rng.normal()), 0.05, ((1.0, 0.0), (0.3, 1.0))[i % 2]))
    return made


@pytest.fixture
def moment(process: StateSpaceProcess) -> Moment:
    return Moment(
        t_s=process.t_s + 1.0,
        at_nm=(0.0, 0.0),
        speed_nm_per_s=100.0,
        settle_s=0.5,
        reach_nm=1e4,
        time_left_s=100.0,
        electrons_left=1e4,
        room=np.full(25, 1e3),
    )


@pytest.mark.parametrize("option", [DIRECT, PROXY])
def test_what_is_predicted_comes_true(process: StateSpaceProcess, option: Option) -> None:
    """The drop of the sds that a reading is said to bring is the one it brings, whatever its value."""
    goals, t_s, place = np.array([0.7, 0.4]), process.t_s + 3.0, 7
    before = process.predict(t_s)
    told = information(before, option, goals)[place]
    process.append(Reading(place, t_s, -2.0, option.noise_var, option.weights))
    after = process.predict(t_s)
    drop = [np.sqrt(before.cov[q, q, place]) - np.sqrt(after.cov[q, q, place]) for q in (0, 1)]
    assert told == pytest.approx(goals @ drop, rel=1e-9)


def test_the_best_is_the_best_by_trying_all(process: StateSpaceProcess, moment: Moment) -> None:
    best = choose(process, (DIRECT, PROXY), moment, GOALS, 0.0, 1)[0]
    rates = {}
    for option in (DIRECT, PROXY):
        for place, (x, y) in enumerate(process.places):
            away = float(np.hypot(x, y))
            travel_s = 0.5 + away / 100.0 if away else 0.0
            at_s = moment.t_s + travel_s + option.time_s / 2
            told = information(process.predict(at_s), option, GOALS)[place]
            rates[option.name, place] = told / ((travel_s + option.time_s) / 100.0 + option.electrons / 1e4)
            if (option.name, place) == (best.option.name, best.place):
                assert (best.at_s, best.time_s) == pytest.approx((at_s, travel_s + option.time_s))
                assert best.information == pytest.approx(told)
    assert (best.option.name, best.place) == max(rates, key=lambda key: rates[key])


def test_a_cheap_proxy_is_taken_until_electrons_cost_nothing(process: StateSpaceProcess, moment: Moment) -> None:
    scarce = replace(moment, electrons_left=200.0, speed_nm_per_s=1e6, settle_s=0.0)
    assert choose(process, (DIRECT, PROXY), scarce, GOALS, 0.0, 1)[0].option is PROXY
    slow = replace(moment, electron_weight=0.0, settle_s=50.0, at_nm=(2000.0, 0.0))
    assert choose(process, (DIRECT, PROXY), slow, GOALS, 0.0, 1)[0].option is DIRECT


def test_travel_keeps_it_near(process: StateSpaceProcess, moment: Moment) -> None:
    """The top row was never seen; from the bottom it pays to go there fast, and not slowly."""
    rows = []
    for speed_nm_per_s in (1e6, 10.0):
        there = replace(moment, at_nm=(-500.0, -500.0), speed_nm_per_s=speed_nm_per_s, settle_s=0.0)
        rows.append(choose(process, (DIRECT,), there, GOALS, 0.0, 1)[0].place // 5)
    assert rows[0] == 4
    assert rows[1] < 2


@pytest.mark.parametrize(
    "walls",
    [
        {"reach_nm": 260.0},
        {"room": np.where(np.arange(25) == 3, 1e3, 49.0)},
        {"time_left_s": 4.6},
    ],
)
def test_only_what_is_allowed_is_offered(process: StateSpaceProcess, moment: Moment, walls: dict[str, object]) -> None:
    inside = replace(moment, **walls)  # type: ignore[arg-type]
    chosen = choose(process, (DIRECT,), inside, GOALS, 0.0, 99)
    distance = np.hypot(*process.places.T)
    travel_s = np.where(distance > 0.0, 0.5 + distance / 100.0, 0.0)
    allowed = (distance <= inside.reach_nm) & (inside.room >= 50.0) & (travel_s + 2.0 <= inside.time_left_s)
    assert sorted(choice.place for choice in chosen) == np.flatnonzero(allowed).tolist()
    assert 0 < len(chosen) < 25


def test_nothing_is_offered_where_nothing_can_be_paid(process: StateSpaceProcess, moment: Moment) -> None:
    assert choose(process, (DIRECT,), replace(moment, electrons_left=49.0), GOALS, 0.0, 3) == []


def test_alternatives_are_distinct_and_best_first(process: StateSpaceProcess, moment: Moment) -> None:
    chosen = choose(process, (DIRECT, PROXY), moment, GOALS, 300.0, 6)
    assert len(chosen) == 6
    rates = [c.information / (c.time_s / 100.0 + c.electrons / 1e4) for c in chosen]
    assert rates == sorted(rates, reverse=True)
    for i, a in enumerate(chosen):
        for b in chosen[:i]:
            assert a.option is not b.option or np.hypot(*(process.places[a.place] - process.places[b.place])) >= 300.0
