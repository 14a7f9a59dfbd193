"""Maps as scans see them: right place, right way round, linear in between."""

import numpy as np
import pytest
import torch

from digital_twin.maps import places_nm, sampled


def test_places_are_those_of_the_pixels(square_grid):
    shifted = square_grid(4, 3.0)
    shifted.origin_nm[2] += np.array([10.0, 0.5])
    place, edge = places_nm([square_grid(4, 3.0), shifted], torch.device("cpu"))
    assert place[0, 1, 2].tolist() == [6.0, 3.0]
    assert place[1, 2, 1].tolist() == [13.0, 6.5]
    assert edge.flatten().tolist() == [3.0, 3.0]


def test_a_map_is_met_where_its_cells_are_and_is_linear_between_them():
    ramp = torch.arange(8, dtype=torch.float64)
    maps = (10 * ramp[:, None] + ramp)[None]
    centres = (ramp + 0.5) / 4 - 1
    at = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), dim=-1)[None]
    assert sampled(maps, at).numpy() == pytest.approx(maps.numpy())
    between = sampled(maps, at[:, :-1, :-1] + 1 / 8)
    assert between.numpy() == pytest.approx(maps[:, :-1, :-1].numpy() + 5.5)


def test_beyond_the_edge_it_goes_on():
    maps = torch.rand(2, 5, 5, dtype=torch.float64)
    corner = sampled(maps, torch.full((2, 1, 1, 2), 3.0, dtype=torch.float64))
    assert torch.equal(corner.flatten(), maps[:, -1, -1])
