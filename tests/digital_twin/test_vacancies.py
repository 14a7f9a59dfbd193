"""Vacancies against rates in closed form: hopping, gathering, knock-on, and what the beam leaves alone."""

import math

import numpy as np
import pytest
import torch

from digital_twin import vacancies
from digital_twin.growth import BOLTZMANN_eV_PER_K
from digital_twin.knock_on import thermal_cross_section_barn, velocity2_m2_per_s2
from digital_twin.monolayer import LATTICE_NM, NOTHING, PAIRS, SULFUR
from digital_twin.vacancies import Vacancies, uniform

BOX = (-6.0, 6.0, -6.0, 6.0)
LEFT = (-12.0, -2.0, -12.0, 12.0)


def hot(*seeds: int, kelvin: float = 473.0) -> Vacancies:
    return Vacancies(seeds, 80.0, kelvin)


def inside(worlds: Vacancies, world: int, box) -> torch.Tensor:
    x, y = worlds.atoms.pair_nm[world].unbind(-1)
    return (x >= box[0]) & (x < box[1]) & (y >= box[2]) & (y < box[3])


def assert_lists_are_true(worlds: Vacancies) -> None:
    for sites, occupants in zip(worlds.site, worlds.atoms.occupant, strict=True):
        listed = sites[sites >= 0].tolist()
        assert sorted(listed) == (occupants == NOTHING).nonzero()[:, 0].tolist()


def test_keyed_numbers_are_uniform_and_differ_by_key_and_count():
    keys = torch.arange(200)[:, None] * 2**40 - 2**45
    drawn = uniform(keys, torch.arange(500)[None])
    assert float(drawn.mean()) == pytest.approx(0.5, abs=4 / math.sqrt(12 * drawn.numel()))
    assert float(drawn.var()) == pytest.approx(1 / 12, rel=0.01)
    assert len(set(drawn.flatten().tolist())) == drawn.numel()
    assert abs(float(torch.corrcoef(drawn[:2])[0, 1])) < 0.2
    assert float(drawn.min()) > 0.0
    assert float(drawn.max()) < 1.0


def test_the_list_says_where_vacancies_are_whatever_happens():
    worlds = hot(1, 2, kelvin=560.0)
    assert_lists_are_true(worlds)
    for second in range(1, 15):
        worlds.expose(second % 2, BOX, 6e9)
        worlds.advance_to(float(second))
    assert_lists_are_true(worlds)
    assert worlds.site.shape[1] > hot(1, 2).site.shape[1]


def test_vacancies_hop_as_often_as_arrhenius_says(monkeypatch):
    monkeypatch.setattr(vacancies, "BINDING_eV", 0.0)
    for kelvin in (460.0, 480.0):
        worlds = hot(*range(4), kelvin=kelvin)
        worlds.advance_to(40.0)
        there = worlds.site >= 0
        barriers = np.array([each.barrier_eV for each in worlds.draws])
        per_s = 1e13 * np.exp(-barriers / (BOLTZMANN_eV_PER_K * kelvin))
        for world in range(4):
            expected = 40.0 * per_s[world] * int(there[world].sum())
            tried = int(worlds._hops[world].sum())
            assert abs(tried - expected) < 4 * math.sqrt(expected)


def test_vacancies_diffuse_by_the_lattice_constant_squared_a_hop(monkeypatch):
    monkeypatch.setattr(vacancies, "BINDING_eV", 0.0)
    worlds = hot(*range(10))
    before = worlds.site.clone()
    worlds.advance_to(60.0)
    squares, hops = [], []
    for world in range(10):
        place = worlds.atoms.pair_nm[world]
        start, end = before[world], worlds.site[world]
        near = (start >= 0) & (place[start % PAIRS].abs().amax(-1) < 14.0)
        squares.append(((place[end[near] % PAIRS] - place[start[near] % PAIRS]) ** 2).sum(-1))
        hops.append(worlds._hops[world][near])
    square, hop = torch.cat(squares), torch.cat(hops).double()
    # A hop in a hundred or so is blocked by another vacancy; the square displacement has an sd of about its mean.
    assert float(square.mean()) == pytest.approx(LATTICE_NM**2 * float(hop.mean()), rel=4 / math.sqrt(len(square)))
    assert len(square) > 800


def test_a_vacancy_beside_another_is_held_back_by_their_binding():
    worlds = hot(1)
    worlds._threshold[:] = math.inf
    worlds._bonds[0, :3] = torch.tensor([0.0, 1.0, 2.0])
    worlds.advance_to(1.0)
    alone, one, two = worlds._hazard[0, :3].tolist()
    factor = math.exp(-vacancies.BINDING_eV / (BOLTZMANN_eV_PER_K * 473.0))
    assert one / alone == pytest.approx(factor)
    assert two / alone == pytest.approx(factor**2)
    assert alone == pytest.approx(float(worlds.hops_per_s(473.0)[0]))


def test_hopping_keeps_every_atom():
    worlds = hot(3, 4)
    before = [torch.bincount(each.long(), minlength=4) for each in worlds.atoms.occupant]
    worlds.advance_to(120.0)
    after = [torch.bincount(each.long(), minlength=4) for each in worlds.atoms.occupant]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    layers = worlds.atoms.occupant.view(2, 2, PAIRS)
    assert torch.equal((layers == NOTHING).sum(-1), (hot(3, 4).atoms.occupant.view(2, 2, PAIRS) == NOTHING).sum(-1))


def test_as_many_atoms_are_knocked_out_as_cross_section_times_fluence():
    electrons, counted, expected = 4e11, 0, 0.0
    for seed in range(12):
        worlds = hot(seed)
        exit_side = worlds.atoms.occupant[0, PAIRS:] == SULFUR
        targets = int((exit_side & inside(worlds, 0, BOX)).sum())
        barn = worlds.draws[0].coupling * thermal_cross_section_barn(
            16, 32.06, 80.0, 6.9, velocity2_m2_per_s2(32.06, 600.0, 473.0)
        )
        worlds.expose(0, BOX, electrons)
        counted += int((exit_side & (worlds.atoms.occupant[0, PAIRS:] == NOTHING)).sum())
        expected += targets * -math.expm1(-1e-8 * barn * electrons / 120.0**2)
    assert expected > 300
    assert abs(counted - expected) < 4 * math.sqrt(expected)


def test_the_same_dose_in_many_parts_does_the_same():
    whole, parts = hot(5), hot(5)
    whole.expose(0, BOX, 4e11)
    for _ in range(40):
        parts.expose(0, BOX, 1e10)
    assert torch.equal(whole.atoms.occupant, parts.atoms.occupant)


def test_damage_is_local_and_stays():
    worlds, dark = hot(6), hot(6)
    worlds.expose(0, BOX, 1e12)
    changed = worlds.atoms.occupant[0] != dark.atoms.occupant[0]
    assert bool(changed.any())
    assert not bool((changed[PAIRS:] & ~inside(worlds, 0, BOX)).any())
    assert not bool(changed[:PAIRS].any())
    lost = int((worlds.atoms.occupant == NOTHING).sum())
    worlds.advance_to(60.0)
    assert int((worlds.atoms.occupant == NOTHING).sum()) == lost


def test_vacancies_far_from_the_beam_go_the_way_they_go_without():
    lit, dark = hot(7), hot(7)
    for second in range(1, 60):
        lit.expose(0, LEFT, 1e9)
        lit.advance_to(float(second))
    dark.advance_to(59.0)
    count = int((dark.site[0] >= 0).sum())
    start = hot(7)
    far = start.atoms.pair_nm[0][start.site[0, :count] % PAIRS][:, 0] > 2.0
    same = lit.site[0, :count][far] == dark.site[0, :count][far]
    assert float(same.double().mean()) > 0.97
    assert not torch.equal(lit.site[0, :count][~far], dark.site[0, :count][~far])


def test_the_beam_pushes_vacancies_as_often_as_its_cross_section_says(monkeypatch):
    monkeypatch.setattr(vacancies, "BINDING_eV", 0.0)
    counted, expected = 0, 0.0
    for seed in range(6):
        worlds, dark = hot(seed), hot(seed)
        there = inside(worlds, 0, BOX)[worlds.site[0].clamp(min=0) % PAIRS] & (worlds.site[0] >= 0)
        count = int((worlds.site[0] >= 0).sum())
        worlds.expose(0, BOX, 2e10)
        worlds.advance_to(1.0)
        dark.advance_to(1.0)
        counted += int(worlds._hops[0, :count].sum() - dark._hops[0, :count].sum())
        expected += int(there.sum()) * 1e-8 * worlds.hop_barn(0) * 2e10 / 120.0**2
    assert expected > 100
    assert abs(counted - expected) < 4 * math.sqrt(expected)


def test_at_60_kv_next_to_nothing_is_knocked_out():
    slow = Vacancies([1], 60.0, 300.0)
    assert slow.displacement_barn(0, 300.0) < 1e-3 * hot(1).displacement_barn(0, 300.0)


def test_temperature_lags_and_speeds_everything_up():
    worlds = hot(1)
    worlds.set_point_K = 573.0
    worlds.advance_to(20.0)
    assert worlds.temperature_K == pytest.approx(473.0 + 100.0 * -math.expm1(-1.0))
    assert worlds.displacement_barn(0, 573.0) > worlds.displacement_barn(0, 473.0)
    assert float(worlds.hops_per_s(500.0)[0]) > 3 * float(worlds.hops_per_s(473.0)[0])


@pytest.mark.parametrize("kelvin", [0.0, 5000.0])
def test_no_temperature_breaks_it(kelvin):
    worlds = hot(1, kelvin=kelvin)
    worlds.expose(0, BOX, 1e6)
    worlds.advance_to(3.0)
    assert bool(worlds._hazard.isfinite().all())
    assert_lists_are_true(worlds)


def test_a_batch_is_its_worlds_one_by_one():
    seeds = (4, 11, 9)
    together = hot(*seeds)
    for second in range(1, 25):
        together.expose(1, BOX, 4e9)
        together.advance_to(float(second))
    for n, seed in enumerate(seeds):
        alone = hot(seed)
        for second in range(1, 25):
            if n == 1:
                alone.expose(0, BOX, 4e9)
            alone.advance_to(float(second))
        assert torch.equal(together.atoms.occupant[n], alone.atoms.occupant[0])
