"""Windows of liquid cells: a paraboloid by hand, and some worlds of a batch."""

import numpy as np
import pytest
import torch

from digital_twin.specimen import Grid
from digital_twin.windows import Bulging

FLAT, TILTED = (0.0, 0.0, 900.0, 0.0, 0.0), (100.0, -50.0, 600.0, 0.1, -0.2)
WINDOWS = Bulging((FLAT, TILTED), 1000.0, torch.device("cpu"))


def at(*places: float) -> torch.Tensor:
    return torch.tensor([places], dtype=torch.float64)


def test_a_window_has_lost_its_bulge_at_half_its_width():
    heights = WINDOWS.height_nm(at(0.0, 1000.0, 0.0), at(0.0, 0.0, -1000.0), [0])[0]
    assert heights.tolist() == pytest.approx([450.0, -450.0, -450.0])
    line = Grid(np.zeros((1, 2)), np.array([500.0, 0.0]), np.array([0.0, 500.0]), 5, world=0)
    assert WINDOWS.bulge_nm([line])[0, 0].tolist() == pytest.approx([900.0, 675.0, 0.0, 0.0, 0.0])


def test_bulges_are_the_heights_without_the_tilt_wherever_a_scan_lies():
    origin = np.array([[-300.0, -200.0], [-290.0, -120.0], [-280.0, -40.0]])
    grid = Grid(origin, np.array([60.0, 25.0]), np.array([-25.0, 60.0]), 7)
    place = torch.from_numpy(origin[:, None] + np.arange(7)[:, None] * grid.across_nm)
    for world, (_, _, bulge, tilt_x, tilt_y) in enumerate((FLAT, TILTED)):
        x, y = (each[None] for each in place.unbind(-1))
        level = WINDOWS.height_nm(x, y, [world])[0] - tilt_x * x[0] - tilt_y * y[0]
        standing = WINDOWS.bulge_nm([grid, grid])[world]
        assert torch.allclose(standing, level + bulge / 2, rtol=0.0, atol=1e-9)


def test_a_chip_is_tilted_about_the_origin_and_bulges_about_its_middle():
    height = WINDOWS.height_nm(at(100.0), at(-50.0), [1]).item()
    assert height == pytest.approx(300.0 + 0.1 * 100.0 + 0.2 * 50.0)


def test_worlds_are_told_apart():
    x, y = at(10.0, 20.0).expand(2, -1), at(5.0, -5.0).expand(2, -1)
    both = WINDOWS.height_nm(x, y, None)
    assert torch.equal(both[[1, 0]], WINDOWS.height_nm(x, y, [1, 0]))
