"""Carbon that the beam leaves: where it grows and how fast, and that every signal sees it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from digital_twin.conditions import STILL
from digital_twin.contamination import Contaminated, Contamination
from digital_twin.defects import Defects
from digital_twin.detectors import Spectrometer
from digital_twin.imaging import expected_haadf, expected_spectra
from digital_twin.instrument import Twin
from digital_twin.liquid_cell import LiquidCell
from digital_twin.materials import CARBON
from digital_twin.optics import Aberrations
from digital_twin.specimen import Grid, Specimen
from digital_twin.world import apparatus_of
from hardware_bridge.messages import Acquire, Command, Holder
from hardware_bridge.microscope import execute

COLUMN = Defects.facts.column
DIRTY = Contamination(nm_per_e_per_A2=1e-4, supply_e_per_A2_s=1e5)
BOX = (-4.0, 4.0, -4.0, 4.0)
COLD = Holder(temperature_K=298.0)


def field(pixels: int, pixel_nm: float, x_nm: float = 0.0) -> Grid:
    steps = pixel_nm * (np.arange(pixels) + 0.5 - pixels / 2)
    origin = np.stack([np.full(pixels, x_nm + steps[0]), steps], axis=-1)
    return Grid(origin, np.array([pixel_nm, 0.0]), np.array([0.0, pixel_nm]), pixels)


def dirty(contamination: Contamination = DIRTY, *seeds: int) -> Contaminated:
    worlds = Contaminated(Defects(*(seeds or (1,))), contamination)
    worlds.set_holder(COLD)
    return worlds


def carbon_nm(specimen: Specimen, x_nm: float = 0.0) -> float:
    return float(specimen.project([field(8, 0.5, x_nm)])[0, -1].mean())


def lit(worlds: Contaminated, fluence_e_per_A2: float, seconds: int) -> Contaminated:
    for second in range(1, seconds + 1):
        worlds.expose(0, BOX, fluence_e_per_A2 * 6400.0 / seconds)
        worlds.advance_to(float(second))
    return worlds


def test_it_is_a_specimen_with_the_facts_fields_and_constants_of_its_worlds():
    worlds = dirty()
    specimen: Specimen = worlds
    plain = Defects(1)
    assert specimen.extent_nm == plain.extent_nm
    assert worlds.facts is plain.facts
    assert worlds.materials == (*plain.materials, CARBON)
    assert all(torch.equal(worlds.fields()[name], values) for name, values in plain.fields().items())
    assert all(torch.equal(worlds.globals()[name], values) for name, values in plain.globals().items())


def test_carbon_grows_with_the_fluence_and_only_where_the_beam_was():
    once, twice = lit(dirty(), 1e3, 10), lit(dirty(), 2e3, 20)
    assert carbon_nm(once) == pytest.approx(0.1 / (1 + 1e2 / 1e5))
    assert carbon_nm(twice) == pytest.approx(2 * carbon_nm(once))
    assert carbon_nm(once, 12.0) == 0.0


def test_it_lies_where_the_box_was_row_is_y():
    worlds = dirty()
    worlds.expose(0, (6.0, 14.0, -10.0, -6.0), 1e7)
    worlds.advance_to(1.0)
    edge = 2 * 0.75 * worlds.extent_nm / 96
    rows, columns = (worlds.carbon_nm[0] > 0).nonzero().double().mean(0).tolist()
    assert (columns + 0.5) * edge - 0.75 * worlds.extent_nm == pytest.approx(10.0, abs=edge)
    assert (rows + 0.5) * edge - 0.75 * worlds.extent_nm == pytest.approx(-8.0, abs=edge)


def test_a_dose_given_fast_leaves_less():
    slow, fast = lit(dirty(), 1e5, 100), lit(dirty(), 1e5, 1)
    assert carbon_nm(fast) == pytest.approx(1e5 * 1e-4 / 2)
    assert carbon_nm(slow) > 1.9 * carbon_nm(fast)


def test_growth_saturates_with_the_current():
    rates = [carbon_nm(lit(dirty(), fluence, 1)) for fluence in (1e3, 1e6, 1e8)]
    assert rates[2] < 1.2 * rates[1]
    assert rates[2] == pytest.approx(1e5 * 1e-4, rel=0.01)


def test_heat_slows_growth_down_tenfold_in_150_kelvin_and_removes_nothing():
    cold, hot = lit(dirty(), 1e3, 5), dirty()
    hot.set_holder(Holder(temperature_K=448.0))
    lit(hot, 1e3, 5)
    assert carbon_nm(hot) == pytest.approx(carbon_nm(cold) / 10)
    before = carbon_nm(cold)
    cold.set_holder(Holder(temperature_K=800.0))
    cold.advance_to(100.0)
    assert carbon_nm(cold) == before


def test_none_grows_at_a_rate_of_zero_and_the_worlds_see_the_same_beam():
    worlds, plain = lit(dirty(Contamination(nm_per_e_per_A2=0.0)), 1e6, 4), Defects(1)
    plain.set_holder(COLD)
    for second in range(1, 5):
        plain.expose(0, BOX, 1e6 * 6400.0 / 4)
        plain.advance_to(float(second))
    grids = [field(64, 0.05)]
    assert carbon_nm(worlds) == 0.0
    assert torch.equal(worlds.project(grids)[:, :-1], plain.project(grids))
    assert torch.equal(worlds.potential_V_nm(grids), plain.potential_V_nm(grids))
    x = torch.ones(1, 3, dtype=torch.float64)
    assert torch.equal(worlds.height_nm(x, x), plain.height_nm(x, x))


def test_images_brighten_and_spectra_have_carbon_in_them():
    clean, covered = dirty(), lit(dirty(), 1e5, 20)
    grids, corrected = [field(32, 0.05)], [Aberrations(C30_um=0.5)]
    dark, bright = (expected_haadf(each, grids, COLUMN, corrected)[0] for each in (clean, covered))
    assert float(bright.min()) > float(dark.min())
    assert float(bright.mean()) > 1.1 * float(dark.mean())
    spectrometer = Spectrometer(clean.materials, COLUMN)
    axis = spectrometer.axis_eV
    jumps = []
    for each in (clean, covered):
        spectrum = expected_spectra(each, [field(4, 0.5)], spectrometer)[0].mean((0, 1)).numpy()
        before, after = (spectrum[(axis > low) & (axis < low + 20)].sum() for low in (260.0, 286.0))
        jumps.append(after / before)
    assert jumps[0] < 1.0
    assert jumps[1] > 1.5


def test_its_potential_is_carbons_mean_inner_potential():
    worlds = lit(dirty(), 1e4, 4)
    grids = [field(32, 0.05)]
    added = worlds.potential_V_nm(grids) - worlds._worlds.potential_V_nm(grids)
    assert float(added.mean()) == pytest.approx(CARBON.inner_potential_V * carbon_nm(worlds))


def test_worlds_of_a_batch_get_dirty_each_by_itself_whatever_the_world():
    worlds = Contaminated(LiquidCell(1, 2), Contamination(nm_per_e_per_A2=1e-2))
    worlds.expose(1, (-100.0, 100.0, -100.0, 100.0), 1e8)
    worlds.advance_to(2.0)
    layers = worlds.project([field(8, 10.0)] * 2)[:, -1]
    assert float(layers[0].max()) == 0.0
    assert float(layers[1].min()) > 0.01


def test_what_is_outside_the_map_leaves_nothing():
    worlds = dirty()
    worlds.expose(0, (900.0, 901.0, 0.0, 1.0), 1e9)
    worlds.advance_to(1.0)
    assert float(worlds.carbon_nm.max()) == 0.0
    assert carbon_nm(worlds, 900.0) == 0.0


@pytest.mark.parametrize(("rate", "supply"), [(-1.0, 1.0), (1.0, 0.0), (float("nan"), 1.0)])
def test_impossible_rates_are_refused(rate, supply):
    with pytest.raises(ValueError, match=r"nm_per_e_per_A2 = .* must not be below 0"):
        Contamination(nm_per_e_per_A2=rate, supply_e_per_A2_s=supply)


def test_a_field_gets_brighter_where_it_is_looked_at_and_not_where_it_is_clean():
    def brightening(contamination: Contamination) -> float:
        facts = Defects.facts
        apparatus = replace(apparatus_of(facts), conditions=STILL)
        instrument = Twin(Contaminated(Defects(2), contamination), 2, apparatus=apparatus)
        means = []
        for turn in range(4):
            look = Acquire(mode="HAADF", fov_nm=6.0, pixels_x=48, pixels_y=48, dwell_s=1e-4)
            seen = execute(instrument, Command(id=f"look-{turn}", acquire=look), 10.0)
            assert seen.data is not None
            means.append(float(seen.data.mean()))
        return means[-1] / means[0]

    assert brightening(Contamination(nm_per_e_per_A2=3e-4, supply_e_per_A2_s=1e6)) > 1.05
    assert brightening(Contamination(nm_per_e_per_A2=0.0)) < 1.02
