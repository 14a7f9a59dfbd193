"""Particles side by side: sizes, neighbours, and maps that say what belongs to which."""

import numpy as np
import pytest

from digital_twin import mosaic
from digital_twin.mosaic import CELL_NM, FINE_NM, HALF_NM, PARTICLES, neighbours, owners, particles, thickness_nm


@pytest.fixture(scope="module")
def placed():
    return particles(3)


@pytest.fixture(scope="module")
def thickness(placed):
    return thickness_nm(placed)


@pytest.fixture(scope="module")
def mapped(placed, thickness):
    size = len(thickness) // 2
    coarse = thickness.reshape(size, 2, size, 2).mean(axis=(1, 3))
    return coarse, *owners(placed, coarse)


def test_sizes_are_those_of_the_sources():
    radii = np.concatenate([particles(seed).radius_nm for seed in range(20)])
    assert 2 * radii.min() >= 50.0
    assert 2 * radii.max() <= 300.0
    assert np.median(radii) == pytest.approx(mosaic.RADIUS_NM, rel=0.03)


def test_neighbours_are_mutual_and_the_nearest_sites():
    index, there = neighbours()
    pairs = {(i, int(j)) for i in range(PARTICLES) for j, real in zip(index[i], there[i], strict=True) if real}
    assert all((j, i) in pairs for i, j in pairs)
    row, column = np.divmod(np.arange(PARTICLES), mosaic.COLUMNS)
    x, y = column + 0.5 * (row % 2), row * np.sqrt(3) / 2
    assert all(np.hypot(x[i] - x[j], y[i] - y[j]) == pytest.approx(1.0) for i, j in pairs)
    assert max(there.sum(axis=1)) == 6


def test_an_ellipse_has_its_volume_and_its_axes(placed):
    alone = int(np.argmax(placed.radius_nm))
    one = mosaic.Particles(*(getattr(placed, name)[[alone]] for name in mosaic.Particles.__dataclass_fields__))
    one.position_nm[:] = (100.0, -300.0)
    one.turn_rad[:] = 0.5
    single = thickness_nm(one)
    # Mean of sqrt(1 - q^2) over q = rho^2 from 0 to 1 is pi / 4.
    volume = np.pi * one.radius_nm[0] ** 2 * mosaic.THICKNESS * one.radius_nm[0] * np.pi / 4
    assert single.sum() * FINE_NM**2 == pytest.approx(volume, rel=0.01)
    axis = (np.arange(len(single)) + 0.5) * FINE_NM - HALF_NM
    x, y = axis[None, :] - 100.0, axis[:, None] + 300.0
    along, across = x * np.cos(0.5) + y * np.sin(0.5), -x * np.sin(0.5) + y * np.cos(0.5)
    ratio = np.sqrt((single * along**2).sum() / (single * across**2).sum())
    assert ratio == pytest.approx(one.aspect[0], rel=0.02)


def test_every_cell_of_a_particle_is_its_own(placed, mapped):
    coarse, owner, _ = mapped
    axis = (np.arange(len(coarse)) + 0.5) * CELL_NM - HALF_NM
    for particle in range(40, 60):
        x, y = placed.position_nm[particle]
        row, column = np.argmin(abs(axis - y)), np.argmin(abs(axis - x))
        assert owner[row, column] == particle


def test_ranks_share_a_particle_out_evenly(mapped):
    coarse, owner, rank = mapped
    for particle in range(60, 80):
        own = owner == particle
        share, before = coarse[own] / coarse[own].sum(), rank[own]
        assert (share * before).sum() == pytest.approx(0.5, abs=0.01)
        assert share[before < 0.25].sum() == pytest.approx(0.25, abs=0.08)


def test_the_wave_goes_where_it_says(placed, mapped):
    coarse, owner, rank = mapped
    axis = (np.arange(len(coarse)) + 0.5) * CELL_NM - HALF_NM
    for particle in range(60, 80):
        own = (owner == particle) & (coarse > 0)
        row, column = np.nonzero(own)
        early, late = rank[own] < 0.3, rank[own] > 0.7
        step = [axis[at][late].mean() - axis[at][early].mean() for at in (column, row)]
        direction = np.array([np.cos(placed.wave_rad[particle]), np.sin(placed.wave_rad[particle])])
        # Not exactly: the outline is longer one way than the other.
        assert step @ direction > 0.6 * np.hypot(*step)


def test_about_half_of_the_film_is_covered(thickness):
    assert 0.45 < (thickness > 0).mean() < 0.75


def test_seeds_differ():
    assert not np.array_equal(particles(1).position_nm, particles(2).position_nm)
    assert np.array_equal(particles(1).threshold, particles(1).threshold)
