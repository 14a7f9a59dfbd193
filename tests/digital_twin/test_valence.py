"""Iron phosphate as a specimen: images barely change while the valence does; what the beam reduces stays reduced."""

import math

import numpy as np
import pytest
import torch

from digital_twin.cathode import draw
from digital_twin.detectors import Spectrometer, haadf_fraction
from digital_twin.materials import FEPO4, LIFEPO4
from digital_twin.mosaic import EXTENT_NM
from digital_twin.specimen import Specimen
from digital_twin.valence import CARBON_NM, Valence
from digital_twin.world import truths
from hardware_bridge.messages import Holder

CELLS, TIMES_S = Valence.facts.cells, Valence.facts.times_s
HALF = EXTENT_NM / 2
IRON = torch.tensor([LIFEPO4.formula_per_nm3, FEPO4.formula_per_nm3])[:, None, None]


@pytest.fixture(scope="module")
def charged():
    """Make cathodes at a time of their episode."""

    def make(*seeds, clock_s=450.0):
        made = Valence(*seeds)
        made.set_holder(Valence.facts.holder)
        made.advance_to(clock_s)
        return made

    return make


@pytest.fixture
def whole(square_grid):
    """Make a scan of the whole extent."""

    def make(pixels):
        grid = square_grid(pixels, EXTENT_NM / pixels)
        grid.origin_nm[:] += EXTENT_NM / pixels / 2 - HALF
        return grid

    return make


def state(world):
    return world.fields()["oxidation_state"]


def test_it_is_a_specimen():
    cathode: Specimen = Valence(1)
    assert cathode.extent_nm == EXTENT_NM
    assert (cathode.height_nm(torch.ones(1, 3), torch.ones(1, 3)) == 0).all()


def test_images_barely_change_while_the_valence_does(charged, whole):
    before, after = charged(1, clock_s=0.0), charged(1, clock_s=600.0)
    images = [haadf_fraction(each.project([whole(256)]), each.materials, each.facts.column) for each in (before, after)]
    assert float(((images[1] - images[0]) / images[0]).abs().max()) < 0.02
    assert float((state(after) - state(before)).mean()) > 0.3
    assert (state(before) == 2.0).all()


def test_iron_stays_where_it_was(charged, whole):
    early, late = (charged(2, clock_s=clock_s).project([whole(128)])[0] for clock_s in (150.0, 600.0))
    assert (early[:2] * IRON).sum(dim=0).numpy() == pytest.approx((late[:2] * IRON).sum(dim=0).numpy())
    assert (late[2] == CARBON_NM).all()
    assert (late >= 0).all()


@pytest.mark.parametrize("pixels", [64, 256])
def test_an_image_holds_what_the_truth_says(charged, whole, pixels):
    world = charged(3)
    iron = world.project([whole(pixels)])[0, :2] * IRON
    size = pixels // CELLS
    by_cell = iron.view(2, CELLS, size, CELLS, size).mean(dim=(2, 4))
    seen = (2 + by_cell[1] / by_cell.sum(dim=0)).flatten()
    assert seen.numpy() == pytest.approx(state(world)[0].numpy(), abs=0.03)


def test_the_spectrum_moves_with_the_valence():
    spectrometer = Spectrometer(Valence.materials, Valence.facts.column)
    axis = spectrometer.axis_eV
    third = FEPO4.formula_per_nm3 / LIFEPO4.formula_per_nm3
    forms = torch.tensor([[50.0, 0.0, 20.0], [0.0, 50.0 / third, 20.0]], dtype=torch.float64)
    spectra = spectrometer.probabilities(forms)
    near = (axis > 700) & (axis < 716)
    peaks = [axis[near][int(each[near].argmax())] for each in spectra]
    assert 1.0 < peaks[1] - peaks[0] < 2.6
    far = (axis > 400) & (axis < 520)
    assert spectra[1][far].numpy() == pytest.approx(spectra[0][far].numpy(), rel=0.03)


def test_whole_particles_are_converted_as_much_as_they_should(charged):
    world = charged(5, clock_s=500.0)
    iron, share = world._iron_nm[1][0], world.oxidised()[0]
    for particle in range(60, 90):
        own = world._owner[0] == particle
        mean = float((iron * share)[own].sum() / iron[own].sum())
        assert mean == pytest.approx(float(world.cathode.converted[0, particle]), abs=0.04)


def test_the_beam_reduces_where_it_falls_and_for_good(charged):
    lit, dark = charged(6), charged(6)
    fluence = draw(6).reduction_e_per_A2
    lit.expose(0, (-256.0, 0.0, 0.0, 256.0), fluence * 2560.0**2)
    hit = CELLS * (CELLS // 2) + CELLS // 2 - 1
    assert float(state(lit)[0, hit] - 2) == pytest.approx(float(state(dark)[0, hit] - 2) / math.e, rel=1e-6)
    others = torch.arange(CELLS**2) != hit
    assert torch.equal(state(lit)[0, others], state(dark)[0, others])
    lit.advance_to(900.0)
    assert float(state(lit)[0, hit]) < 2 + 1.01 / math.e


def test_electrons_beyond_the_specimen_change_nothing(charged):
    lit, dark = charged(7), charged(7)
    lit.expose(0, (5000.0, 5100.0, 5000.0, 5100.0), 1e12)
    assert torch.equal(state(lit), state(dark))


def test_bias_and_heat_at_the_holder_drive_it():
    means = []
    for holder in (Holder(), Holder(bias_V=0.05, temperature_K=298.0), Holder(bias_V=0.05, temperature_K=310.0)):
        world = Valence(8, 9, 10)
        world.set_holder(holder)
        world.advance_to(300.0)
        means.append(float(state(world).mean()))
    assert means[0] == 2.0
    assert means[2] > means[1] + 0.05 > 2.1


def test_truth_is_the_beam_off_trajectory():
    found = truths(Valence, [10, 11])
    assert found["oxidation_state"].shape == (2, len(TIMES_S) * CELLS * CELLS)
    assert set(found) == set(Valence.facts.fields) | set(Valence.facts.globals)
    assert found["conversion_rate"][1] == draw(11).conversion_per_s
    assert found["reduction_fluence"][0] == draw(10).reduction_e_per_A2
    by_time = found["oxidation_state"].reshape(2, len(TIMES_S), -1)
    assert (np.diff(by_time, axis=1) >= -1e-12).all()
    assert ((by_time >= 2) & (by_time <= 3)).all()


def test_where_to_look_matters():
    last = truths(Valence, range(20, 26))["oxidation_state"].reshape(6, len(TIMES_S), -1)[:, 2]
    assert last.std(axis=1).mean() > 0.2


def test_a_batch_is_the_worlds_one_by_one(charged, whole):
    seeds = (3, 4, 9)
    together = charged(*seeds)
    together.expose(1, (-300.0, 300.0, -300.0, 300.0), 1e9)
    matter = together.project([whole(64)] * 3)
    for n, seed in enumerate(seeds):
        alone = charged(seed)
        if n == 1:
            alone.expose(0, (-300.0, 300.0, -300.0, 300.0), 1e9)
        assert torch.equal(matter[n], alone.project([whole(64)])[0])
        assert torch.equal(state(together)[n], state(alone)[0])


def test_beyond_the_extent_there_is_something_too(charged, square_grid):
    grid = square_grid(16, 400.0)
    grid.origin_nm[:] -= 3000.0
    assert torch.isfinite(charged(12).project([grid])).all()
