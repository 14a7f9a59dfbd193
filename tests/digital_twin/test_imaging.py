"""Images and spectrum images of a specimen that is known."""

import numpy as np
import pytest
import torch

from digital_twin.detectors import Column, Spectrometer, haadf_fraction
from digital_twin.imaging import expected_haadf, expected_spectra, widened
from digital_twin.optics import Aberrations
from digital_twin.specimen import Grid

COLUMN = Column()


def seen(specimen, grid: Grid, aberrations: Aberrations) -> np.ndarray:
    """The image of one scan."""
    return expected_haadf(specimen, [grid], COLUMN, [aberrations])[0].numpy()


def test_widening_adds_pixels_around_the_same_scan(square_grid):
    grid = square_grid(16, 2.0)
    wide = widened(grid, 3)
    assert len(wide.origin_nm) == wide.columns == 22
    assert wide.origin_nm[3] + 3 * wide.across_nm == pytest.approx(grid.origin_nm[0])
    assert wide.origin_nm[18] + 3 * wide.across_nm == pytest.approx(grid.origin_nm[15])


def test_a_sharp_probe_shows_the_projection(square_grid, make_balls):
    balls, grid = make_balls([(30.0, 34.0)], 12.0), square_grid(64, 1.0)
    image = seen(balls, grid, Aberrations())
    plain = haadf_fraction(balls.project([grid]), COLUMN)[0].numpy()
    assert image.shape == (64, 64)
    assert np.abs(image - plain).max() < 0.1 * np.ptp(plain)
    assert np.corrcoef(image.ravel(), plain.ravel())[0, 1] > 0.999


def test_blur_moves_no_signal_in_or_out(square_grid, make_balls):
    balls, grid = make_balls([(32.0, 32.0)], 8.0), square_grid(64, 1.0)
    sharp, soft = (seen(balls, grid, Aberrations(C10_nm=c)) for c in (0.0, 600.0))
    assert soft.max() < 0.9 * sharp.max()
    assert soft.sum() == pytest.approx(sharp.sum(), rel=2e-3)


def test_what_lies_outside_the_field_blurs_into_it(square_grid, make_balls):
    balls, grid = make_balls([(-5.0, 32.0)], 4.0), square_grid(64, 1.0)
    sharp, soft = (seen(balls, grid, Aberrations(C10_nm=c)) for c in (0.0, 1000.0))
    assert np.ptp(sharp) < 0.01 * sharp.mean()
    assert soft[32, 2] > 1.02 * soft[32, 60]


def test_astigmatism_turns_with_the_sign_of_defocus(square_grid, make_balls):
    balls, grid = make_balls([(32.0, 32.0)], 2.0), square_grid(64, 1.0)

    def widths(C10_nm):
        image = seen(balls, grid, Aberrations(C10_nm=C10_nm, C12_nm=150.0))
        bright = image - image.min()
        axis = np.arange(64) - 32.0
        return (bright.sum(axis=0) @ axis**2, bright.sum(axis=1) @ axis**2)

    x_under, y_under = widths(-300.0)
    x_over, y_over = widths(300.0)
    # C10 + C12 acts along x and C10 - C12 along y.
    assert x_under < y_under
    assert x_over > y_over


def test_spectra_hold_the_mean_copper_under_a_pixel(make_balls):
    spectrometer = Spectrometer(COLUMN)
    balls = make_balls([(24.0, 24.0)], 10.0)
    origin = np.array([[8.0, 8.0], [8.0, 40.0]])
    grid = Grid(origin, np.array([32.0, 0.0]), np.array([0.0, 32.0]), 2)
    # The sphere lies in the corner where the four pixels of 32 nm meet: a quarter of its volume each.
    shares = expected_spectra(balls, [grid], spectrometer)[0].numpy()
    assert shares.shape == (2, 2, spectrometer.axis_eV.size)
    mean_nm = 4 / 3 * np.pi * 10.0**3 / 4 / 32.0**2
    expected = spectrometer.probabilities(
        torch.tensor([mean_nm, 0.0, 100.0 - mean_nm, 0.0], dtype=torch.float64)
    ).numpy()
    for spectrum in shares.reshape(4, -1):
        assert spectrum == pytest.approx(expected, rel=0.01, abs=1e-9)
