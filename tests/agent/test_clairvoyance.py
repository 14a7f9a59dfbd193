"""What the clairvoyant is told of looks is what the score of the report then gains."""

import numpy as np
import pytest

from agent.clairvoyance import Clairvoyance
from agent.lessons import lessons, prior_of, values_of
from agent.perception.reader import Conditioned
from hardware_bridge.report import Estimate, Percept


def read(world: str, outlook: Clairvoyance, turn: int, random: np.random.Generator) -> tuple[float, Percept]:
    """A look somewhere that reads the truth with the usual errors, and what it was said to be worth."""
    prior, truth = prior_of(world), values_of(world, 7)
    cells, block = prior.card.cells, len(prior.times_s) * prior.card.cells**2
    way = outlook.ways[int(random.integers(len(outlook.ways)))]
    place, at_s = int(random.integers((cells - way.cells + 1) ** 2)), 45.0 * turn
    row, column = divmod(place, cells - way.cells + 1)
    estimates = {}
    for n, sd in outlook.usual(way, 1e7).items():
        for cell in ((row + down) * cells + column + aside for down in range(way.cells) for aside in range(way.cells)):
            over_time = truth[n * block : (n + 1) * block].reshape(-1, cells**2)[:, cell]
            value = float(np.interp(at_s, prior.times_s, over_time))
            estimates[f"{prior.fields[n].name}:{cell // cells}:{cell % cells}"] = Estimate(value=value, sd=sd)
    told = outlook.information(way, np.array([place]), np.array([1e7]), at_s)[0]
    return float(told), Percept(
        command_id="x",
        mode=way.view.mode,
        start_s=at_s,
        end_s=at_s,
        x_nm=0.0,
        y_nm=0.0,
        width_nm=1.0,
        height_nm=1.0,
        estimates=estimates,
    )


@pytest.mark.parametrize("world", ["interface", "valence"])
def test_what_looks_are_worth_is_what_the_score_then_gains(world: str) -> None:
    # Mutation: the reading of another time, or the loss of another target's unit, tells of other gains.
    outlook, reporter, random = Clairvoyance(world, 7, {}), Conditioned(prior_of(world)), np.random.default_rng(3)
    score = lessons(world).score
    foretold, gained = [], []
    for turn in range(1, 13):
        told, percept = read(world, outlook, turn, random)
        before = score(reporter.report(), 7)
        reporter.add(percept)
        outlook.add(percept)
        foretold.append(told)
        gained.append(score(reporter.report(), 7) - before)
    # The report stays within what the ensemble holds, which the outlook does not know of.
    assert np.abs(np.subtract(foretold, gained)).max() < 0.1 * np.abs(gained).max()
    assert sum(foretold) > 0.0


def test_looks_are_worth_what_the_goal_says_of_targets() -> None:
    # Mutation: weights left aside, which makes the two alike.
    outlooks = [Clairvoyance("interface", 7, weights) for weights in ({}, {"zinc_fraction": 9.0})]
    worth = [each.information(each.ways[0], np.arange(9), np.full(9, 1e7), 300.0) for each in outlooks]
    assert np.abs(worth[1] - worth[0]).max() > 0.1 * np.abs(worth[0]).max()
