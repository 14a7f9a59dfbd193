"""The grain of amorphous films: its spectrum, and that it stays where it is."""

import itertools
import math

import numpy as np
import pytest
import torch

from digital_twin.lobato import factor_nm
from digital_twin.materials import Material, POTENTIAL_V_nm2
from digital_twin.potential import finest_per_nm
from digital_twin.specimen import Grid
from digital_twin.speckle import speckle_V_nm

CARBON = Material("carbon", 100.0, 2.0, ((6, 1),), 24.0, 10.0)


def shifted(grid, x_nm, y_nm):
    return Grid(grid.origin_nm + np.array([x_nm, y_nm]), grid.across_nm, grid.down_nm, grid.columns)


def film(grid, seed=1, nm=10.0):
    return speckle_V_nm([grid], [seed], CARBON, torch.full((1, len(grid.origin_nm), grid.columns), nm))[0].numpy()


def test_spectrum_is_that_of_independent_atoms(square_grid):
    # Rings of equal width from a sixteenth of the finest frequency to all of it, over four pieces of film.
    grid = square_grid(256, 0.06)
    edges = np.linspace(1 / 16, 0.8, 6) * finest_per_nm(grid)
    g = np.fft.fftfreq(256, 0.06)
    size = np.hypot(g[:, None], g)
    window = np.hanning(256)[:, None] * np.hanning(256)
    power = np.mean([np.abs(np.fft.fft2(window * film(shifted(grid, 40.0 * i, 0.0)))) ** 2 for i in range(4)], axis=0)
    power *= 0.06**2 / (window**2).sum()
    for low, high in itertools.pairwise(edges):
        ring = (size > low) & (size < high)
        expected = 1000.0 * (POTENTIAL_V_nm2 * factor_nm(6, size[ring])) ** 2
        expected *= np.exp(-4 * (math.pi * 0.008 * size[ring]) ** 2)
        assert power[ring].mean() == pytest.approx(expected.mean(), rel=0.12)


def test_the_same_place_has_the_same_grain(square_grid):
    grid = square_grid(64, 0.06)
    here, there = film(grid), film(shifted(grid, 0.6, 0.12))
    assert np.abs(here[2:, 10:] - there[:-2, :-10]).max() < 1e-3 * np.abs(here).max()
    assert np.corrcoef(here.ravel(), there.ravel())[0, 1] < 0.5


def test_a_coarser_scan_sees_the_same_film_without_its_fine_grain(square_grid):
    fine, coarse = film(square_grid(256, 0.05)), film(square_grid(64, 0.2))
    g = np.fft.fftfreq(256, 0.05)
    low = np.fft.fft2(np.pad(fine, 0)) * (np.hypot(g[:, None], g) <= 2.5)
    seen = np.fft.ifft2(low).real[::4, ::4]
    inner = (slice(8, -8), slice(8, -8))
    assert np.corrcoef(seen[inner].ravel(), coarse[inner].ravel())[0, 1] > 0.9
    assert coarse.std() < fine.std()


def test_seeds_lay_the_film_differently_and_thickness_counts_as_its_root(square_grid):
    grid = square_grid(128, 0.06)
    assert abs(np.corrcoef(film(grid, 1).ravel(), film(grid, 2).ravel())[0, 1]) < 0.1
    assert film(grid, nm=40.0) == pytest.approx(2 * film(grid, nm=10.0), rel=1e-6)


def test_worlds_with_scans_of_different_pixels_are_those_worlds_alone(square_grid):
    grids = [square_grid(32, 0.05), square_grid(32, 3.0)]
    both = speckle_V_nm(grids, [3, 4], CARBON, torch.ones(2, 32, 32))
    assert np.array_equal(both[0].numpy(), film(grids[0], 3, 1.0))
    assert np.array_equal(both[1].numpy(), film(grids[1], 4, 1.0))
    assert torch.isfinite(both).all()


def test_negative_thickness_is_refused(square_grid):
    with pytest.raises(ValueError, match="a thickness is -1 nm"):
        film(square_grid(8, 0.1), nm=-1.0)
