"""Kinetics against their closed forms; pairing of beam on and off; batches against singles."""

import math

import numpy as np
import pytest
import torch

from digital_twin import growth
from digital_twin.growth import GrowthWorld, draw, sites

FIELD = (-128.0, 128.0, -128.0, 128.0)


def driven(clock_s: float) -> float:
    """Integral of the driver that rises to 1 with the lag: t - tau (1 - exp(-t / tau))."""
    return clock_s - growth.LAG_S * (1 - math.exp(-clock_s / growth.LAG_S))


def scan(world: GrowthWorld, until_s: float, electrons_per_s: float, member: int = 0) -> None:
    """Expose the middle of one world of a batch, tick by tick."""
    while world.clock_s < until_s - 1e-9:
        world.expose(member, FIELD, electrons_per_s * growth.TICK_S)
        world.advance_to(world.clock_s + growth.TICK_S)


def alone_since(world: GrowthWorld, index: int) -> bool:
    """True if a particle has not moved, so never merged."""
    start = torch.tensor(sites(world.seeds[0], draw(world.seeds[0]))[0])[index]
    return bool(torch.equal(world.position_nm[0, index], start))


def test_radius_grows_with_the_square_root_of_time():
    world = GrowthWorld([3])
    world.advance_to(200.0)
    before = world.radius_nm[0].clone()
    world.advance_to(600.0)
    after = world.radius_nm[0]
    kept = [i for i in torch.nonzero((before > 0) & (after > 0))[:, 0].tolist() if alone_since(world, i)]
    assert len(kept) > 10
    expected = draw(3).growth_rate_nm2_per_s * (driven(600.0) - driven(200.0))
    for i in kept:
        assert float(after[i] ** 2 - before[i] ** 2) == pytest.approx(expected, rel=1e-3)


def test_births_follow_the_integrated_hazard():
    seen, expected, variance = 0.0, 0.0, 0.0
    for seed in range(6):
        world = GrowthWorld([seed])
        world.advance_to(400.0)
        seen += float(((world.radius_nm > 0) | world.absorbed).sum())
        parameters = draw(seed)
        _, activity, _ = sites(seed, parameters)
        chance = 1 - np.exp(-parameters.births_per_site / 600.0 * activity * driven(400.0))
        expected += float(chance.sum())
        variance += float((chance * (1 - chance)).sum())
    assert abs(seen - expected) < 4 * math.sqrt(variance)


def test_merging_conserves_volume_and_centre_of_mass():
    world = GrowthWorld([0])
    world.set_point.zero_()
    pair = world._pairs[1:, 0].tolist()
    centre = torch.tensor([5.0, -7.0], dtype=torch.float64)
    world.position_nm[0, pair[0]] = centre
    world.position_nm[0, pair[1]] = centre + torch.tensor([12.0, 0.0])
    world.radius_nm[0, pair] = torch.tensor([10.0, 5.0], dtype=torch.float64)
    world.advance_to(growth.TICK_S)
    radius = world.radius_nm[0, pair]
    assert float((radius**3).sum()) == pytest.approx(10.0**3 + 5.0**3)
    assert float(radius[1]) == 0.0
    assert world.position_nm[0, pair[0], 0].item() == pytest.approx(5.0 + 12.0 * 125 / 1125)


def test_no_two_particles_overlap_for_long():
    world = GrowthWorld([1])
    world.advance_to(600.0)
    alive = world.radius_nm[0] > 0
    place, radius = world.position_nm[0, alive], world.radius_nm[0, alive]
    gap = torch.cdist(place, place) - radius[:, None] - radius[None, :]
    gap.fill_diagonal_(1.0)
    # One merger may bring on the next, which comes with the next tick.
    assert int((gap < 0).sum()) <= 4


def test_every_pair_that_can_meet_is_watched():
    world = GrowthWorld(list(range(8)))
    world.advance_to(600.0)
    assert 2 * float((world.radius_nm + world._moved_nm).max()) < growth.REACH_NM


def test_driver_follows_flow_and_arrhenius():
    world = GrowthWorld([0])
    world.set_holder(2 * growth.FLOW_REFERENCE_NL_PER_S, 308.0)
    boltzmann = 8.617333262e-5
    arrhenius = math.exp(growth.ACTIVATION_eV / boltzmann * (1 / 298.0 - 1 / 308.0))
    world.advance_to(20 * growth.LAG_S)
    assert float(world.driver[0]) == pytest.approx(2 * arrhenius, rel=1e-6)


def test_driver_lags():
    world = GrowthWorld([0])
    world.advance_to(growth.LAG_S)
    assert float(world.driver[0]) == pytest.approx(1 - math.exp(-1))


def test_all_radicals_are_made_and_then_decay():
    world = GrowthWorld([0])
    world.expose(0, FIELD, 1e8)
    world.advance_to(growth.TICK_S)
    cell_A2 = (10 * growth.RADICAL_CELL_NM) ** 2
    source = 1e8 / cell_A2 / growth.TICK_S / growth.DOSE_RATE_REFERENCE_E_PER_A2_S
    made = source * (1 - math.exp(-growth.TICK_S / growth.RADICAL_LIFE_S))
    assert float(world.radicals.sum()) == pytest.approx(made, rel=1e-6)
    world.advance_to(growth.TICK_S + 3.0)
    assert float(world.radicals.sum()) == pytest.approx(made * math.exp(-3.0 / growth.RADICAL_LIFE_S), rel=1e-6)


def test_radicals_reach_beyond_the_field_and_fall_off_with_their_length():
    # Steady state in one dimension outside a wide source is exp(-x / L): a long strip across the map is that.
    world = GrowthWorld([0])
    half = -world._origin_nm
    for _ in range(80):
        world.expose(0, (-64.0, 64.0, -half, half), 1e9)
        world.advance_to(world.clock_s + growth.TICK_S)
    row = world.radicals[0, world.radicals.shape[1] // 2]
    first = int((64.0 - world._origin_nm) / growth.RADICAL_CELL_NM)
    ratio = float(row[first + 3] / row[first + 1])
    assert ratio == pytest.approx(math.exp(-2 * growth.RADICAL_CELL_NM / growth.RADICAL_LENGTH_NM), rel=0.1)


def test_beam_speeds_growth_by_its_coupling():
    # An even dose rate over the whole map: after some lives of a radical its level is the dose rate in reference units.
    world, level = GrowthWorld([5]), 0.5
    half = -world._origin_nm
    rate_e_per_s = level * growth.DOSE_RATE_REFERENCE_E_PER_A2_S * (20 * half) ** 2
    radii = []
    for end_s in (200.0, 300.0):
        while world.clock_s < end_s:
            world.expose(0, (-half, half, -half, half), rate_e_per_s * growth.TICK_S)
            world.advance_to(world.clock_s + growth.TICK_S)
        radii.append(world.radius_nm[0].clone())
    kept = [i for i in torch.nonzero((radii[0] > 0) & (radii[1] > 0))[:, 0].tolist() if alone_since(world, i)]
    parameters = draw(5)
    boost = 1 + parameters.beam_coupling * level
    expected = parameters.growth_rate_nm2_per_s * boost * (driven(300.0) - driven(200.0))
    assert len(kept) > 5
    for i in kept:
        assert float(radii[1][i] ** 2 - radii[0][i] ** 2) == pytest.approx(expected, rel=2e-3)


def test_beam_changes_what_is_near_and_leaves_what_is_far():
    lit, dark = GrowthWorld([7]), GrowthWorld([7])
    scan(lit, 120.0, 1e7)
    dark.advance_to(120.0)
    distance = dark.position_nm[0].norm(dim=1)
    near, far = distance < 150.0, distance > 1500.0
    # More than ten lengths of a radical away nothing has happened; the same sites bear at the same time.
    assert torch.equal(lit.radius_nm[0, far] > 0, dark.radius_nm[0, far] > 0)
    assert torch.allclose(lit.radius_nm[0, far], dark.radius_nm[0, far], atol=1e-3)
    assert float((lit.radius_nm[0, near] ** 3).sum()) > 1.05 * float((dark.radius_nm[0, near] ** 3).sum())


def test_the_beam_acts_where_it_falls():
    lit, dark = GrowthWorld([7]), GrowthWorld([7])
    while lit.clock_s < 120.0:
        lit.expose(0, (500.0, 756.0, -128.0, 128.0), 5e6)
        lit.advance_to(lit.clock_s + growth.TICK_S)
    dark.advance_to(120.0)
    ahead = (lit.radius_nm**3 - dark.radius_nm**3)[0].clamp(min=0)
    middle = (ahead[:, None] * dark.position_nm[0]).sum(0) / ahead.sum()
    assert middle.tolist() == pytest.approx([628.0, 0.0], abs=100.0)


def test_a_dark_world_repeats_itself_however_it_is_stepped():
    once, often = GrowthWorld([4]), GrowthWorld([4])
    once.advance_to(100.0)
    for t in np.arange(0.0, 100.01, 0.7):
        often.advance_to(float(t))
    often.advance_to(100.0)
    assert torch.equal(once.radius_nm, often.radius_nm)
    assert torch.equal(once.position_nm, often.position_nm)


def test_sixteen_worlds_are_sixteen_single_worlds():
    seeds = range(16)
    batch = GrowthWorld(list(seeds))
    while batch.clock_s < 150.0:
        for member in (2, 9):
            batch.expose(member, FIELD, 1e7 * growth.TICK_S)
        batch.advance_to(batch.clock_s + growth.TICK_S)
    for seed in seeds:
        single = GrowthWorld([seed])
        if seed in (2, 9):
            scan(single, 150.0, 1e7)
        else:
            single.advance_to(150.0)
        assert torch.equal(batch.position_nm[seed], single.position_nm[0])
        assert torch.equal(batch.radius_nm[seed], single.radius_nm[0])


def test_seeds_differ():
    assert draw(1) != draw(2)
    assert not np.array_equal(sites(1, draw(1))[0], sites(2, draw(2))[0])


def test_an_episode_is_worth_watching():
    world = GrowthWorld(list(range(200, 208)))
    world.advance_to(600.0)
    alive = world.radius_nm > 0
    inside = alive & (world.position_nm.abs() < growth.EXTENT_NM / 2).all(dim=-1)
    per_cell = float(inside.sum()) / len(world.seeds) / 64
    radii = world.radius_nm[inside]
    assert 2.0 < per_cell < 12.0
    assert 8.0 < float(radii.median()) < 40.0
