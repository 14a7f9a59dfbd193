"""The transforming film as a specimen: what is seen of either phase, and what heat and beam do to it."""

import numpy as np
import pytest
import torch
from msgspec import structs
from numpy.lib.stride_tricks import sliding_window_view

from digital_twin.apparatus import Apparatus
from digital_twin.conditions import ROOM_K, STILL
from digital_twin.dehydration import EXTENT_NM
from digital_twin.film import HEATED
from digital_twin.instrument import Twin
from digital_twin.materials import BRUCITE, PERICLASE
from digital_twin.misalignment import Misalignment
from digital_twin.transformation import BRUCITE_0001, PERICLASE_111, WINDOW_NM, Transformation
from digital_twin.world import World
from hardware_bridge.messages import Command, Holder, Optics, Settings
from hardware_bridge.microscope import execute

NO_BACKLASH = Misalignment(backlash_nm=(0.0, 0.0))


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


def test_heating_steps_carry_the_film_off_sideways_as_images_show(command):
    moving = structs.replace(STILL, heat_nm_per_K=HEATED.heat_nm_per_K, heat_s=HEATED.heat_s)
    cold = Holder(temperature_K=ROOM_K)
    instrument = Twin(Transformation(4), 4, apparatus=Apparatus(conditions=moving, holder=cold, hidden=NO_BACKLASH))
    look = command(optics=Optics(beam_current_pA=2000.0), fov_nm=512.0, pixels=128, dwell_s=1e-4)
    images, places_nm = [], []
    for step_K in (0.0, 150.0):
        # Cold enough for nothing else to happen in the meantime.
        heat = Command(id=f"heat-{step_K}", set=Settings(holder=Holder(temperature_K=ROOM_K + step_K)))
        execute(instrument, heat, 5.0)
        for _ in range(100):
            execute(instrument, command(mode=None), 5.0)
        images.append(execute(instrument, look, 30.0).data.astype(float))
        places_nm.append(instrument._drift.specimen_nm(np.array([instrument.state().clock_s]))[0])
    # The middle of the first in the second: a correlation of whole fields would draw what is found towards zero.
    middle, most = slice(28, -28), range(-28, 29)
    views = sliding_window_view(images[1], (72, 72))
    alike = {
        (x, y): np.corrcoef(images[0][middle, middle].ravel(), views[28 + y, 28 + x].ravel())[0, 1]
        for x in most
        for y in most
    }
    moved_nm = [4.0 * each for each in max(alike, key=lambda at: alike[at])]
    assert np.hypot(*moved_nm) > 20.0
    assert moved_nm == pytest.approx((places_nm[1] - places_nm[0]).tolist(), abs=4.0)
    assert HEATED.heat_nm_per_K > 0.0
    assert Transformation.facts.conditions == HEATED
