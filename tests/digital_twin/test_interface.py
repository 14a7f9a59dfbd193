"""The electrode as a specimen: what lies where, what its targets are, and that images hold what the truth says."""

import numpy as np
import pytest
import torch

from digital_twin import interface
from digital_twin.detectors import haadf_fraction
from digital_twin.front import ELECTRODE_NM, EXTENT_NM, MARGIN_NM, REFERENCE_V
from digital_twin.interface import DEPOSIT_NM, LIQUID_NM, NITRIDE_NM, Interface
from digital_twin.materials import COPPER, ZINC
from digital_twin.specimen import Specimen
from digital_twin.world import truths
from hardware_bridge.messages import Holder

CELLS, TIMES_S = Interface.facts.cells, Interface.facts.times_s


@pytest.fixture
def grown():
    """Make interfaces at a time of their episode."""

    def make(*seeds, clock_s=450.0):
        made = Interface(*seeds)
        made.set_holder(Interface.facts.holder)
        made.advance_to(clock_s)
        return made

    return make


@pytest.fixture
def whole(square_grid):
    """Make a scan of the whole extent."""

    def make(pixels):
        grid = square_grid(pixels, EXTENT_NM / pixels)
        grid.origin_nm[:] += EXTENT_NM / pixels / 2 - EXTENT_NM / 2
        return grid

    return make


def test_it_is_a_specimen():
    cell: Specimen = Interface(1)
    assert cell.extent_nm == EXTENT_NM


def test_solids_displace_water(grown, whole):
    matter = grown(2).project([whole(128)])
    assert matter[:, :4].sum(dim=1).numpy() == pytest.approx(np.full((1, 128, 128), LIQUID_NM))
    assert (matter[:, 4] == NITRIDE_NM).all()
    assert (matter >= 0).all()


def test_at_the_start_there_is_an_electrode_and_nothing_on_it(whole):
    matter = Interface(3).project([whole(256)])[0]
    y = -EXTENT_NM / 2 + (torch.arange(256) + 0.5) * 8.0
    assert float(matter[:2].max()) == 0.0
    assert (matter[2, y < ELECTRODE_NM] == interface.ELECTRODE_THICK_NM).all()
    assert (matter[2, y > ELECTRODE_NM] == 0.0).all()


@pytest.mark.parametrize("pixels", [64, 256])
def test_an_image_holds_what_the_truth_says(grown, whole, pixels, monkeypatch):
    monkeypatch.setattr(interface, "GRAIN_SD", 0.0)
    cell = grown(4)
    matter = cell.project([whole(pixels)])[0]
    size = pixels // CELLS
    by_cell = matter[:2].view(2, CELLS, size, CELLS, size).mean(dim=(2, 4))
    covered = cell.fields()["covered_fraction"].view(CELLS, CELLS)
    assert (by_cell.sum(dim=0) / DEPOSIT_NM).numpy() == pytest.approx(covered.numpy(), abs=0.015)
    atoms = by_cell * torch.tensor([COPPER.formula_per_nm3, ZINC.formula_per_nm3])[:, None, None]
    seen = covered > 0.3
    zinc = cell.fields()["zinc_fraction"].view(CELLS, CELLS)
    assert (atoms[1] / atoms.sum(dim=0))[seen].numpy() == pytest.approx(zinc[seen].numpy(), abs=0.01)


def test_the_front_is_where_the_heights_say(grown, square_grid):
    cell, column = grown(5), 80
    height, x = float(cell.front.height_nm[0, column]), float(cell.front.x_nm[column])
    grid = square_grid(65, 1.0)
    grid.origin_nm[:] += np.array([x - 32.0, height - 32.0])
    deposit = cell.project([grid])[0, :2].sum(dim=0)[:, 32]
    assert float(deposit[32] / deposit[:5].mean()) == pytest.approx(0.5, abs=0.1)
    assert float(deposit[-1]) == 0.0


def test_a_scan_that_is_turned_or_displaced_sees_the_same(grown, square_grid):
    cell, grid = grown(6), square_grid(64, 16.0)
    straight = cell.project([grid])[0]
    turned = square_grid(64, 16.0)
    turned.origin_nm[:] = np.stack([16.0 * np.arange(64), np.zeros(64)], axis=1)
    turned = type(grid)(turned.origin_nm, grid.down_nm, grid.across_nm, 64)
    assert cell.project([turned])[0].mT.numpy() == pytest.approx(straight.numpy(), abs=2.0)
    displaced = square_grid(64, 16.0)
    displaced.origin_nm[:] += np.array([32.0, -48.0])
    assert cell.project([displaced])[0, :, 3:, :-2].numpy() == pytest.approx(straight[:, :-3, 2:].numpy())


def test_beyond_the_extent_there_is_something_too(grown, square_grid):
    grid = square_grid(16, 400.0)
    grid.origin_nm[:] -= 3000.0
    assert torch.isfinite(grown(7).project([grid])).all()


def test_fields_follow_the_front(grown):
    fields = grown(8, 9).fields()
    covered, zinc = (fields[name].view(2, CELLS, CELLS) for name in ("covered_fraction", "zinc_fraction"))
    electrode = (ELECTRODE_NM + EXTENT_NM / 2) / (EXTENT_NM / CELLS)
    assert ((covered >= 0) & (covered <= 1)).all()
    assert float(covered[:, 0].max()) == pytest.approx(1 - electrode)
    assert (covered[:, 1:-1] >= covered[:, 2:]).all()
    assert (zinc[covered == 0] == 0).all()
    assert ((zinc[covered > 0.1] > 0.02) & (zinc[covered > 0.1] < 0.6)).all()


def test_truth_is_the_beam_off_trajectory():
    found = truths(Interface, [10, 11])
    for name in Interface.facts.fields:
        assert found[name].shape == (2, len(TIMES_S) * CELLS * CELLS)
    assert set(found) == set(Interface.facts.fields) | set(Interface.facts.globals)
    assert np.array_equal(truths(Interface, [11])["zinc_fraction"][0], found["zinc_fraction"][1])
    by_time = found["covered_fraction"].reshape(2, len(TIMES_S), -1).sum(axis=2)
    assert (np.diff(by_time, axis=1) > 0).all()


def test_bias_at_the_holder_drives_it(grown):
    idle, driven = Interface(12), grown(12, clock_s=200.0)
    idle.set_holder(Holder())
    idle.advance_to(200.0)
    assert float(idle.fields()["covered_fraction"].sum()) < 0.05 * float(driven.fields()["covered_fraction"].sum())
    extreme = Interface(12)
    extreme.set_holder(Holder(bias_V=-1e6))
    extreme.advance_to(50.0)
    assert torch.isfinite(extreme.front.height_nm).all()
    assert REFERENCE_V < 0


def test_the_beam_acts_on_the_world_it_falls_on():
    lit, dark = Interface(3, 3), Interface(3)
    for each in (lit, dark):
        each.set_holder(Interface.facts.holder)
    for second in range(1, 40):
        lit.expose(1, (-100.0, 100.0, -1000.0, -800.0), 1e7)
        lit.advance_to(float(second))
    dark.advance_to(39.0)
    assert torch.equal(lit.front.height_nm[0], dark.front.height_nm[0])
    assert float((lit.front.height_nm[1] - dark.front.height_nm[0]).max()) > 10.0


def test_a_batch_is_the_worlds_one_by_one(grown, whole):
    seeds = (3, 4, 9)
    together = grown(*seeds)
    matter = together.project([whole(64)] * 3)
    points = torch.tensor([[-500.0, 0.0, 700.0]], dtype=torch.float64)
    heights = together.height_nm(points.expand(3, -1), points.expand(3, -1))
    for n, seed in enumerate(seeds):
        alone = grown(seed)
        assert torch.equal(matter[n], alone.project([whole(64)])[0])
        assert torch.equal(heights[n], alone.height_nm(points, points)[0])
        for name, values in together.fields().items():
            assert torch.equal(values[n], alone.fields()[name][0])


def test_brass_stands_out_from_water_and_is_not_even(grown, whole):
    cell = grown(13)
    image = haadf_fraction(cell.project([whole(256)]), cell.materials, cell.facts.column)[0]
    brass = cell.project([whole(256)])[0, 0] > 0.6 * DEPOSIT_NM * 0.5
    inside, outside = image[4:-4][brass[4:-4]], image[4:-4][~brass[4:-4]]
    assert float(inside.mean()) > 3 * float(outside.median())
    assert 0.03 < float(inside.std() / inside.mean()) < 0.3


def test_the_margin_closes_on_itself():
    front = Interface(14).front
    assert float(front.x_nm[-1]) == EXTENT_NM / 2 + MARGIN_NM - 8.0
