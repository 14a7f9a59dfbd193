"""Truth against counting by brute force on the simulated particles."""

import dataclasses

import numpy as np
import pytest
import torch

from digital_twin.growth import EXTENT_NM, GrowthWorld, draw
from digital_twin.liquid_cell import LiquidCell
from digital_twin.specimen import Grid
from digital_twin.world import truths
from digital_twin.worlds import WORLDS, world_type

CELLS, TIMES_S = LiquidCell.facts.cells, LiquidCell.facts.times_s

SEED = 11


@pytest.fixture(scope="module")
def truth():
    return truths(LiquidCell, [SEED, 12])


@pytest.fixture(scope="module")
def world():
    world = GrowthWorld([SEED])
    world.advance_to(TIMES_S[-1])
    return world


def last(truth, name):
    return truth[name][0].reshape(len(TIMES_S), CELLS, CELLS)[-1]


def test_shapes_and_globals(truth):
    for name in ("covered_fraction", "count", "mean_radius_nm"):
        assert truth[name].shape == (2, len(TIMES_S) * CELLS * CELLS)
    assert truth["growth_rate"].tolist() == [[draw(s).growth_rate_nm2_per_s] for s in (SEED, 12)]
    assert truth["beam_coupling"].tolist() == [[draw(s).beam_coupling] for s in (SEED, 12)]


def test_counts_and_radii_by_hand(truth, world):
    cell = EXTENT_NM / CELLS
    place, radius = world.position_nm[0].numpy(), world.radius_nm[0].numpy()
    for row in range(CELLS):
        for column in range(CELLS):
            x0, y0 = column * cell - EXTENT_NM / 2, row * cell - EXTENT_NM / 2
            inside = (place[:, 0] >= x0) & (place[:, 0] < x0 + cell) & (place[:, 1] >= y0) & (place[:, 1] < y0 + cell)
            found = radius[inside & (radius > 0)]
            assert last(truth, "count")[row, column] == len(found)
            assert last(truth, "mean_radius_nm")[row, column] == pytest.approx(found.mean() if len(found) else 0.0)


def test_covered_fraction_by_painting(truth, world):
    pixels = 1024
    edge = EXTENT_NM / pixels
    axis = (np.arange(pixels) + 0.5) * edge - EXTENT_NM / 2
    painted = np.zeros((pixels, pixels), dtype=bool)
    alive = torch.nonzero(world.radius_nm[0] > 0)[:, 0]
    for (x, y), r in zip(world.position_nm[0, alive].tolist(), world.radius_nm[0, alive].tolist(), strict=True):
        painted |= (axis[None, :] - x) ** 2 + (axis[:, None] - y) ** 2 < r**2
    by_cell = painted.reshape(CELLS, pixels // CELLS, CELLS, pixels // CELLS).mean(axis=(1, 3))
    assert np.abs(by_cell - last(truth, "covered_fraction")).max() < 0.004


def test_truth_of_a_seed_does_not_depend_on_the_batch(truth):
    alone = truths(LiquidCell, [SEED])
    for name, values in alone.items():
        assert np.array_equal(values[0], truth[name][0])


def test_where_to_look_matters():
    # Cells differ by more than chance would let them, before mergers even counts out: Poisson counts have a ratio of 1.
    counts = truths(LiquidCell, range(30, 38))["count"].reshape(8, len(TIMES_S), -1)[:, 1]
    assert (counts.var(axis=1) / counts.mean(axis=1)).mean() > 1.4


def test_counts_differ_between_times(truth):
    by_time = truth["covered_fraction"][0].reshape(len(TIMES_S), -1).sum(axis=1)
    assert (np.diff(by_time) > 0).all()


@pytest.mark.parametrize("name", WORLDS)
def test_some_worlds_of_a_batch_can_be_looked_at(name):
    kind, step = world_type(name), np.array([1.0, 0.0])
    together = kind(3, 4, 9)
    together.set_holder(kind.facts.holder)
    together.advance_to(kind.facts.times_s[0])
    pixel = kind.facts.extent_nm / 64
    origin = pixel * np.array([[0.0, row] for row in range(16)])
    grids = [Grid(origin, pixel * step, pixel * step[::-1], 16) for _ in range(3)]
    some = [dataclasses.replace(grids[world], world=world) for world in (2, 0)]
    for matter in (together.project, together.potential_V_nm):
        assert torch.equal(matter(some), matter(grids)[[2, 0]])
    place = pixel * torch.arange(5, dtype=torch.float64)
    heights = together.height_nm(place.expand(3, -1), place.expand(3, -1))
    assert torch.equal(together.height_nm(place.expand(2, -1), place.expand(2, -1), [2, 0]), heights[[2, 0]])
