"""The decision over thousands of places and several modes: what each would tell when it would happen, for its cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardware_bridge.geometry import Point
from policies.bayes.kernel import Array
from policies.bayes.statespace import Forecast, StateSpaceProcess


@dataclass(frozen=True)
class Option:
    """A way to measure a place: what its value is of the outputs, (Q,), its noise, and what it costs once there."""

    name: str
    weights: tuple[float, ...]
    noise_var: float
    electrons: float
    time_s: float


@dataclass(frozen=True)
class Moment:
    """Where things stand when a decision is handed out, at ``t_s`` on the process's clock.

    A move takes ``settle_s`` and the distance over ``speed_nm_per_s``, and goes no farther than ``reach_nm``. ``room``
    (m,) is how many electrons each place may still be given. ``electron_weight`` is what a share of the electrons left
    is worth against the same share of the time left.
    """

    t_s: float
    at_nm: Point
    speed_nm_per_s: float
    settle_s: float
    reach_nm: float
    time_left_s: float
    electrons_left: float
    room: Array
    electron_weight: float = 1.0


@dataclass(frozen=True)
class Choice:
    """A place to measure and how: what it tells, in units of the score, what it costs, and when it would happen."""

    place: int
    option: Option
    information: float
    electrons: float
    time_s: float
    at_s: float


def choose(
    process: StateSpaceProcess, options: Sequence[Option], moment: Moment, goals: Array, apart_nm: float, n: int
) -> list[Choice]:
    """The n best choices, by information for the share that they use up of what is left, best first.

    ``goals`` (Q,) is what a drop of an output's sd by one unit is worth at a place. Choices with the same option are at
    least ``apart_nm`` apart. Only what is allowed is offered: within reach, room, time and electrons.
    """
    distance_nm = np.hypot(*(process.places - np.asarray(moment.at_nm)).T)
    travel_s = np.where(distance_nm > 0.0, moment.settle_s + distance_nm / moment.speed_nm_per_s, 0.0)
    told, rates = [], []
    for option in options:
        worth = information(process.predict(moment.t_s + travel_s + option.time_s / 2), option, goals)
        share = (travel_s + option.time_s) / moment.time_left_s
        share = share + moment.electron_weight * option.electrons / moment.electrons_left
        allowed = _allowed(option, moment, distance_nm, travel_s)
        told.append(worth)
        rates.append(np.where(allowed, worth / share, -np.inf))
    chosen = []
    for which, place in _distinct(np.array(rates), process.places, apart_nm, n):
        option, travel = options[which], float(travel_s[place])
        chosen.append(
            Choice(
                place=place,
                option=option,
                information=float(told[which][place]),
                electrons=option.electrons,
                time_s=travel + option.time_s,
                at_s=moment.t_s + travel + option.time_s / 2,
            )
        )
    return chosen


def information(forecast: Forecast, option: Option, goals: Array) -> Array:
    """What an option would tell of each place, (m,): the drop of every output's sd there, weighted with the goals."""
    weights = np.array(option.weights)
    with_it = np.einsum("pqm,q->pm", forecast.cov, weights)
    variance = weights @ with_it + option.noise_var
    before = np.einsum("qqm->qm", forecast.cov)
    after = np.maximum(before - with_it**2 / np.maximum(variance, 1e-300), 0.0)
    return np.asarray(goals @ (np.sqrt(np.maximum(before, 0.0)) - np.sqrt(after)))


def _allowed(option: Option, moment: Moment, distance_nm: Array, travel_s: Array) -> NDArray[np.bool_]:
    if option.electrons > moment.electrons_left:
        return np.zeros(len(distance_nm), dtype=bool)
    in_time = travel_s + option.time_s <= moment.time_left_s
    return np.asarray(in_time & (distance_nm <= moment.reach_nm) & (option.electrons <= moment.room))


def _distinct(rates: Array, places: Array, apart_nm: float, n: int) -> list[tuple[int, int]]:
    """The n best of rates (options, m): option and place, best first, each time without those too near to it."""
    left = rates.copy()
    found: list[tuple[int, int]] = []
    while len(found) < n:
        which, place = divmod(int(np.argmax(left)), left.shape[1])
        if left[which, place] == -np.inf:
            break
        found.append((which, place))
        near = np.hypot(*(places - places[place]).T) < apart_nm
        left[which, near] = -np.inf
        left[which, place] = -np.inf
    return found
