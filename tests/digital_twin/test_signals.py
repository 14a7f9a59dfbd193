"""All signals come from one specimen state, and each electron goes to one place."""

import math

import numpy as np
import pytest
import torch

from digital_twin.detectors import Column, elastic_per_nm
from digital_twin.materials import COPPER, WATER
from digital_twin.optics import Aberrations
from digital_twin.signals import Look, Signals
from digital_twin.specimen import Grid, Still

COLUMN = Column(pattern_pixels={"CBED": 64, "4DSTEM": 32})
FOCUSED = Aberrations()
IMAGES = ("HAADF", "ABF", "BF", "HRTEM")


class Film(Still):
    """Even layers of copper and water."""

    extent_nm = 1000.0
    materials = (COPPER, WATER)
    device = torch.device("cpu")

    def __init__(self, copper_nm: float, water_nm: float) -> None:
        self.layers = torch.tensor([copper_nm, water_nm], dtype=torch.float64)

    def project(self, grids):
        shape = len(grids), 2, len(grids[0].origin_nm), grids[0].columns
        return self.layers[None, :, None, None].expand(shape)


def kept(film: Film, within_mrad: float) -> float:
    return math.exp(-float(film.layers.numpy() @ elastic_per_nm(film.materials, COLUMN, within_mrad, 1000.0)))


def signal(film, mode, grid, aberrations=FOCUSED, column=COLUMN):
    return Signals(film, column).expected(mode, Look([grid], [aberrations]))[0]


def test_every_electron_goes_to_one_place(square_grid):
    film, grid = Film(15.0, 100.0), square_grid(8, 1.0)
    haadf, abf, bf = (signal(film, mode, grid) for mode in ("HAADF", "ABF", "BF"))
    # The cone holds what no atom scatters out of it; the annulus is filled first, the rest is lost beside it.
    assert (abf + bf).numpy() == pytest.approx(kept(film, COLUMN.convergence_mrad), rel=1e-6)
    lost = 1 - haadf - abf - bf
    rate = elastic_per_nm(film.materials, COLUMN, COLUMN.haadf_inner_mrad, COLUMN.haadf_outer_mrad)
    expected = math.exp(-float(film.layers.numpy() @ rate)) - kept(film, COLUMN.convergence_mrad)
    assert lost.numpy() == pytest.approx(expected, rel=1e-6)
    assert expected > 0.0
    # Without matter all of it is in the cone, three quarters of its area in the outer half.
    assert signal(Film(0.0, 0.0), "ABF", grid).numpy() == pytest.approx(0.75)
    assert signal(Film(0.0, 0.0), "HAADF", grid).abs().max() == 0.0


def test_broad_beam_keeps_what_the_aperture_passes(square_grid):
    assert signal(Film(0.0, 0.0), "HRTEM", square_grid(32, 0.1)).numpy() == pytest.approx(1.0, abs=1e-5)
    film = Film(5.0, 50.0)
    fine, coarse = (signal(film, "HRTEM", square_grid(32, pixel)).mean().item() for pixel in (0.05, 2.0))
    # However fine the pixels are, it is the aperture that tells what is lost.
    assert fine == pytest.approx(kept(film, COLUMN.objective_mrad), rel=1e-3)
    assert coarse == pytest.approx(kept(film, COLUMN.objective_mrad), rel=1e-3)


@pytest.mark.parametrize("mode", ["CBED", "4DSTEM"])
def test_patterns_hold_what_stays_within_the_camera(square_grid, mode):
    film = Film(4.0, 20.0)
    patterns = signal(film, mode, square_grid(2, 3.0), Aberrations(C10_nm=100.0))
    size = COLUMN.pattern_pixels[mode]
    assert patterns.shape == (2, 2, size, size)
    assert patterns.sum(dim=(-2, -1)).numpy() == pytest.approx(kept(film, COLUMN.pattern_mrad), rel=1e-4)
    # An even film deflects nothing: the disc of the aperture, in the middle, is all there is.
    angle = COLUMN.pattern_mrad * (2 * np.arange(size) / size - 1)
    radius = np.hypot(angle[:, None], angle)
    pixel = 2 * COLUMN.pattern_mrad / size
    inside = patterns[0, 0].numpy()[radius <= COLUMN.convergence_mrad + pixel].sum()
    assert inside == pytest.approx(kept(film, COLUMN.pattern_mrad), rel=1e-4)


def test_virtual_detectors_on_patterns_see_the_bright_field_images(square_grid, make_balls):
    balls = make_balls([(6.0, 6.0)], 3.0)
    grid = square_grid(6, 2.0)
    column = Column(pattern_mrad=15.0)
    patterns, bright = (signal(balls, mode, grid, column=column) for mode in ("CBED", "BF"))
    angle = column.pattern_mrad * (2 * np.arange(128) / 128 - 1)
    seen = torch.from_numpy(np.hypot(angle[:, None], angle) < column.convergence_mrad / 2)
    virtual = (patterns * seen).sum(dim=(-2, -1))
    # The image is linear in the phase, and a camera's pixels cut the disc into squares: both know the particle.
    away, on = virtual[0, 0].item(), virtual[3, 3].item()
    assert on < 0.97 * away
    assert bright[3, 3].item() < 0.97 * bright[0, 0].item()
    assert away == pytest.approx(bright[0, 0].item(), rel=0.06)


@pytest.mark.parametrize("mode", [*IMAGES, "EELS", "EDS", "CBED"])
def test_a_batch_is_its_scans_one_by_one(mode):
    from digital_twin.liquid_cell import LiquidCell

    seeds, across, down = (3, 4), np.array([2.0, 0.0]), np.array([0.0, 2.0])
    grids = [Grid(np.array([[x, 2.0 * row] for row in range(4)]), across, down, 4) for x in (-20.0, 50.0)]
    seen = [Aberrations(C10_nm=nm, C30_um=100.0) for nm in (-300.0, 200.0)]
    together = Signals(LiquidCell(*seeds), COLUMN).expected(mode, Look(grids, seen))
    for n, seed in enumerate(seeds):
        alone = Signals(LiquidCell(seed), COLUMN).expected(mode, Look(grids[n : n + 1], seen[n : n + 1]))
        assert together[n].numpy() == pytest.approx(alone[0].numpy(), rel=1e-4, abs=1e-7)
        assert torch.isfinite(together).all()
