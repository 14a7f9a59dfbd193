"""BF and ABF of scans: to all orders where pixels resolve a probe's wave, linear elsewhere, electrons counted once."""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import torch

from digital_twin import cone
from digital_twin.cone import followed_mrad, shared_out
from digital_twin.defects import Defects
from digital_twin.monolayer import NOTHING, OXYGEN, PAIRS, SULFUR
from digital_twin.optics import Aberrations
from digital_twin.phase_contrast import margin_pixels, phase_contrast
from digital_twin.signals import Look, Signals
from digital_twin.specimen import Grid

COLUMN = Defects.facts.column
PROBE = COLUMN.coherent_probe()
ABF = (15.0, 30.0)
FOCUSED, ASKEW = Aberrations(), Aberrations(C10_nm=-4.0, C12_nm=1.0, phi12_rad=0.4)


def scan(rows, pixel_nm, x_nm=0.0, y_nm=0.0, columns=0):
    columns = columns or rows
    origin = np.column_stack([np.full(rows, x_nm), y_nm + pixel_nm * np.arange(rows)])
    origin -= pixel_nm * np.array([columns // 2, rows // 2])
    return Grid(origin, np.array([pixel_nm, 0.0]), np.array([0.0, pixel_nm]), columns)


def expected(world, mode, *grids, aberrations=FOCUSED):
    return Signals(world, COLUMN).expected(mode, Look(grids, [aberrations] * len(grids)))


@pytest.fixture(scope="module")
def lone():
    """A crystal in which a pair of sulfur is missing and one atom of oxygen is in place of another; where they are."""
    world = Defects(3)
    world.crystal.atoms.occupant[:] = SULFUR
    near = world.crystal.atoms.pair_nm[0].norm(dim=-1).argsort()
    empty, light = int(near[0]), int(near[30])
    for pair, kind in ((empty, NOTHING), (light, OXYGEN)):
        world.crystal.atoms.occupant[0, pair] = NOTHING
        world.crystal.atoms.occupant[0, PAIRS + pair] = kind
    return world, *(world.crystal.atoms.pair_nm[0, pair].tolist() for pair in (empty, light))


def test_a_light_atom_is_dark_in_focus(lone):
    world, empty, light = lone
    hole, oxygen = (expected(world, "ABF", scan(3, 0.02, *place))[0, 1, 1].item() for place in (empty, light))
    assert oxygen < hole - 0.001
    assert expected(world, "HAADF", scan(3, 0.02, *light))[0, 1, 1] < 0.002


def test_a_column_of_two_is_darker_than_what_two_atoms_scatter_out_of_the_cone(lone):
    world = lone[0]
    pairs = world.crystal.atoms.pair_nm[0]
    grid = scan(3, 0.02, *pairs[pairs.norm(dim=-1).argsort()[10]].tolist())
    followed = 0.75 - expected(world, "ABF", grid)[0, 1, 1]
    with patch.object(cone, "MOST_PARTS", 0):
        linear = 0.75 - expected(world, "ABF", grid)[0, 1, 1]
    assert followed > 1.4 * linear > 0.01


def test_electrons_are_counted_once(lone):
    world, grid = lone[0], scan(64, 0.02)
    for given in (FOCUSED, ASKEW):
        haadf, abf, bf = (expected(world, mode, grid, aberrations=given)[0] for mode in ("HAADF", "ABF", "BF"))
        lost = 1 - haadf - abf - bf
        assert lost.min() > -0.005
        # Within what is scattered to 30-60 mrad and beyond 200, which no detector sees.
        assert 0.0 < lost.mean() < haadf.mean() * 3
        assert lost.max() > 0.01


def test_pixels_that_resolve_the_wave_are_followed_to_all_orders_and_others_are_not():
    finest = 1e3 * 0.00417572 / 4 / 30.0
    for pixel_nm, parts in ((0.5 * finest, 1), (0.99 * finest, 1), (1.01 * finest, 2), (1.99 * finest, 2)):
        assert followed_mrad(scan(8, pixel_nm), FOCUSED, PROBE) == pytest.approx(
            60.0 * parts * finest / pixel_nm, rel=1e-4
        )
    for grid, given in (
        (scan(8, 2.01 * finest), FOCUSED),
        (scan(8, 0.02), Aberrations(C10_nm=400.0)),
        (scan(2000, 0.02), FOCUSED),
    ):
        assert followed_mrad(grid, given, PROBE) == 30.0


def test_where_it_is_linear_it_is_phase_contrast(lone):
    world, grid = lone[0], scan(12, 0.09)
    margin = margin_pixels(0.09, ASKEW, PROBE)
    volts = world.potential_V_nm([cone.widened(grid, margin)])[0]
    ours = shared_out(world, [grid], [ASKEW], PROBE, ABF)[0]
    assert torch.equal(ours, phase_contrast(volts, 0.09, ASKEW, PROBE, ABF))


def test_pixels_in_two_parts_see_what_finer_ones_see(lone):
    world = lone[0]
    coarse, fine = (shared_out(world, [scan(n, p)], [ASKEW], PROBE, ABF)[0] for n, p in ((16, 0.06), (32, 0.03)))
    # A scan of even size has its middle at the pixel n / 2: pixels 2 n of the fine one are those of the coarse one.
    assert (coarse - fine[::2, ::2]).abs().max() < 0.004
    assert fine.std() > 0.01


def test_fields_need_not_be_square_and_rows_are_where_drift_left_them(lone):
    world, grid = lone[0], scan(24, 0.03, columns=40)
    whole = shared_out(world, [grid], [ASKEW], PROBE, ABF)[0]
    assert whole.shape == (24, 40)
    moved = replace(grid, origin_nm=grid.origin_nm + np.array([0.06, 0.0]))
    assert (shared_out(world, [moved], [ASKEW], PROBE, ABF)[0][:, :-2] - whole[:, 2:]).abs().max() < 0.002


def test_a_batch_is_its_scans_one_by_one():
    together, grids = Defects(1, 2, 3), [scan(12, pixel) for pixel in (0.03, 0.09, 0.06)]
    images = expected(together, "ABF", *grids, aberrations=ASKEW)
    for n, grid in enumerate(grids):
        alone = expected(Defects(n + 1), "ABF", grid, aberrations=ASKEW)[0]
        assert images[n].numpy() == pytest.approx(alone.numpy(), abs=1e-4)
