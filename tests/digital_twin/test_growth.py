"""Kinetics against their closed forms; pairing of beam on and off; batches against singles."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from digital_twin import growth, radiolysis
from digital_twin.growth import BIRTH_RADIUS_NM, GrowthWorld, draw, mobile_sites, sites

FIELD = (-128.0, 128.0, -128.0, 128.0)
ALL_ON = {"reaction_radius_nm": 5.0, "ripening_nm3_per_s": 0.02, "hindrance": 1e-8, "mobile_share": 1.0}
OFF = {"reaction_radius_nm": 0.0, "ripening_nm3_per_s": 0.0, "hindrance": 0.0}
SHIPPED = (*OFF, "mobile_share", "thickening")


def driven(clock_s: float) -> float:
    """Integral of the driver that rises to 1 with the lag: t - tau (1 - exp(-t / tau))."""
    return clock_s - growth.LAG_S * (1 - math.exp(-clock_s / growth.LAG_S))


def scan(world: GrowthWorld, until_s: float, electrons_per_s: float, member: int = 0) -> None:
    """Expose the middle of one world of a batch, tick by tick."""
    while world.clock_s < until_s - 1e-9:
        world.expose(member, FIELD, electrons_per_s * growth.TICK_S)
        world.advance_to(world.clock_s + growth.TICK_S)


def world_with(*seeds: int, **changed: float) -> GrowthWorld:
    """Worlds of some seeds limited by diffusion, of which nothing dissolves or moves, but for what is changed."""
    return GrowthWorld(seeds, draws=[replace(draw(seed), **{**OFF, "mobile_share": 1.0, **changed}) for seed in seeds])


def alone_since(world: GrowthWorld, index: int) -> bool:
    """True if a particle has not moved, so never merged."""
    start = torch.tensor(sites(world.seeds[0], draw(world.seeds[0]))[0])[index]
    return bool(torch.equal(world.position_nm[0, index], start))


def test_radius_grows_with_the_square_root_of_time():
    world = world_with(3)
    world.advance_to(200.0)
    before = world.radius_nm[0].clone()
    world.advance_to(600.0)
    after = world.radius_nm[0]
    kept = [i for i in torch.nonzero((before > 0) & (after > 0))[:, 0].tolist() if alone_since(world, i)]
    assert len(kept) > 10
    expected = draw(3).growth_rate_nm2_per_s * (driven(600.0) - driven(200.0))
    for i in kept:
        assert float(after[i] ** 2 - before[i] ** 2) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("reaction_radius_nm", [3.0, 30.0, 3e4])
def test_growth_is_diffusion_and_attachment_in_series(reaction_radius_nm):
    # From dr/dt = K/2 / (r + a): the time to a radius is that of either limit, added up.
    world = world_with(3, reaction_radius_nm=reaction_radius_nm, growth_rate_nm2_per_s=0.1 * reaction_radius_nm + 1.0)
    world.advance_to(200.0)
    before = world.radius_nm[0].clone()
    world.advance_to(600.0)
    after, rate = world.radius_nm[0], world.draws[0].growth_rate_nm2_per_s
    kept = [i for i in torch.nonzero((before > 0) & (after > 0))[:, 0].tolist() if alone_since(world, i)]
    assert len(kept) > 10
    r0, r1 = before[kept], after[kept]
    time_s = (r1**2 - r0**2) / rate + (r1 - r0) / (rate / (2 * reaction_radius_nm))
    assert time_s.numpy() == pytest.approx(np.full(len(kept), driven(600.0) - driven(200.0)), rel=1e-3)


def test_ripening_goes_on_when_the_flow_has_stopped_and_keeps_the_volume():
    world = world_with(1, ripening_nm3_per_s=2.0)
    world.set_holder(0.0, growth.ROOM_K)
    world.radius_nm[0, :300] = torch.linspace(4.0, 12.0, 300, dtype=torch.float64)
    before = world.radius_nm.clone()
    world.advance_to(100.0)
    assert float((world.radius_nm**3).sum()) == pytest.approx(float((before**3).sum()), rel=1e-9)
    gone = (before > 0) & (world.radius_nm == 0)
    assert int(gone.sum()) > 10
    assert bool(world.spent[gone].all())


def test_warm_liquid_ripens_and_shakes_as_arrhenius_and_einstein_say():
    moved, lost = [], []
    for temperature_K in (298.0, 328.0):
        world = world_with(1, hindrance=1e-9, ripening_nm3_per_s=1e-3)
        world.set_holder(0.0, temperature_K)
        world.radius_nm[0, :100] = torch.linspace(4.0, 6.0, 100, dtype=torch.float64)
        start, radius = world.position_nm.clone(), world.radius_nm.clone()
        world.advance_to(growth.TICK_S)
        moved.append(float((world.position_nm - start)[0, 50].norm()))
        lost.append(float((radius - world.radius_nm)[0, 0]))
    arrhenius = math.exp(growth.ACTIVATION_eV / 8.617333262e-5 * (1 / 298.0 - 1 / 328.0))
    assert lost[1] / lost[0] == pytest.approx(arrhenius, rel=1e-4)
    assert (moved[1] / moved[0]) ** 2 == pytest.approx(328.0 / 298.0, rel=1e-6)


def test_nuclei_survive_where_growth_outdoes_ripening():
    # A nucleus of r = 1 nm grows among far larger ones where K f > 2 M / r, but for the driver's lag.
    counts = []
    for ripening in (0.2, 2.0):
        world = world_with(1, ripening_nm3_per_s=ripening, growth_rate_nm2_per_s=1.5)
        world.advance_to(300.0)
        counts.append(int((world.radius_nm > 0).sum()))
    assert counts[0] > 50
    # The mean radius of one alone is its own, so the last one stays.
    assert counts[1] <= 1


def test_small_particles_shake_more():
    world = world_with(*range(8), hindrance=1e-9)
    world.set_holder(0.0, growth.ROOM_K)
    world.radius_nm[:, ::2], world.radius_nm[:, 1::2] = 0.5, 2.0
    start = world.position_nm.clone()
    world.advance_to(10.0)
    square = ((world.position_nm - start) ** 2).sum(-1)
    kept = ~(world.spent | (world.radius_nm > 2.1) | ((world.radius_nm > 0.6) & (world.radius_nm < 1.9)))
    small, large = (square[kept & (world.radius_nm == size)].mean() for size in (0.5, 2.0))
    assert float(small / large) == pytest.approx(4.0, rel=0.1)


def test_particles_do_not_wander_off():
    world = world_with(1, hindrance=1e-6)
    world.set_holder(0.0, growth.ROOM_K)
    world.radius_nm[:] = 1.0
    world.advance_to(50.0)
    assert float(world.position_nm.abs().max()) <= growth.EXTENT_NM / 2 + growth.MARGIN_NM


def test_with_all_kinetics_on_batches_are_singles():
    seeds = range(4)
    batch = world_with(*seeds, **ALL_ON)
    while batch.clock_s < 120.0:
        batch.expose(2, FIELD, 1e7 * growth.TICK_S)
        batch.advance_to(batch.clock_s + growth.TICK_S)
    for seed in seeds:
        single = world_with(seed, **ALL_ON)
        if seed == 2:
            scan(single, 120.0, 1e7)
        else:
            single.advance_to(120.0)
        assert torch.equal(batch.position_nm[seed], single.position_nm[0])
        assert torch.equal(batch.radius_nm[seed], single.radius_nm[0])


def test_with_all_kinetics_on_what_the_beam_leaves_alone_stays_paired():
    lit, dark = world_with(3, **ALL_ON), world_with(3, **ALL_ON)
    scan(lit, 120.0, 1e7)
    dark.advance_to(120.0)
    far = (dark.position_nm[0].norm(dim=1) > 1300.0) & ~dark.spent[0] & ~lit.spent[0]
    assert int((dark.radius_nm[0, far] > 0).sum()) > 5
    assert float((dark.position_nm - GrowthWorld([3]).position_nm)[0, far].abs().max()) > 1.0
    # All share the liquid in which they ripen, so that even far away radii differ by a little.
    assert torch.allclose(lit.position_nm[0, far], dark.position_nm[0, far], atol=0.5)


def test_worlds_of_one_batch_may_differ_in_what_is_on():
    draws = [replace(draw(5), **OFF), replace(draw(6), **ALL_ON), draw(7)]
    mixed = GrowthWorld([5, 6, 7], draws=draws)
    mixed.advance_to(100.0)
    for n, (seed, each) in enumerate(zip((5, 6, 7), draws, strict=True)):
        single = GrowthWorld([seed], draws=[each])
        single.advance_to(100.0)
        assert torch.equal(mixed.radius_nm[n], single.radius_nm[0])
        assert torch.equal(mixed.position_nm[n], single.position_nm[0])


def test_more_than_all_cannot_be_mobile():
    with pytest.raises(ValueError, match=r"mobile_share 1\.1: at most 1"):
        replace(draw(1), mobile_share=1.1)


@pytest.mark.parametrize("name", ["reaction_radius_nm", "ripening_nm3_per_s", "hindrance", "beam_coupling"])
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_impossible_parameters_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} .*at least 0 and finite"):
        replace(draw(1), **{name: value})


def test_the_shipped_worlds_differ_in_all_that_is_on():
    draws = [draw(seed) for seed in range(300)]
    for name in SHIPPED:
        values = np.array([getattr(each, name) for each in draws])
        assert (values > 0).all()
        assert values.std() > 0.3 * values.mean(), name
    assert max(each.mobile_share for each in draws) <= 0.1
    # What is born grows at the full driver in nearly all worlds: 2 M < K r.
    lasting = [2 * each.ripening_nm3_per_s < BIRTH_RADIUS_NM * each.growth_rate_nm2_per_s for each in draws]
    assert np.mean(lasting) > 0.99


def test_a_share_of_the_particles_moves_and_the_others_stay():
    world = world_with(4, hindrance=1e-7, mobile_share=0.05)
    world.set_holder(0.0, growth.ROOM_K)
    world.radius_nm[:] = 1.0
    start = world.position_nm.clone()
    world.advance_to(1.0)
    moved = ((world.position_nm - start)[0] != 0).any(dim=1) & ~world.spent[0] & (world.radius_nm[0] == 1.0)
    some = set(mobile_sites(4, 0.05).tolist())
    assert 0.02 < len(some) / growth.SITES < 0.08
    assert set(moved.nonzero()[:, 0].tolist()) <= some
    assert int(moved.sum()) > 0.8 * len(some)
    assert some <= set(mobile_sites(4, 0.1).tolist())


def test_the_shipped_worlds_grow_slower_while_they_are_small():
    world, plain = GrowthWorld([3]), world_with(3)
    for each in (world, plain):
        each.advance_to(600.0)
    assert float(world.radius_nm.max()) < float(plain.radius_nm.max())
    assert int((world.radius_nm > 0).sum()) > 100


def test_births_follow_the_integrated_hazard():
    seen, expected, variance = 0.0, 0.0, 0.0
    for seed in range(6):
        world = world_with(seed)
        world.advance_to(400.0)
        seen += float(((world.radius_nm > 0) | world.spent).sum())
        parameters = draw(seed)
        _, activity, _ = sites(seed, parameters)
        chance = 1 - np.exp(-parameters.births_per_site / 600.0 * activity * driven(400.0))
        expected += float(chance.sum())
        variance += float((chance * (1 - chance)).sum())
    assert abs(seen - expected) < 4 * math.sqrt(variance)


def test_merging_conserves_volume_and_centre_of_mass():
    world = world_with(0)
    world.set_point.zero_()
    pair = [3, 8]
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


def test_beam_speeds_growth_by_its_coupling():
    # An even dose rate over the whole map: after some lives of a radical its level is the dose rate in reference units.
    world, level = world_with(5), 0.5
    half = growth.EXTENT_NM / 2 + 2 * growth.MARGIN_NM
    rate_e_per_s = level * radiolysis.REFERENCE_E_PER_A2_S * (20 * half) ** 2
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
    lit, dark = world_with(7), world_with(7)
    scan(lit, 120.0, 1e7)
    dark.advance_to(120.0)
    distance = dark.position_nm[0].norm(dim=1)
    near, far = distance < 150.0, distance > 1500.0
    # More than ten lengths of a radical away nothing has happened; the same sites bear at the same time.
    assert torch.equal(lit.radius_nm[0, far] > 0, dark.radius_nm[0, far] > 0)
    assert torch.allclose(lit.radius_nm[0, far], dark.radius_nm[0, far], atol=1e-3)
    assert float((lit.radius_nm[0, near] ** 3).sum()) > 1.05 * float((dark.radius_nm[0, near] ** 3).sum())


def test_the_beam_acts_where_it_falls():
    lit, dark = world_with(7), world_with(7)
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
