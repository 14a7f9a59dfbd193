"""What looks are said to tell is what they then tell, and the covariance is that of the reporter's own belief."""

import math

import numpy as np
import pytest

from agent.lessons import outlook_of, prior_of
from agent.perception.outlook import ReaderOutlook
from agent.perception.reader import Conditioned, Eyesight
from digital_twin.worlds import WORLDS
from hardware_bridge.report import Estimate, Percept, Report
from policies.outlook import Way


def percept(outlook: ReaderOutlook, way: Way, place: int, electrons: float, at_s: float) -> Percept:
    """A look that reads what the prior expects, with the errors that such looks usually have."""
    card, prior = outlook._prior.card, outlook._prior
    row, column = divmod(place, card.cells - way.cells + 1)
    estimates = {
        f"{prior.fields[n].name}:{row + down}:{column + aside}": Estimate(value=0.0, sd=sd)
        for n, sd in outlook.usual(way, electrons).items()
        for down in range(way.cells)
        for aside in range(way.cells)
    }
    return Percept(
        command_id="x",
        mode=way.view.mode,
        start_s=at_s,
        end_s=at_s,
        x_nm=0.0,
        y_nm=0.0,
        width_nm=1.0,
        height_nm=1.0,
        quality={},
        estimates=estimates,
    )


def expected_loss(report: Report, world: str) -> float:
    """What a report expects to lose of the score, if it is honest about its errors."""
    weights = {t.name: t.weight / t.crps_scale for t in prior_of(world).card.targets}
    return sum(weights[name] * sum(said.sd) / math.sqrt(math.pi) for name, said in report.targets.items())


@pytest.mark.parametrize("world", ["interface", "valence", "beam_sensitive"])
def test_a_look_lowers_the_expected_loss_by_what_was_foretold(world: str) -> None:
    outlook, reporter, random = outlook_of(world), Conditioned(prior_of(world)), np.random.default_rng(4)
    for turn in range(12):
        way = outlook.ways[int(random.integers(len(outlook.ways)))]
        place = int(random.integers((prior_of(world).card.cells - way.cells + 1) ** 2))
        electrons, at_s = 10.0 ** random.uniform(4, 8), 45.0 * turn
        told = outlook.information(way, np.array([place]), np.array([electrons]), at_s)[0]
        before = expected_loss(reporter.report(), world)
        look = percept(outlook, way, place, electrons, at_s)
        reporter.add(look)
        outlook.add(look)
        assert told == pytest.approx(before - expected_loss(reporter.report(), world), rel=2e-2, abs=1e-6)


def test_the_covariance_is_that_of_the_belief_also_after_factors_were_written_anew() -> None:
    outlook = outlook_of("valence")
    way, size = outlook.ways[-1], len(prior_of("valence").mean)
    for turn in range(2 * size + 10):
        outlook.add(percept(outlook, way, turn % 64, 1e7, 0.6 * turn))
    belief = outlook._reporter.belief
    assert len(belief.factors) < 2 * size  # they were
    np.testing.assert_allclose(np.diagonal(outlook._covariance), belief.var, atol=2e-4)


def test_what_was_seen_tells_less_when_seen_again_and_all_is_forgotten_at_the_next_start() -> None:
    outlook = outlook_of("interface")
    way, place, electrons = outlook.ways[0], np.array([9]), np.array([1e7])
    first = outlook.information(way, place, electrons, 100.0)[0]
    outlook.add(percept(outlook, way, 9, 1e7, 100.0))
    assert 0.0 < outlook.information(way, place, electrons, 100.0)[0] < 0.7 * first
    outlook.begin()
    assert outlook.information(way, place, electrons, 100.0)[0] == first


def test_more_electrons_tell_more() -> None:
    outlook = outlook_of("valence")
    for way in outlook.ways:
        few, many = outlook.information(way, np.array([0, 0]), np.array([1e5, 1e8]), 300.0)
        assert many >= few > 0.0


@pytest.mark.parametrize("world", WORLDS)
def test_ways_are_what_the_reader_can_read(world: str) -> None:
    outlook, card = outlook_of(world), prior_of(world).card
    assert outlook.ways
    for way in outlook.ways:
        assert way.cells * card.extent_nm / card.cells <= max(way.view.fov_nm, card.extent_nm / card.cells)
        places = np.arange((card.cells - way.cells + 1) ** 2)
        told = outlook.information(way, places, np.full(len(places), 1e7), card.duration_s / 2)
        assert (told >= 0.0).all()
        assert told.max() > 0.0


def test_where_nothing_can_be_read_there_is_no_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Eyesight, "sees", lambda self, mode, field: False)
    assert outlook_of("interface").ways == ()


def test_of_a_crystal_only_looks_that_resolve_columns_are_ways() -> None:
    assert [way.cells for way in outlook_of("defects").ways] == [1]
