"""Images and spectrum images of a specimen that is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from digital_twin.detectors import Column, Spectrometer, haadf_fraction
from digital_twin.imaging import (
    EXACT,
    Care,
    expected_haadf,
    expected_spectra,
    expected_xrays,
    incoherent,
    planes,
    widened,
)
from digital_twin.liquid_cell import LiquidCell
from digital_twin.optics import Aberrations, depth_of_focus_nm
from digital_twin.specimen import Grid
from digital_twin.xrays import XrayDetector, XraySpectrometer

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
    plain = haadf_fraction(balls.project([grid]), balls.materials, COLUMN)[0].numpy()
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
    spectrometer = Spectrometer(make_balls.materials, COLUMN)
    balls = make_balls([(24.0, 24.0)], 10.0)
    origin = np.array([[8.0, 8.0], [8.0, 40.0]])
    grid = Grid(origin, np.array([32.0, 0.0]), np.array([0.0, 32.0]), 2)
    # The sphere lies in the corner where the four pixels of 32 nm meet: a quarter of its volume each.
    shares = expected_spectra(balls, [grid], spectrometer)[0].numpy()
    assert shares.shape == (2, 2, spectrometer.axis_eV.size)
    mean_nm = 4 / 3 * np.pi * 10.0**3 / 4 / 32.0**2
    expected = spectrometer.probabilities(torch.tensor([mean_nm, 100.0 - mean_nm], dtype=torch.float64)).numpy()
    for spectrum in shares.reshape(4, -1):
        assert spectrum == pytest.approx(expected, rel=0.01, abs=1e-9)


def test_each_row_of_a_spectrum_image_has_its_own_zero_loss(square_grid, make_balls):
    balls, grid = make_balls([(16.0, 16.0)], 8.0), square_grid(4, 8.0)
    spectrometer = Spectrometer(balls.materials, COLUMN)
    rows = torch.tensor([[0.0, 2.0, -3.0, 5.0]], dtype=torch.float64)
    moved = expected_spectra(balls, [grid], spectrometer, rows)[0]
    still = expected_spectra(balls, [grid], spectrometer)[0]
    assert moved[0].numpy() == pytest.approx(still[0].numpy(), abs=1e-15)
    for row, shift in enumerate((0, 2, -3, 5)):
        assert (moved[row].argmax(-1) - still[row].argmax(-1) == shift).all()


def test_x_rays_come_from_where_the_matter_is(square_grid, make_balls):
    balls, grid = make_balls([(16.0, 16.0)], 8.0), square_grid(4, 8.0)
    spectrometer = XraySpectrometer(XrayDetector(), balls.materials, 200.0)
    counts = expected_xrays(balls, [grid], spectrometer)
    copper = counts[..., 795:815].sum(-1)
    assert counts.shape == (1, 4, 4, 2048)
    inside = balls.project([grid])[0, 0]
    above = copper[0] - copper[0].min()
    assert (above / above.sum()).numpy() == pytest.approx((inside / inside.sum()).numpy(), abs=0.02)


def test_a_flat_specimen_is_one_plane(square_grid, make_balls):
    cut = planes(make_balls([(32.0, 32.0)], 8.0), [square_grid(64, 1.0)], COLUMN, [70.0])
    assert [each.tolist() for each in cut.C10_nm] == [[70.0]]


@pytest.mark.parametrize(("pixel_nm", "slope", "C10_nm"), [(2, 1.0, -100), (2, -1.5, 0), (0.25, 1, -9), (1, 0.01, 0)])
def test_planes_hold_the_focus_of_the_field_and_lie_close(square_grid, make_balls, pixel_nm, slope, C10_nm):
    balls, grid = make_balls([(32.0, 32.0)], 8.0, slope), square_grid(128, pixel_nm)
    cut = planes(balls, [grid], COLUMN, [C10_nm])
    (levels,) = cut.C10_nm
    ends = (C10_nm, C10_nm + slope * 127 * pixel_nm)
    assert (levels[0], levels[-1]) == pytest.approx((min(ends), max(ends)))
    assert levels[0] > 0.0 or levels[-1] < 0.0 or 0.0 in levels
    nearest = max(depth_of_focus_nm(200.0, 10.0), pixel_nm / 0.01) / 2
    apart, nearer = np.diff(levels), np.minimum(np.abs(levels[1:]), np.abs(levels[:-1]))
    assert (apart <= np.maximum(nearest, 0.75 * nearer) * 1.001).all()
    # The place of a point between the planes is the place of its C10 between theirs.
    assert np.interp(cut.place[0, 4], np.arange(len(levels)), levels) == pytest.approx(
        C10_nm + slope * pixel_nm * np.linspace(0, 127, 17), abs=abs(slope) * pixel_nm
    )


def test_each_part_of_a_tilted_specimen_has_its_own_focus(square_grid, make_balls):
    grid = square_grid(128, 2.0)
    centres = [(40.0, 128.0), (216.0, 128.0)]
    tilted, flat = make_balls(centres, 10.0, 3.0), make_balls(centres, 10.0)
    image = seen(tilted, grid, Aberrations(C10_nm=-120.0))
    for x_nm, away in ((40.0, 0.0), (216.0, 528.0)):
        # Where the tilted one has this height, it looks as a flat one does that is as far out of focus.
        alone = seen(flat, grid, Aberrations(C10_nm=away))
        near = (slice(40, 88), slice(int(x_nm / 2) - 20, int(x_nm / 2) + 20))
        other = seen(flat, grid, Aberrations(C10_nm=528.0 - away))
        assert np.abs(image - alone)[near].max() < 0.15 * np.abs(image - other)[near].max()
    # Height says where a probe is broad; it neither makes nor takes electrons.
    assert image.sum() == pytest.approx(alone.sum(), rel=1e-4)


def scans(square_grid, pixels: int) -> tuple[list[Grid], list[Aberrations]]:
    """Sixteen scans that differ in place, size and focus."""
    grids, aberrations = [], []
    for n in range(16):
        grid = square_grid(pixels, 1.0 + 0.5 * (n % 3))
        grid.origin_nm[:] += np.array([40.0 * n - 350.0, 25.0 * n - 200.0])
        grids.append(grid)
        aberrations.append(Aberrations(C10_nm=80.0 * n - 700.0, C12_nm=4.0, C21_nm=40.0, C30_um=1200.0))
    return grids, aberrations


def test_sixteen_worlds_at_once_are_the_worlds_one_by_one(square_grid):
    grids, aberrations = scans(square_grid, 48)
    together = LiquidCell(*range(16))
    together.advance_to(300.0)
    images = expected_haadf(together, grids, COLUMN, aberrations)
    spectrometer = Spectrometer(together.materials, COLUMN)
    small, _ = scans(square_grid, 4)
    spectra = expected_spectra(together, small, spectrometer)
    assert images.shape == (16, 48, 48)
    assert spectra.shape == (16, 4, 4, spectrometer.axis_eV.size)
    for n in range(16):
        alone = LiquidCell(n)
        alone.advance_to(300.0)
        # Not to the last bit: transforms of another width round otherwise.
        one = expected_haadf(alone, [grids[n]], COLUMN, [aberrations[n]])[0]
        assert torch.allclose(images[n], one, rtol=0.0, atol=1e-12)
        one = expected_spectra(alone, [small[n]], spectrometer)[0]
        assert torch.allclose(spectra[n], one, rtol=0.0, atol=1e-12)


def test_the_same_scan_gives_the_same_bits(square_grid):
    grids, aberrations = scans(square_grid, 48)
    cell = LiquidCell(*range(16))
    cell.advance_to(200.0)
    first, second = (expected_haadf(cell, grids, COLUMN, aberrations) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_shows_what_the_processor_shows(square_grid):
    grids, aberrations = scans(square_grid, 48)
    small, _ = scans(square_grid, 4)
    images, spectra = [], []
    for device in ("cpu", "cuda"):
        cells = LiquidCell(*range(16), device=device)
        cells.advance_to(300.0)
        images.append(expected_haadf(cells, grids, COLUMN, aberrations).cpu())
        spectra.append(expected_spectra(cells, small, Spectrometer(cells.materials, COLUMN, device)).cpu())
    assert torch.allclose(*images, rtol=0.0, atol=1e-9)
    assert torch.allclose(*spectra, rtol=0.0, atol=1e-9)


@pytest.mark.parametrize(("pixels", "C10_nm"), [(48, -300.0), (96, 900.0)])
def test_float32_is_right_to_a_hundred_thousandth(square_grid, pixels, C10_nm):
    grids, aberrations = scans(square_grid, pixels)
    cells = LiquidCell(*range(16))
    cells.advance_to(300.0)
    aberrations = [replace(each, C10_nm=each.C10_nm + C10_nm) for each in aberrations]
    fine = expected_haadf(cells, grids, COLUMN, aberrations)
    coarse = expected_haadf(cells, grids, COLUMN, aberrations, torch.float32)
    assert coarse.dtype == torch.float32
    assert (fine - coarse).abs().max() < 1e-5 * fine.max()


@pytest.mark.parametrize("C10_nm", [0.0, 90.0, -400.0, 1100.0])
def test_planes_that_come_again_show_the_same_image(square_grid, C10_nm):
    # A window that bulges; of the contrast. It is the blending between planes that differs, a little.
    cell = LiquidCell(3)
    cell.world.position_nm[0, :40] = torch.from_numpy(np.random.default_rng(0).uniform(0.0, 256.0, (40, 2)))
    cell.world.radius_nm[0, :40] = 10.0
    middle = torch.full((1, 1), 128.0, dtype=torch.float64)
    lens = Aberrations(C10_nm=C10_nm - cell.height_nm(middle, middle).item(), C12_nm=4.0, C30_um=1200.0)

    def image(care: Care) -> torch.Tensor:
        def share(matter, pixels_nm):
            return haadf_fraction(matter, cell.materials, COLUMN, pixels_nm)

        return incoherent(cell, [square_grid(64, 4.0)], COLUMN, [lens], share, care)[0]

    exact, quick = image(EXACT), image(Care(focus_parts=4))
    contrast = exact.max() - exact.min()
    assert contrast > 0.05
    assert (quick - exact).square().mean().sqrt() < 2e-3 * contrast
    assert (quick - exact).abs().max() < 2e-2 * contrast


def test_planes_that_come_again_lie_at_multiples(square_grid, make_balls):
    balls, pixel_nm = make_balls([(5.0, 5.0)], 3.0, slope=1.0), 4.0
    cut = planes(balls, [square_grid(64, pixel_nm)], COLUMN, [33.0], focus_parts=4)
    step = pixel_nm / (1e-3 * COLUMN.convergence_mrad) / 2 / 4
    assert cut.C10_nm[0] / step == pytest.approx((cut.C10_nm[0] / step).round())
    assert cut.C10_nm[0][0] <= 33.0
    assert cut.C10_nm[0][-1] >= 33.0 + 63 * pixel_nm
