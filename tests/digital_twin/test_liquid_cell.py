"""The liquid cell as a specimen: what lies where, and what its window does to focus."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from digital_twin.growth import draw
from digital_twin.liquid_cell import NITRIDE_NM, WATER_NM, LiquidCell
from digital_twin.specimen import Specimen

EDGES = torch.tensor([-1024.0, 0.0, 1024.0], dtype=torch.float64).tile(1, 3, 1)
EDGES = (EDGES, EDGES.mT)


def test_it_is_a_specimen():
    cell: Specimen = LiquidCell(1)
    assert cell.extent_nm == 2048.0


def test_debris_is_there_from_the_start_and_does_not_grow(square_grid):
    cell, grid = LiquidCell(2), square_grid(256, 8.0)
    grid.origin_nm[:] -= 1024.0
    before = cell.project([grid])
    cell.advance_to(300.0)
    after = cell.project([grid])
    assert before[0, 1].max() > 10.0
    assert torch.equal(before[0, 1], after[0, 1])
    assert before[0, 0].max() == 0.0
    assert after[0, 0].max() > 5.0


def test_solids_displace_water(square_grid):
    cell, grid = LiquidCell(2), square_grid(256, 8.0)
    grid.origin_nm[:] -= 1024.0
    cell.advance_to(300.0)
    matter, liquid = cell.project([grid]), cell.liquid_nm([grid])
    assert matter[:, :3].sum(dim=1).numpy() == pytest.approx(liquid.numpy(), abs=1.0)
    assert float(liquid.min()) == WATER_NM
    assert float(liquid.max()) < 1.7 * WATER_NM
    assert (matter[:, 3] == NITRIDE_NM).all()


def test_the_window_bulges_by_about_a_micrometre():
    spans = []
    for seed in range(8):
        heights = LiquidCell(seed).height_nm(*EDGES)
        spans.append(float(heights.max() - heights.min()))
    assert 500.0 < np.median(spans) < 4000.0


def test_cells_of_a_seed_are_alike_and_of_seeds_differ():
    one, same, other = LiquidCell(3), LiquidCell(3), LiquidCell(4)
    assert torch.equal(one.debris_position_nm, same.debris_position_nm)
    assert torch.equal(one.height_nm(*EDGES), same.height_nm(*EDGES))
    assert not torch.equal(one.height_nm(*EDGES), other.height_nm(*EDGES))


def test_liquid_may_be_thicker_where_the_window_bulges(square_grid):
    draws = [replace(draw(3), thickening=0.0), replace(draw(4), thickening=0.5)]
    cells, grid = LiquidCell(3, 4, draws=draws), square_grid(64, 32.0)
    grid.origin_nm[:] -= 1024.0
    water = cells.project([grid, grid])[:, 2] + cells.project([grid, grid])[:, :2].sum(dim=1)
    assert (water[0] == WATER_NM).all()
    _, _, bulge, tilt_x, tilt_y = cells._window.drawn[:, 1].tolist()
    assert float(water[1].max()) == pytest.approx(WATER_NM + 0.5 * bulge, rel=0.01)
    assert float(water[1].min()) == WATER_NM
    x, y = (torch.from_numpy(each)[None] for each in (grid.origin_nm[:, 0], grid.origin_nm[:, 1]))
    level = cells.height_nm(x, y, [1])[0] - tilt_x * x[0] - tilt_y * y[0]
    thicker = water[1, :, 0] > WATER_NM
    assert torch.allclose((water[1, :, 0] - WATER_NM)[thicker], 0.5 * (level + bulge / 2)[thicker])
    alone = LiquidCell(4, draws=draws[1:])
    assert torch.equal(alone.liquid_nm([grid])[0], cells.liquid_nm([grid, grid])[1])


def test_a_batch_of_cells_is_the_cells_one_by_one(square_grid):
    seeds, grid = (3, 4, 9), square_grid(64, 8.0)
    together = LiquidCell(*seeds)
    together.advance_to(200.0)
    matter, heights = together.project([grid] * 3), together.height_nm(*(each.expand(3, 3, 3) for each in EDGES))
    for n, seed in enumerate(seeds):
        alone = LiquidCell(seed)
        alone.advance_to(200.0)
        assert torch.equal(matter[n], alone.project([grid])[0])
        assert torch.equal(heights[n], alone.height_nm(*EDGES)[0])


def test_the_beam_acts_on_the_world_it_falls_on():
    lit, dark = LiquidCell(3, 3), LiquidCell(3)
    for second in range(1, 40):
        lit.expose(1, (-100.0, 100.0, -100.0, 100.0), 1e7)
        lit.advance_to(float(second))
    dark.advance_to(39.0)
    assert torch.equal(lit.world.radius_nm[0], dark.world.radius_nm[0])
    assert not torch.equal(lit.world.radius_nm[1], dark.world.radius_nm[0])
