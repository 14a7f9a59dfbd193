"""The specimen to tune on: gold keeps its volume, atoms stand where they are said to, and all of it is keyed."""

import numpy as np
import pytest
import torch

from digital_twin.gold_on_carbon import EXTENT_NM, FILM_NM, GoldOnCarbon
from digital_twin.materials import GOLD
from digital_twin.specimen import Specimen


def grid_over(square_grid, pixels, pixel_nm):
    grid = square_grid(pixels, pixel_nm)
    grid.origin_nm[:] -= pixels * pixel_nm / 2
    return grid


def test_gold_has_the_volume_of_its_atoms(square_grid):
    specimen: Specimen = GoldOnCarbon(1)
    grid = grid_over(square_grid, 720, 0.1)
    matter = specimen.project([grid])[0]
    assert 0.01 * matter[0].sum().item() == pytest.approx(len(specimen.place_nm) / GOLD.formula_per_nm3, rel=0.02)
    assert (matter[1] == FILM_NM).all()


def test_atoms_stand_where_they_are_said_to(square_grid):
    specimen = GoldOnCarbon(2)
    x, y = specimen.place_nm[0].tolist()
    grid = square_grid(9, 0.02)
    grid.origin_nm[:] += np.array([x, y]) - 4 * 0.02
    for image in (specimen.project([grid])[0, 0], specimen.potential_V_nm([grid])[0]):
        assert divmod(int(image.argmax()), 9) == (4, 4)


def test_it_is_keyed_by_its_seed_and_of_gold_here_and_there():
    one, again, other = GoldOnCarbon(3), GoldOnCarbon(3), GoldOnCarbon(4)
    assert torch.equal(one.place_nm, again.place_nm)
    assert one.place_nm.shape != other.place_nm.shape
    assert (one.place_nm.abs() < 0.6 * EXTENT_NM).all()
