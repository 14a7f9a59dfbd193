"""Nuclei, discs and the beam, one by one; laws of whole films are in experiments/validation."""

import math

import pytest
import torch

from digital_twin import dehydration
from digital_twin.conditions import ROOM_K
from digital_twin.dehydration import EXTENT_NM, INTERVALS, NEVER_NM, SITES_PER_UM2, TICK_S, Dehydration, Draw, draw
from digital_twin.film import LAG_S

QUIET = Draw(1.0, 0.0, 0.0, 0.0)


def hot(*draws: Draw, seeds: tuple[int, ...] = (1,)) -> Dehydration:
    """Films that are at the reference temperature from the start."""
    film = Dehydration(seeds, draws)
    film.window.temperature_K = film.window.set_point_K = dehydration.TEMPERATURE_REFERENCE_K
    return film


def test_nothing_happens_without_nuclei():
    film = hot(QUIET)
    film.advance_to(200.0)
    assert (film.arrival_nm == NEVER_NM).all()
    assert not film.changed().any()


def test_one_nucleus_grows_as_a_disc():
    film = hot(QUIET)
    film._hazard[0, 5] = film._threshold[0, 5]
    film.advance_to(TICK_S)
    born = float(film.reach_nm[0])
    for until in (101.0, 301.0):
        film.advance_to(until)
        radius = float(film.reach_nm[0]) - born
        area = float(film.changed()[0, 1:, 1:].mean()) * EXTENT_NM**2
        assert radius == pytest.approx(until - TICK_S)
        assert area == pytest.approx(math.pi * radius**2, rel=0.02)
    assert film.nucleus.nonzero().tolist() == [[0, 5]]
    row, column = divmod(int(film.arrival_nm[0].argmin()), INTERVALS + 1)
    at = torch.tensor([column, row]) * EXTENT_NM / INTERVALS - EXTENT_NM / 2
    assert (at - film.site_nm[0, 5]).abs().max() <= EXTENT_NM / INTERVALS / 2


def test_a_site_that_has_changed_bears_no_nucleus():
    film = hot(QUIET)
    first = film.site_nm[0, 0]
    near = int((film.site_nm[0] - first).norm(dim=1).argsort()[1])
    film._hazard[0, 0] = film._threshold[0, 0]
    film.advance_to(250.0)
    before = film.arrival_nm.clone()
    film._hazard[0, near] = film._threshold[0, near]
    film.advance_to(251.0)
    assert film.nucleus[0].sum() == 1
    assert torch.equal(film.arrival_nm, before)


def test_a_cold_film_waits_until_it_is_hot():
    film = Dehydration([1], [QUIET])
    film.window.set_point_K = dehydration.TEMPERATURE_REFERENCE_K
    film.advance_to(LAG_S)
    assert ROOM_K < film.window.temperature_K < 573.0
    assert float(film.reach_nm[0]) < 3.0
    film.advance_to(10 * LAG_S)
    assert 3 * LAG_S < float(film.reach_nm[0]) < 9 * LAG_S


def test_the_beam_makes_nuclei_where_it_falls():
    film = hot(Draw(0.0, 0.0, 0.0, 50.0), Draw(0.0, 0.0, 0.0, 50.0), seeds=(1, 2))
    box = (-300.0, 100.0, 200.0, 600.0)
    film.expose(1, box, 1.0 * (400.0 * 10) ** 2)
    film.advance_to(TICK_S)
    assert not film.nucleus[0].any()
    x, y = film.site_nm[1, film.nucleus[1]].unbind(-1)
    assert ((x >= box[0]) & (x <= box[1]) & (y >= box[2]) & (y <= box[3])).all()
    sites = 0.16 * SITES_PER_UM2
    assert len(x) == pytest.approx(sites * (1 - math.exp(-50.0 / SITES_PER_UM2)), abs=4 * math.sqrt(0.16 * 50.0))
    before = film.nucleus.clone()
    film.advance_to(50.0)
    assert torch.equal(film.nucleus, before)


def test_sites_without_a_beam_do_as_they_did():
    lit, dark = (hot(draw(3), seeds=(3,)) for _ in range(2))
    for film in (lit, dark):
        film.advance_to(100.0)
    lit.expose(0, (-50.0, 50.0, -50.0, 50.0), 3e8)
    for film in (lit, dark):
        film.advance_to(300.0)
    far = (lit.site_nm[0].abs() > 50.0).any(dim=1) & (lit._site_arrival_nm[0] == dark._site_arrival_nm[0])
    assert torch.equal(lit._hazard[0, far], dark._hazard[0, far])
    assert (lit.changed() >= dark.changed()).all()
    assert (lit.changed() > dark.changed()).any()


def test_maps_have_a_node_at_either_edge():
    film = hot(draw(4), seeds=(4,))
    film.advance_to(200.0)
    assert film.arrival_nm.shape == (1, INTERVALS + 1, INTERVALS + 1)
    assert torch.allclose(film.arrival_nm[:, 0], film.arrival_nm[:, -1])
