"""A doped monolayer as a specimen: counted atoms, and images in which they can be told apart."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from digital_twin.defects import ATOM_NM3, ELEMENTS, LAYER_NM, TEMPERATURE_K, Defects
from digital_twin.detectors import Spectrometer
from digital_twin.elastic import annular_nm2
from digital_twin.imaging import expected_haadf, expected_spectra
from digital_twin.lobato import factor_nm
from digital_twin.materials import POTENTIAL_V_nm2
from digital_twin.monolayer import LATTICE_NM, NOTHING, OXYGEN, PAIRS, ROW_NM, SELENIUM, SULFUR
from digital_twin.optics import Aberrations
from digital_twin.specimen import Grid
from digital_twin.world import World, truths
from hardware_bridge.messages import Holder

COLUMN = Defects.facts.column
CORRECTED = [Aberrations(C30_um=0.5)]
MO, S, W, SE, OX = range(5)


def field(pixels: int, pixel_nm: float, x_nm: float = 0.0, y_nm: float = 0.0) -> Grid:
    steps = pixel_nm * (np.arange(pixels) + 0.5 - pixels / 2)
    origin = np.stack([np.full(pixels, x_nm + steps[0]), y_nm + steps], axis=-1)
    return Grid(origin, np.array([pixel_nm, 0.0]), np.array([0.0, pixel_nm]), pixels)


def inside(places: torch.Tensor, half_nm: float) -> int:
    return int((places.abs() < half_nm).all(-1).sum())


def put(world: Defects, *kinds: int) -> torch.Tensor:
    """Make the crystal perfect but for one pair near the middle, whose two sites are set; returns where it is."""
    atoms = world.crystal.atoms
    pair = int(atoms.pair_nm[0].norm(dim=-1).argmin())
    atoms.occupant[:] = SULFUR
    atoms.tungsten[:] = False
    atoms.occupant[0, [pair, PAIRS + pair]] = torch.tensor(kinds, dtype=torch.int8)
    return atoms.pair_nm[0, pair]


def at(place: torch.Tensor, world: Defects) -> float:
    """Electrons that an image has within half a bond of a place, divided by how many fell on a pixel's area."""
    x, y = place.tolist()
    grid = field(64, 0.0125, x, y)
    image = expected_haadf(world, [grid], COLUMN, CORRECTED)[0].numpy()
    steps = 0.0125 * (np.arange(64) + 0.5 - 32)
    near = np.hypot(steps[:, None], steps) < 0.09
    return float(image[near].sum()) * 0.0125**2


def test_it_is_a_world():
    world: World = Defects(1)
    assert world.extent_nm == world.facts.extent_nm
    assert world.facts.holder.temperature_K == TEMPERATURE_K


def test_every_atom_is_projected_once():
    world, grid = Defects(2), field(512, 0.02)
    matter = world.project([grid])[0]
    counted = (matter.sum((1, 2)) * 0.02**2 / ATOM_NM3).tolist()
    atoms = world.crystal.atoms
    layers = atoms.occupant[0].view(2, PAIRS)
    metals = atoms.pair_nm[0] + atoms.metal_nm[0]
    by_hand = [inside(metals[~atoms.tungsten[0]], 5.12), 0, inside(metals[atoms.tungsten[0]], 5.12), 0, 0]
    for kind, element in ((SULFUR, S), (SELENIUM, SE), (OXYGEN, OX)):
        by_hand[element] = sum(inside(atoms.pair_nm[0, layer == kind], 5.12) for layer in layers)
    # An atom on the border is in the field in part.
    assert counted == pytest.approx(by_hand, rel=0.005, abs=1.0)


def test_all_elements_together_are_as_thick_as_the_layer():
    world = Defects(3)
    put(world, SULFUR, SULFUR)
    assert float(world.project([field(256, 0.05)]).sum(1).mean()) == pytest.approx(LAYER_NM, rel=0.01)


def test_a_vacancy_takes_half_of_its_column_away_and_oxygen_gives_little_back():
    world = Defects(4)
    shares = {
        kinds: at(put(world, *kinds), world)
        for kinds in ((SULFUR, SULFUR), (NOTHING, SULFUR), (OXYGEN, SULFUR), (SELENIUM, SULFUR), (NOTHING, NOTHING))
    }
    empty, full = shares[NOTHING, NOTHING], shares[SULFUR, SULFUR]
    of_column = {kinds: (share - empty) / (full - empty) for kinds, share in shares.items()}
    assert of_column[NOTHING, SULFUR] == pytest.approx(0.5, abs=0.01)
    section = {z: annular_nm2(z, 80.0, COLUMN.haadf_inner_mrad, COLUMN.haadf_outer_mrad, True) for z in (8, 16, 34)}
    assert of_column[OXYGEN, SULFUR] == pytest.approx(0.5 + section[8] / section[16] / 2, abs=0.01)
    assert of_column[SELENIUM, SULFUR] == pytest.approx(0.5 + section[34] / section[16] / 2, abs=0.02)
    assert of_column[NOTHING, SULFUR] < of_column[OXYGEN, SULFUR] < 0.7 < 1.0 < of_column[SELENIUM, SULFUR]


def test_tungsten_outshines_molybdenum():
    world = Defects(5)
    place = put(world, SULFUR, SULFUR) + world.crystal.atoms.metal_nm[0]
    light = at(place, world)
    world.crystal.atoms.tungsten[:] = True
    # 2.15 by multislice of the same column.
    assert 1.8 < at(place, world) / light < 2.3


def test_the_mean_potential_is_the_sum_over_atoms():
    world, grid = Defects(6), field(256, 0.02)
    put(world, SULFUR, SULFUR)
    mean = float(world.potential_V_nm([grid]).mean())
    forward = float(factor_nm(42, np.zeros(())) + 2 * factor_nm(16, np.zeros(())))
    assert mean == pytest.approx(POTENTIAL_V_nm2 * forward / (LATTICE_NM * ROW_NM), rel=0.02)


def test_spectra_have_sulfur_in_them():
    spectrometer = Spectrometer(ELEMENTS, COLUMN)
    spectrum = expected_spectra(Defects(7), [field(4, 1.0)], spectrometer)[0].mean((0, 1)).numpy()
    axis = spectrometer.axis_eV
    before, after = (spectrum[(axis > low) & (axis < low + 25)].sum() for low in (135.0, 170.0))
    assert after > 3 * before
    assert 0.97 < spectrum.sum() <= 1.0


def test_a_field_beside_the_flake_is_empty():
    world, grid = Defects(8), field(16, 0.02, 500.0, -80.0)
    assert world.project([grid]).abs().max() == 0.0
    assert world.potential_V_nm([grid]).abs().max() == 0.0
    world.expose(0, (499.0, 501.0, -81.0, -79.0), 1e9)
    wide = world.project([field(64, 4.0)])
    assert bool(wide.isfinite().all())
    assert float(wide.sum() * 16.0) == pytest.approx(LAYER_NM * LATTICE_NM * ROW_NM * PAIRS, rel=0.01)


def test_fields_count_by_cell():
    world = Defects(9)
    fields = world.fields()
    atoms = world.crystal.atoms
    layers = atoms.occupant[0].view(2, PAIRS)
    for name, kind in (("vacancies", NOTHING), ("dopants", SELENIUM), ("light_atoms", OXYGEN)):
        counted = fields[name].view(8, 8).numpy()
        for row, column in ((0, 0), (2, 7), (5, 3)):
            x0, y0 = 4.0 * column - 16.0, 4.0 * row - 16.0
            x, y = atoms.pair_nm[0].unbind(-1)
            here = (x >= x0) & (x < x0 + 4.0) & (y >= y0) & (y < y0 + 4.0)
            assert counted[row, column] == int((layers[:, here] == kind).sum())


def test_truth_changes_with_time_and_seeds_differ():
    truth = truths(Defects, [1, 2])
    vacancies = truth["vacancies"].reshape(2, 4, 64)
    assert (vacancies[:, 0] != vacancies[:, 3]).mean() > 0.3
    assert set(truth) == {*Defects.facts.fields, *Defects.facts.globals}
    for name in Defects.facts.globals:
        assert truth[name][0, 0] != truth[name][1, 0]
    alone = truths(Defects, [2])
    for name, values in alone.items():
        assert values[0] == pytest.approx(truth[name][1], rel=1e-12)


def test_the_beam_adds_vacancies_where_it_was():
    world = Defects(3)
    before = world.fields()["vacancies"]
    world.expose(0, (-16.0, -12.0, -16.0, -12.0), 3e10)
    gained = world.fields()["vacancies"] - before
    assert float(gained[0, 0]) > 20
    assert float(gained[0, 0]) == float(gained.sum())


def test_heat_makes_vacancies_wander_faster():
    cold, hot = Defects(3), Defects(3)
    hot.set_holder(Holder(temperature_K=523.0))
    cold.set_holder(Holder())
    start = cold.fields()["vacancies"]
    for world in (cold, hot):
        world.advance_to(60.0)
    moved = [float((world.fields()["vacancies"] - start).abs().sum()) for world in (cold, hot)]
    assert moved[1] > 1.5 * moved[0]


def test_a_batch_is_its_worlds_one_by_one():
    seeds, grids = (4, 9, 2), [field(48, 0.02, 3.0), field(48, 0.03), field(48, 0.02, -9.0, 9.0)]
    together = Defects(*seeds)
    matter, volts = together.project(grids), together.potential_V_nm(grids)
    x = torch.full((3, 2), 7.0, dtype=torch.float64)
    heights = together.height_nm(x, -x)
    for n, seed in enumerate(seeds):
        alone = Defects(seed)
        assert torch.equal(matter[n], alone.project(grids[n : n + 1])[0])
        assert torch.allclose(volts[n], alone.potential_V_nm(grids[n : n + 1])[0])
        assert torch.equal(heights[n], alone.height_nm(x[:1], -x[:1])[0])
    last = [replace(grids[2], world=2)]
    assert torch.equal(together.project(last)[0], matter[2])
    assert torch.equal(together.potential_V_nm(last)[0], volts[2])
    assert torch.equal(together.height_nm(x[:1], -x[:1], [2])[0], heights[2])
