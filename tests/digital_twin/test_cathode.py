"""Kinetics of the cathode against closed forms."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from digital_twin import cathode
from digital_twin.cathode import REFERENCE_K, REFERENCE_V, Cathode, draw, drive
from digital_twin.mosaic import COLUMNS, PARTICLES, RADIUS_NM, neighbours


def driven(*seeds) -> Cathode:
    """Cathodes under a drive that has settled at its reference."""
    made = Cathode(seeds)
    made.drive = made.set_point = drive(REFERENCE_V, REFERENCE_K)
    return made


def test_the_drive_is_one_at_the_reference_and_never_negative():
    assert drive(REFERENCE_V, REFERENCE_K) == 1.0
    assert drive(0.0, REFERENCE_K) == drive(-0.3, REFERENCE_K) == 0.0
    assert drive(5.0, REFERENCE_K) == drive(cathode.MOST_V, REFERENCE_K)
    assert drive(REFERENCE_V, 0.0) == 0.0


def test_small_overpotentials_drive_in_proportion_and_large_ones_by_tafel():
    assert drive(2e-4, REFERENCE_K) / drive(1e-4, REFERENCE_K) == pytest.approx(2.0, rel=1e-4)
    decade = math.log(drive(0.19, REFERENCE_K) / drive(0.17, REFERENCE_K)) / 0.02
    assert decade == pytest.approx(96485.0 / (2 * 8.314 * 298.0), rel=5e-3)


def test_arrhenius_with_the_activation_energy_of_the_source():
    slope = math.log(drive(0.05, 318.0) / drive(0.05, 298.0)) / (1 / 298.0 - 1 / 318.0)
    assert slope * 8.314 == pytest.approx(40e3)


def test_the_drive_lags():
    lagging = Cathode([0])
    lagging.set_point = 1.0
    lagging.advance_to(cathode.LAG_S)
    assert lagging.drive == pytest.approx(1 - math.exp(-1))


def test_a_particle_is_converted_as_first_order_kinetics_say():
    one = driven(4)
    one.awake[:] = True
    one.advance_to(50.0)
    surface = RADIUS_NM / one.placed[0].radius_nm
    expected = 1 - np.exp(-draw(4).conversion_per_s * surface * 50.0)
    assert one.converted[0].numpy() == pytest.approx(expected)


def test_without_contact_particles_wake_at_their_rate():
    seeds = range(20)
    apart = driven(*seeds)
    apart._touching.zero_()
    apart.advance_to(600.0)
    surface = np.stack([RADIUS_NM / each.radius_nm for each in apart.placed])
    rate = np.array([[draw(seed).waking_per_s] for seed in seeds])
    chance = 1 - np.exp(-rate * surface * 600.0)
    seen, sd = float(apart.awake.sum()), math.sqrt((chance * (1 - chance)).sum())
    assert abs(seen - chance.sum()) < 4 * sd


def test_a_row_of_particles_falls_like_dominoes():
    # Each wakes the next: the mean wait is the integral of exp(-S (t - (1 - exp(-k t)) / k)).
    seeds = range(16)
    row = driven(*seeds)
    row._touching.zero_()
    left = torch.from_numpy(neighbours()[0][:, 0])
    row._index[:, 0] = left
    row._touching[:, 1:COLUMNS, 0] = 1.0
    for rate, value in (("_waking", 0.0), ("_spreading", 0.05), ("_conversion", 0.1)):
        getattr(row, rate).fill_(value)
    row.awake[:, 0] = True
    asleep = torch.zeros(len(seeds), COLUMNS)
    while not row.awake[:, :COLUMNS].all():
        row.advance_to(row.clock_s + 1.0)
        asleep += ~row.awake[:, :COLUMNS]
    t = np.arange(0.0, 2000.0, 0.05) + 0.025
    wait = 0.05 * np.exp(-0.05 * (t - (1 - np.exp(-0.1 * t)) / 0.1)).sum()
    waits = (asleep[:, 1:] - asleep[:, :-1]).numpy()
    assert waits.mean() == pytest.approx(wait, rel=4 * waits.std() / wait / math.sqrt(waits.size))
    assert not row.awake[:, COLUMNS:].any()


def test_only_what_touches_wakes_its_neighbour():
    together = driven(6)
    index, there = neighbours()
    placed = together.placed[0]
    for i in range(0, PARTICLES, 7):
        for slot in range(6):
            j = index[i, slot]
            gap = np.linalg.norm(placed.position_nm[i] - placed.position_nm[j])
            touch = there[i, slot] and gap <= cathode.CONTACT * (placed.radius_nm[i] + placed.radius_nm[j])
            assert bool(together._touching[0, i, slot]) == bool(touch)
    assert 2.0 < float(together._touching.sum()) / PARTICLES < 5.0


def test_neighbours_make_clusters():
    spread = driven(*range(30, 40))
    spread.advance_to(300.0)
    index = torch.from_numpy(neighbours()[0])
    converted = (spread.converted > 0.5).double()
    mean = converted.mean(dim=1, keepdim=True)
    around = (converted[:, index] * spread._touching).sum(-1) / spread._touching.sum(-1).clamp(min=1)
    inside = (around * converted).sum() / converted.sum()
    assert float(inside) > 1.5 * float(mean.mean())


def test_nothing_comes_back():
    one = driven(7)
    one.advance_to(300.0)
    before = one.converted.clone()
    one.set_point = drive(-0.2, REFERENCE_K)
    one.advance_to(600.0)
    assert (one.converted >= before).all()


def test_the_strongest_drive_keeps_everything_finite():
    rushed = Cathode([8])
    rushed.set_point = drive(1e3, 1e4)
    rushed.advance_to(60.0)
    assert torch.isfinite(rushed.converted).all()
    assert float(rushed.converted.max()) <= 1.0


def test_batches_and_steps_do_not_matter():
    together, often = driven(1, 2, 3), driven(2)
    together.advance_to(200.0)
    for clock_s in np.arange(0.0, 200.01, 0.3):
        often.advance_to(float(clock_s))
    often.advance_to(200.0)
    assert torch.equal(together.converted[1], often.converted[0])
    assert draw(1) != draw(2)


def test_an_episode_is_worth_watching():
    watched = driven(*range(200, 216))
    shares = []
    for clock_s in (150.0, 300.0, 450.0, 600.0):
        watched.advance_to(clock_s)
        shares.append(float(watched.converted.mean()))
    assert shares[0] < 0.15
    assert 0.4 < shares[-1] < 0.9
    assert all(later > before + 0.03 for before, later in pairwise(shares))
