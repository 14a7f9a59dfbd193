"""What is drawn of spheres: volume, shape, place, and the shear of drift."""

import math

import numpy as np
import pytest
import torch

from digital_twin.specimen import Grid, draw_spheres


def draw(grid: Grid, centres_nm: np.ndarray, radii_nm: np.ndarray) -> np.ndarray:
    """Spheres on one scan."""
    scan = torch.zeros(len(radii_nm), dtype=torch.long)
    return draw_spheres([grid], scan, torch.from_numpy(centres_nm), torch.from_numpy(radii_nm))[0].numpy()


@pytest.mark.parametrize("radius_nm", [0.5, 1.0, 2.0, 3.0, 4.0, 9.0])
def test_spheres_keep_their_volume_wherever_they_lie(square_grid, radius_nm):
    random = np.random.default_rng(1)
    volumes = []
    for centre in random.uniform(20.0, 44.0, (30, 1, 2)):
        drawn = draw(square_grid(64, 1.0), centre, np.array([radius_nm]))
        volumes.append(drawn.sum() / (4 / 3 * math.pi * radius_nm**3))
    assert np.mean(volumes) == pytest.approx(1.0, abs=0.01)
    assert np.std(volumes) < 0.03


def test_projected_thickness_is_that_of_a_sphere(square_grid):
    drawn = draw(square_grid(101, 0.5), np.array([[25.0, 25.0]]), np.array([15.0]))
    x = 0.5 * np.arange(101) - 25.0
    distance = np.hypot(x[None, :], x[:, None])
    inside = distance < 14.0
    assert drawn[inside] == pytest.approx(2 * np.sqrt(225.0 - distance[inside] ** 2), abs=0.05)
    assert (drawn[distance > 16.0] == 0).all()


def test_row_is_y_and_column_is_x(square_grid):
    grid = square_grid(40, 2.0)
    drawn = draw(Grid(grid.origin_nm, grid.across_nm, grid.down_nm, 60), np.array([[90.0, 20.0]]), np.array([6.0]))
    assert np.unravel_index(drawn.argmax(), drawn.shape) == (10, 45)


def test_a_rotated_scan_draws_in_its_own_axes():
    angle = math.radians(30.0)
    across = np.array([math.cos(angle), math.sin(angle)])
    down = np.array([-math.sin(angle), math.cos(angle)])
    origin = np.array([5.0, 7.0]) + np.arange(50)[:, None] * down
    drawn = draw(Grid(origin, across, down, 50), (origin[20] + 30 * across)[None], np.array([4.0]))
    assert np.unravel_index(drawn.argmax(), drawn.shape) == (20, 30)


def test_drift_within_the_scan_shears_what_is_drawn(square_grid):
    grid = square_grid(64, 1.0)
    moving = grid.origin_nm.copy()
    moving[:, 0] += 0.25 * np.arange(64)
    drawn = draw(Grid(moving, grid.across_nm, grid.down_nm, 64), np.array([[40.0, 32.0]]), np.array([12.0]))
    columns = np.arange(64)
    middles = [(drawn[row] @ columns) / drawn[row].sum() for row in (24, 40)]
    assert middles[0] == pytest.approx(40.0 - 0.25 * 24, abs=0.1)
    assert middles[1] == pytest.approx(40.0 - 0.25 * 40, abs=0.1)


def test_spheres_outside_the_scan_draw_nothing(square_grid):
    centres = np.array([[-50.0, 10.0], [10.0, 90.0], [200.0, 200.0]])
    drawn = draw(square_grid(32, 1.0), centres, np.full(3, 10.0))
    assert not drawn.any()


def test_a_sphere_on_the_edge_is_cut(square_grid):
    # Half of the sphere lies before the edge of the first pixel.
    drawn = draw(square_grid(64, 1.0), np.array([[-0.5, 30.0]]), np.array([8.0]))
    assert drawn.sum() == pytest.approx(0.5 * 4 / 3 * math.pi * 8.0**3, rel=0.01)


def test_spheres_of_many_scans_are_drawn_as_those_of_one(square_grid):
    random = np.random.default_rng(2)
    grids = [square_grid(48, pixel) for pixel in (0.5, 1.0, 2.0)]
    scan = torch.from_numpy(random.integers(0, 3, 40))
    centres = torch.from_numpy(random.uniform(-5.0, 60.0, (40, 2)))
    radii = torch.from_numpy(random.uniform(0.5, 12.0, 40))
    together = draw_spheres(grids, scan, centres, radii)
    for n, grid in enumerate(grids):
        mine = scan == n
        assert together[n].any()
        assert np.array_equal(together[n].numpy(), draw(grid, centres[mine].numpy(), radii[mine].numpy()))


def test_no_sphere_at_all_draws_nothing(square_grid):
    assert not draw(square_grid(8, 1.0), np.zeros((0, 2)), np.zeros(0)).any()
