"""Diffusion on the window against Stokes and Einstein; kicks that belong to seed, site and tick."""

import numpy as np
import pytest
import torch

from digital_twin.brownian import TICKS, Kicks, diffusion_nm3_per_s

CPU = torch.device("cpu")


def test_diffusion_of_a_micrometre_sphere_in_water_is_the_textbook_value():
    # 0.49 um^2/s for a diameter of 1 um in water at 25 C.
    assert diffusion_nm3_per_s(1.0, 298.0) / 500.0 * 1e-6 == pytest.approx(0.49, rel=0.01)
    assert diffusion_nm3_per_s(1e-3, 298.0) == pytest.approx(1e-3 * diffusion_nm3_per_s(1.0, 298.0))


def test_kicks_are_normal_and_independent():
    kicks = Kicks([3, 4], [1000, 1000], CPU)
    drawn = torch.stack([kicks.next() for _ in range(2 * TICKS)]).unflatten(1, (2, 1000)).double().numpy()
    assert drawn.std() == pytest.approx(1.0, rel=0.01)
    assert drawn.mean() == pytest.approx(0.0, abs=0.01)
    for axis in range(4):
        neighbours = np.take(drawn, range(1, drawn.shape[axis]), axis) * np.take(drawn, [0], axis)
        assert abs(neighbours.mean()) < 5 / np.sqrt(neighbours.size / (drawn.shape[axis] - 1))


def test_kicks_of_a_world_do_not_depend_on_its_company():
    together, alone = Kicks([3, 4], [70, 100], CPU), Kicks([4], [100], CPU)
    for _ in range(TICKS + 3):
        assert torch.equal(together.next()[70:], alone.next())
