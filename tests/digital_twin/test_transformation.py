"""The transforming film as a specimen: what is seen of either phase, and what heat and beam do to it."""

import numpy as np
import pytest
import torch

from digital_twin.dehydration import EXTENT_NM
from digital_twin.materials import BRUCITE, PERICLASE
from digital_twin.transformation import BRUCITE_0001, PERICLASE_111, WINDOW_NM, Transformation
from digital_twin.world import World


def started(*seeds: int) -> Transformation:
    """Worlds on their way to the working temperature."""
    worlds = Transformation(*seeds)
    worlds.set_holder(worlds.facts.holder)
    return worlds


@pytest.fixture
def whole(square_grid):
    grid = square_grid(64, EXTENT_NM / 64)
    grid.origin_nm[:] -= EXTENT_NM * 63 / 128
    return grid


def test_it_is_a_world():
    world: World = Transformation(1)
    assert world.extent_nm == 2048.0


def test_magnesium_stays_and_water_goes(whole):
    world = started(2)
    before = world.project([whole])
    world.advance_to(300.0)
    after = world.project([whole])
    magnesium = [BRUCITE.formula_per_nm3, PERICLASE.formula_per_nm3]
    for matter in (before, after):
        assert (matter[:, 2] == WINDOW_NM).all()
    kept = [matter[0, 0] * magnesium[0] + matter[0, 1] * magnesium[1] for matter in (before, after)]
    assert torch.allclose(kept[0], kept[1])
    assert before[0, 1].mean() < 0.01
    assert after[0, 1].max() > 6.0


def test_what_is_projected_is_what_is_true(whole):
    world = started(2)
    world.advance_to(300.0)
    matter = world.project([whole])[0]
    share = (1 - matter[0] / (matter[0] + matter[1] * PERICLASE.formula_per_nm3 / BRUCITE.formula_per_nm3)).view(
        8, 8, 8, 8
    )
    true = world.fields()["phase_fraction"][0].view(8, 8)
    assert torch.allclose(share.mean(dim=(1, 3)), true, atol=0.03)


def test_nuclei_are_counted_in_their_cell():
    world = started(5)
    world.advance_to(300.0)
    counted = world.fields()["nuclei"][0].view(8, 8)
    for x, y in world.film.site_nm[0, world.film.nucleus[0]].tolist():
        counted[int((y + 1024.0) // 256.0), int((x + 1024.0) // 256.0)] -= 1
    assert not counted.any()


def test_cells_of_the_two_lattices():
    sizes = [np.unique(np.hypot(*lattice.g_per_nm.T).round(3)) for lattice in (BRUCITE_0001, PERICLASE_111)]
    # {100}, {110}, {200} of brucite; {220} of periclase, whose {100} of the hexagonal cell is forbidden.
    edges = 0.3149 * np.sqrt(3) / 2, 0.4212 / np.sqrt(8)
    assert sizes[0].tolist() == pytest.approx([1 / edges[0], np.sqrt(3) / edges[0], 2 / edges[0]], abs=1e-3)
    assert sizes[1].tolist() == pytest.approx([1 / edges[1]], abs=1e-3)


def test_mean_potentials_are_those_of_the_materials():
    for lattice, material in ((BRUCITE_0001, BRUCITE), (PERICLASE_111, PERICLASE)):
        assert lattice.mean_V == pytest.approx(material.inner_potential_V, rel=0.005)


def test_heating_moves_the_film_out_of_focus_and_back():
    world, place = started(1, 2), torch.zeros(2, 1, 1, dtype=torch.float64)
    cold = world.height_nm(place, place)
    world.advance_to(150.0)
    assert (cold < -300.0).all()
    assert (world.height_nm(place, place).abs() < 5.0).all()
