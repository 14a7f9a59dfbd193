"""Order that comes grain by grain and goes with dose."""

import itertools
import math

import numpy as np
import pytest
import torch

from digital_twin.beam_sensitive import (
    DOSE_CELLS,
    EXTENT_NM,
    FILM_NM,
    SUPPORT_NM,
    ZIF_8_110,
    BeamSensitive,
    COARSE_nm,
    FINE_nm,
    draw,
)
from digital_twin.materials import ZIF_8
from digital_twin.world import World

CELL_NM = EXTENT_NM / DOSE_CELLS


def started(*seeds: int) -> BeamSensitive:
    """Worlds on their way to the working temperature."""
    worlds = BeamSensitive(*seeds)
    worlds.set_holder(worlds.facts.holder)
    return worlds


def test_it_is_a_world():
    world: World = BeamSensitive(1)
    assert world.extent_nm == 1024.0


def test_electrons_go_where_they_fall():
    world = BeamSensitive(1, 2)
    world.expose(1, (-16.0, 16.0, 100.0, 140.0), 1e6)
    assert not world.fluence_e_per_A2[0].any()
    taken = world.fluence_e_per_A2[1] * (10 * CELL_NM) ** 2
    assert float(taken.sum()) == pytest.approx(1e6)
    rows, columns = taken.nonzero().unbind(-1)
    assert sorted(set(columns.tolist())) == [31, 32]
    assert sorted(set(rows.tolist())) == [38, 39, 40]
    assert float(taken[39, 31]) == pytest.approx(1e6 / 2 * 16 / 40)


def test_a_box_over_the_edge_falls_on_the_other_side():
    world = BeamSensitive(1)
    world.expose(0, (EXTENT_NM / 2 - 8.0, EXTENT_NM / 2 + 8.0, 0.0, 16.0), 100.0)
    taken = world.fluence_e_per_A2[0, 32] * (10 * CELL_NM) ** 2
    assert taken.nonzero()[:, 0].tolist() == [0, DOSE_CELLS - 1]
    assert taken[[0, -1]].tolist() == pytest.approx([50.0, 50.0])


def test_order_comes_and_never_goes_by_itself():
    world, seen = started(1, 2, 3), []
    for time_s in (0.0, 150.0, 300.0, 600.0):
        world.advance_to(time_s)
        seen.append(world.order.clone())
    assert all((later >= earlier).all() for earlier, later in itertools.pairwise(seen))
    assert 0.2 < float(seen[0].mean()) < 0.5
    assert 0.6 < float(seen[-1].mean()) < 1.0
    assert set(seen[0].flatten().tolist()) == {0.0, 1.0}


def test_what_the_beam_destroys_is_gone_and_is_gone_only_there():
    lit, dark = started(4), started(4)
    for world in (lit, dark):
        world.advance_to(200.0)
    lit.expose(0, (-512.0, -256.0, -512.0, -256.0), 100.0 * 2560.0**2)
    for world in (lit, dark):
        world.advance_to(400.0)
    left = (lit.fields()["order"] / dark.fields()["order"].clamp(min=1e-9))[0].view(8, 8)
    # The cell in the middle of the box's four: its neighbours are mixed over the edge of a square of dose.
    expected = math.exp(-100.0 / (2 * draw(4).critical_dose_e_per_A2))
    assert float(left[0, 0]) < 1.1 * expected + 0.05
    assert torch.equal(left[3:7, 3:7], torch.ones(4, 4, dtype=torch.float64))
    assert torch.equal(lit.order, dark.order)


def test_a_critical_dose_leaves_the_root_of_1_over_e_of_the_amplitude():
    world = started(4)
    before = world.fields()["order"]
    world.expose(0, (-512.0, 512.0, -512.0, 512.0), draw(4).critical_dose_e_per_A2 * 10240.0**2)
    assert torch.allclose(world.fields()["order"], before * math.exp(-0.5))


def test_fine_reflections_go_first():
    critical = [draw(1).critical_e_per_A2(1 / spacing) for spacing in (COARSE_nm, FINE_nm)]
    assert critical[0] == draw(1).critical_dose_e_per_A2
    assert critical[1] == pytest.approx(critical[0] * 3.0 ** -draw(1).exponent)


def test_orientation_is_the_angle_of_the_lattice():
    world = started(6)
    world.order[:] = 1.0
    fields = world.fields()
    turn = torch.exp(2j * world.grains.turn_rad)
    mean = torch.complex(fields["orientation_cos"], fields["orientation_sin"]).mean()
    share = torch.bincount(world.grains.owners(128)[0, 1:, 1:].flatten(), minlength=100) / 128**2
    assert abs(mean - (turn[0] * share).sum()) < 0.01


def test_film_and_support(square_grid):
    matter = BeamSensitive(1).project([square_grid(64, 16.0)])
    assert float(matter[:, 0].mean()) == pytest.approx(FILM_NM, rel=0.2)
    assert (matter[:, 1] == SUPPORT_NM).all()


def test_the_unit_cell_is_that_of_zif_8():
    assert ZIF_8_110.mean_V == pytest.approx(ZIF_8.inner_potential_V, rel=1e-3)
    sizes = np.unique(np.hypot(*ZIF_8_110.g_per_nm.T).round(4))
    # {110}, {200}, {112}, {220}: what a body-centred cube of 1.6991 nm shows along [110].
    assert sizes[:4].tolist() == pytest.approx(np.sqrt([2, 4, 6, 8]) / 1.6991, abs=1e-3)
