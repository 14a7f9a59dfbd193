"""BF and ABF in all orders: beside whole patterns, beside linear transfer, and what they show in focus."""

import numpy as np
import pytest
import torch

from digital_twin.bright_field import bright_field
from digital_twin.optics import Aberrations
from digital_twin.phase_contrast import direct_share, margin_pixels, phase_contrast
from digital_twin.potential import draw_atoms
from digital_twin.waves import Probe, annulus, cbed, collected, transmission

PROBE = Probe(source_fwhm_nm=0.0, energy_spread_eV=0.0)
ASKEW = Aberrations(-8.0, 3.0, 0.4, 150.0, 1.1, 100.0, -0.5, 5.0)
BF, ABF = (0.0, 10.0), (10.0, 20.0)
PIXEL_nm = 0.03


def column_of_atoms(grid, z, number):
    scan, place = torch.zeros(number, dtype=torch.long), torch.full((number, 2), 1.92, dtype=torch.float64)
    return draw_atoms([grid], scan, place, torch.full((number,), z))


@pytest.mark.parametrize("detector", [BF, ABF])
@pytest.mark.parametrize("probe", [PROBE, Probe(source_fwhm_nm=0.0)])
def test_it_is_what_a_detector_counts_of_whole_patterns(square_grid, detector, probe):
    size = 128
    wave = transmission(column_of_atoms(square_grid(size, PIXEL_nm), 42, 3), 200.0)
    places = torch.tensor([[[64.0, 64.0], [66.0, 61.0], [70.0, 64.0], [64.0, 80.0]]], dtype=torch.float64)
    wide = torch.nn.functional.pad(wave[None], (64, 64, 64, 64), mode="circular")[0]
    patterns = cbed(wide, PIXEL_nm, places + 64, size, [ASKEW], probe)[0]
    whole = collected(patterns, annulus(size, PIXEL_nm, 200.0, *detector))
    empty = cbed(torch.ones_like(wide), PIXEL_nm, places[:, :1] + 64, size, [ASKEW], probe)[0, 0]
    whole *= direct_share(detector, probe) / collected(empty, annulus(size, PIXEL_nm, 200.0, *detector))
    image = bright_field(wave, PIXEL_nm, [ASKEW], probe, detector)[0]
    ours = image[places[0, :, 0].long(), places[0, :, 1].long()]
    assert (whole - direct_share(detector, probe)).abs().max() > 0.05
    assert (ours - whole).abs().max() < 0.015


@pytest.mark.parametrize("detector", [BF, ABF])
def test_nothing_is_what_the_detector_sees_of_the_beam(detector):
    image = bright_field(torch.ones(2, 96, 96, dtype=torch.complex64), PIXEL_nm, [ASKEW, ASKEW], Probe(), detector)
    assert image.shape == (2, 96, 96)
    assert image.numpy() == pytest.approx(direct_share(detector, PROBE), rel=1e-4)


def test_weak_objects_look_as_by_linear_transfer():
    size, waves = 128, 8
    x = 2 * np.pi * waves / size * torch.arange(size, dtype=torch.float64)
    volts = 0.3 * torch.cos(x).expand(1, size, size)
    given = Aberrations(C10_nm=-15.0)
    exact = bright_field(transmission(volts, 200.0), PIXEL_nm, [given], PROBE, BF)[0].double()
    margin = margin_pixels(PIXEL_nm, given, PROBE)
    around = torch.nn.functional.pad(volts[None], (margin,) * 4, mode="circular")[0]
    linear = phase_contrast(around, PIXEL_nm, given, PROBE, BF)[0]
    contrast = linear - linear.mean()
    assert (exact - exact.mean() - contrast).abs().max() < 0.1 * contrast.abs().max()


@pytest.mark.parametrize("z", [8, 38])
def test_columns_are_dark_in_abf_in_focus(square_grid, z):
    grid = square_grid(128, PIXEL_nm)
    wave = transmission(column_of_atoms(grid, z, 5), 200.0)
    image = bright_field(wave, PIXEL_nm, [Aberrations()], PROBE, ABF)[0]
    assert image.argmin().item() == 64 * 128 + 64
    assert image.min() < image.median() - 0.02


def test_a_batch_is_its_images_one_by_one(square_grid):
    grid = square_grid(96, PIXEL_nm)
    waves = transmission(torch.cat([column_of_atoms(grid, 42, 1), column_of_atoms(grid, 8, 1)]), 200.0)
    both = bright_field(waves, PIXEL_nm, [ASKEW, Aberrations()], Probe(), ABF)
    assert torch.equal(both[1], bright_field(waves[1:], PIXEL_nm, [Aberrations()], Probe(), ABF)[0])


def test_the_source_blurs(square_grid):
    wave = transmission(column_of_atoms(square_grid(128, PIXEL_nm), 42, 3), 200.0)
    sharp, soft = (bright_field(wave, PIXEL_nm, [ASKEW], Probe(source_fwhm_nm=d), BF)[0] for d in (0.0, 0.15))
    assert soft.std() < 0.9 * sharp.std()
    assert soft.mean().item() == pytest.approx(sharp.mean().item(), rel=1e-4)


def test_bad_input_is_refused():
    waves = torch.ones(1, 64, 64, dtype=torch.complex64)
    with pytest.raises(ValueError, match=r"twice semi_angle_mrad is 40 mrad, but pixels of 0\.05 nm"):
        bright_field(waves, 0.05, [ASKEW], PROBE, BF)
    for detector in ((10.0, 10.0), (-1.0, 10.0), (10.0, 21.0)):
        with pytest.raises(ValueError, match="angles must ascend from 0 to 20 mrad"):
            bright_field(waves, PIXEL_nm, [ASKEW], PROBE, detector)
