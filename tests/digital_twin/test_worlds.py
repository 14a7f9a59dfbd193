"""What every world must be, whichever it is."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from msgspec import structs

from digital_twin.specimen import Grid
from digital_twin.world import World, truths
from digital_twin.worlds import WORLDS, world_type

SEEDS = tuple(range(40, 56))
CLOCK_S = 40.0


def scans(extent_nm: float, pixels: int = 32) -> list[Grid]:
    """A scan of each world, from the whole specimen and beyond to a few nm, turned and sheared by drift."""
    return [_scan(n, (1.5 * extent_nm / pixels, 4.0, 0.09)[n % 3], extent_nm, pixels) for n in range(len(SEEDS))]


def fine_scans(extent_nm: float, pixels: int = 32) -> list[Grid]:
    """Scans that resolve lattices."""
    return [_scan(n, (0.085, 0.09)[n % 2], extent_nm, pixels) for n in range(len(SEEDS))]


def _scan(n: int, pixel_nm: float, extent_nm: float, pixels: int) -> Grid:
    across = pixel_nm * np.array([np.cos(n), np.sin(n)])
    down = pixel_nm * np.array([-np.sin(n), np.cos(n)])
    rows = np.arange(pixels)[:, None] - pixels / 2
    origin = rows * down - pixels / 2 * across + 0.02 * pixel_nm * rows * across + extent_nm * (n / 16 - 0.5) / 3
    return Grid(origin, across, down, pixels)


def at_work(name: str, *seeds: int) -> World:
    """Worlds under their set points for a while."""
    world = world_type(name)(*seeds)
    world.set_holder(world.facts.holder)
    world.advance_to(CLOCK_S)
    return world


def box(extent_nm: float) -> tuple[float, float, float, float]:
    """A quarter of the specimen about its middle."""
    return (-extent_nm / 4, extent_nm / 4, -extent_nm / 4, extent_nm / 4)


def dose(world: World) -> float:
    """Electrons by which the box takes the largest fluence allowed."""
    return world.facts.max_fluence_e_per_A2 * (10 * world.extent_nm / 2) ** 2


def test_an_unknown_world_is_told_with_those_there_are():
    with pytest.raises(ValueError, match="'mars' is unknown: choose one of growth"):
        world_type("mars")


@pytest.mark.parametrize("name", WORLDS)
def test_facts_are_those_of_a_world_that_can_be_scored(name):
    facts = world_type(name).facts
    assert facts.name == name
    assert 3 <= len(facts.fields) + len(facts.globals) <= 8
    assert list(facts.times_s) == sorted(facts.times_s)
    assert facts.sources


@pytest.mark.parametrize("name", WORLDS)
def test_a_card_says_what_is_assumed_of_extent_time_and_dose_as_its_facts_have_them(name):
    facts = world_type(name).facts
    card = json.loads((Path(__file__).parents[2] / "envs" / "cards" / f"{name}.json").read_text(encoding="utf-8"))
    assert tuple(card["sources"]) == facts.sources
    (assumed,) = (line for line in facts.sources if line.startswith("Assumed: "))
    everywhere = facts.budget_electrons / (10.0 * facts.extent_nm) ** 2
    assert float(assumed.partition(" e/A^2 on all of it")[0].split()[-1]) == pytest.approx(everywhere, rel=0.06)
    assert facts.times_s[-1] == 600.0
    assert "ten minutes" in assumed


@pytest.mark.parametrize("name", WORLDS)
def test_a_batch_is_its_worlds_one_by_one_to_the_last_bit(name):
    together = at_work(name, *SEEDS)
    for n in (1, 6):
        together.expose(n, box(together.extent_nm), dose(together))
    together.advance_to(CLOCK_S + 10.0)
    grids, fine = scans(together.extent_nm), fine_scans(together.extent_nm)
    matter, volts = together.project(grids), together.potential_V_nm(fine)
    for n in (0, 1, 6, 15):
        alone = at_work(name, SEEDS[n])
        if n in (1, 6):
            alone.expose(0, box(alone.extent_nm), dose(alone))
        alone.advance_to(CLOCK_S + 10.0)
        assert torch.equal(alone.project([grids[n]])[0], matter[n])
        assert torch.equal(alone.potential_V_nm([fine[n]])[0], volts[n])
        for key, values in together.fields().items():
            assert torch.equal(alone.fields()[key][0], values[n])
        for key, values in together.globals().items():
            assert torch.equal(alone.globals()[key][0], values[n])


@pytest.mark.parametrize("name", WORLDS)
def test_what_is_seen_is_finite_and_nothing_is_negative(name):
    world = at_work(name, *SEEDS)
    matter, volts = world.project(scans(world.extent_nm)), world.potential_V_nm(fine_scans(world.extent_nm))
    assert matter.shape == (16, len(world.materials), 32, 32)
    assert volts.shape == (16, 32, 32)
    assert matter.dtype == volts.dtype == torch.float64
    assert torch.isfinite(volts).all()
    assert torch.isfinite(matter).all()
    assert float(matter.min()) >= 0.0
    # A crystal of single atoms is empty between them.
    assert (matter.sum(dim=(1, 2, 3)) > 0.0).all()


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("temperature_K", [0.0, 4000.0])
def test_no_set_point_makes_anything_infinite(name, temperature_K):
    world = world_type(name)(40)
    holder = structs.replace(world.facts.holder, temperature_K=temperature_K)
    world.set_holder(holder)
    world.advance_to(60.0)
    grids = scans(world.extent_nm)[1:2]
    seen = (world.project(grids), world.potential_V_nm(grids), world.height_nm(*torch.zeros(2, 1, 1, 1).double()))
    assert all(torch.isfinite(each).all() for each in (*seen, *world.fields().values()))


@pytest.mark.parametrize("name", WORLDS)
def test_looking_changes_nothing(name):
    world, other = at_work(name, 40), at_work(name, 40)
    grids = scans(world.extent_nm)[1:2]
    for _ in range(2):
        world.project(grids), world.potential_V_nm(fine_scans(world.extent_nm)[:1]), world.fields()
    for each in (world, other):
        each.advance_to(CLOCK_S + 20.0)
    assert torch.equal(world.project(grids), other.project(grids))


@pytest.mark.parametrize("name", WORLDS)
def test_the_beam_changes_the_world_it_falls_on_alone_and_measurably(name):
    lit, dark = at_work(name, 40, 41), at_work(name, 40, 41)
    for seconds in range(20):
        lit.expose(1, box(lit.extent_nm), dose(lit) / 20)
        lit.advance_to(CLOCK_S + seconds)
    for world in (lit, dark):
        world.advance_to(world.facts.times_s[0])
    changed = {key: (values - dark.fields()[key]).abs().amax(dim=1) for key, values in lit.fields().items()}
    assert all(float(each[0]) == 0.0 for each in changed.values())
    assert any(float(each[1]) > 0.01 for each in changed.values())


@pytest.mark.parametrize("name", WORLDS)
def test_truth_is_of_the_seeds_alone(name):
    facts = world_type(name).facts
    several, one = truths(world_type(name), [40, 41]), truths(world_type(name), [41])
    assert list(several) == [*facts.fields, *facts.globals]
    for key, values in several.items():
        assert values.shape == (2, len(facts.times_s) * facts.cells**2 if key in facts.fields else 1)
        assert np.isfinite(values).all()
        assert np.array_equal(values[1:], one[key])
