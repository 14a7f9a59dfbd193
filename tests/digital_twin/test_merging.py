"""Touching particles against all pairs one by one."""

import numpy as np
import pytest
import torch

from digital_twin.merging import touching


def scattered(worlds: int, number: int, largest_nm: float, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    position = random.uniform(-1280.0, 1280.0, (worlds, number, 2))
    radius = random.uniform(0.0, largest_nm, (worlds, number)) * (random.uniform(size=(worlds, number)) < 0.6)
    return torch.from_numpy(position), torch.from_numpy(radius)


def one_by_one(position: torch.Tensor, radius: torch.Tensor) -> list[list[int]]:
    apart = torch.cdist(position, position, compute_mode="donot_use_mm_for_euclid_dist")
    alive = radius > 0
    overlap = (apart < radius[:, :, None] + radius[:, None, :]) & alive[:, :, None] & alive[:, None, :]
    found: list[list[int]] = overlap.triu(1).nonzero().tolist()
    return found


@pytest.mark.parametrize("largest_nm", [2.0, 20.0, 90.0, 900.0])
def test_all_that_overlap_are_found_once(largest_nm: float) -> None:
    position, radius = scattered(4, 400, largest_nm)
    expected = one_by_one(position, radius)
    assert len(expected) > 5 or largest_nm < 20.0
    assert sorted(touching(position, radius).tolist()) == expected


def test_particles_far_outside_are_found_too() -> None:
    position, radius = scattered(2, 200, 30.0)
    position[0, 7] = torch.tensor([9000.0, -4000.0], dtype=torch.float64)
    position[0, 9] = position[0, 7] + 3.0
    radius[0, [7, 9]] = 5.0
    found = sorted(touching(position, radius).tolist())
    assert [0, 7, 9] in found
    assert found == one_by_one(position, radius)


def test_nothing_touches_where_there_is_less_than_two() -> None:
    position, radius = scattered(3, 5, 30.0)
    assert touching(position, torch.zeros_like(radius)).shape == (0, 3)
    radius[:] = 0.0
    radius[1, 2] = 10.0
    assert touching(position, radius).shape == (0, 3)


def test_worlds_do_not_touch_each_other() -> None:
    position = torch.zeros(5, 1, 2, dtype=torch.float64)
    assert len(touching(position, torch.full((5, 1), 50.0, dtype=torch.float64))) == 0
