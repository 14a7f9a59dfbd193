"""Radicals: all are made, they decay, spread beyond the field, and stay above zero."""

import math

import pytest
import torch

from digital_twin import radiolysis
from digital_twin.radiolysis import Radicals, shares

TICK_S, EDGE_NM = 0.5, 2560.0
FIELD = (-128.0, 128.0, -128.0, 128.0)


@pytest.fixture
def radicals():
    return Radicals(2, EDGE_NM, TICK_S, torch.device("cpu"))


def test_all_are_made_and_then_decay(radicals):
    radicals.expose(1, FIELD, 1e8)
    radicals.tick()
    cell_A2 = (10 * radiolysis.CELL_NM) ** 2
    source = 1e8 / cell_A2 / TICK_S / radiolysis.REFERENCE_E_PER_A2_S
    made = source * (1 - math.exp(-TICK_S / radiolysis.LIFE_S))
    assert float(radicals.level[1].sum()) == pytest.approx(made)
    assert float(radicals.level[0].sum()) == 0.0
    for _ in range(6):
        radicals.tick()
    assert float(radicals.level[1].sum()) == pytest.approx(made * math.exp(-3.0 / radiolysis.LIFE_S))


def test_they_fall_off_with_their_length_outside_the_field(radicals):
    # Steady state in one dimension outside a wide source is exp(-x / L): a long strip across the map is that.
    for _ in range(100):
        radicals.expose(0, (-64.0, 64.0, -EDGE_NM / 2, EDGE_NM / 2), 1e9)
        radicals.tick()
    row = radicals.level[0, 20]
    ratio = float(row[24] / row[22])
    assert ratio == pytest.approx(math.exp(-2 * radiolysis.CELL_NM / radiolysis.LENGTH_NM), rel=0.1)


def test_an_even_dose_rate_gives_its_own_level(radicals):
    rate_e_per_s = 0.5 * radiolysis.REFERENCE_E_PER_A2_S * (10 * EDGE_NM) ** 2
    for _ in range(200):
        radicals.expose(0, (-EDGE_NM / 2, EDGE_NM / 2, -EDGE_NM / 2, EDGE_NM / 2), rate_e_per_s * TICK_S)
        radicals.tick()
    assert radicals.level[0].numpy() == pytest.approx(0.5)


def test_levels_are_read_where_they_are(radicals):
    radicals.expose(0, (500.0, 564.0, -700.0, -636.0), 1e8)
    radicals.tick()
    x, y = torch.tensor([[530.0, -530.0], [530.0, 0.0]]), torch.tensor([[-670.0, 670.0], [-670.0, 0.0]])
    levels = radicals.at(x, y)
    assert float(levels[0, 0]) == float(radicals.level[0].max())
    assert float(levels[0, 1]) < 1e-6 * float(levels[0, 0])
    assert (levels[1] == 0).all()


def test_no_level_is_negative(radicals):
    radicals.expose(0, (0.0, 1.0, 0.0, 1.0), 1e9)
    for _ in range(50):
        radicals.tick()
        assert (radicals.level >= 0).all()


def test_a_box_is_shared_out_among_cells():
    cells = torch.zeros(4, 4, dtype=torch.float64)
    part = shares((-20.0, 5.0, 5.0, 10.0), -20.0, 10.0, cells)
    assert part.sum() == pytest.approx(1.0)
    assert part[2].numpy() == pytest.approx([0.4, 0.4, 0.2, 0.0])
    assert shares((100.0, 110.0, 0.0, 1.0), -20.0, 10.0, cells).sum() == 0.0
