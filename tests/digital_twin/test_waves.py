"""Waves: electrons are kept, angles and signs are right, and what pixels cannot sample is refused."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from digital_twin import optics
from digital_twin.optics import Aberrations
from digital_twin.waves import (
    Lens,
    Probe,
    angles_mrad,
    annulus,
    cbed,
    centre_of_mass_mrad,
    collected,
    cone,
    hrtem,
    largest_mrad,
    margin_nm,
    pupils,
    transmission,
)

ALL = Aberrations(-60.0, 15.0, 0.4, 400.0, 1.1, 300.0, -0.5, 1200.0)
SHARP = Probe(source_fwhm_nm=0.0, energy_spread_eV=0.0)
OPEN = Lens(energy_spread_eV=0.0, source_angle_mrad=0.0)


def rough(size=64, strength=30.0, batch=1):
    random = torch.Generator().manual_seed(1)
    return strength * torch.randn(batch, size, size, generator=random, dtype=torch.float64)


def middle(size=64):
    return torch.full((1, 1, 2), size / 2, dtype=torch.float64)


def test_transmission_turns_the_phase_by_sigma_v():
    wave = transmission(torch.tensor([0.0, 1.0, 1e4], dtype=torch.float64), 200.0)
    # 7.288e-4 rad / (V A) is 7.288e-3 rad / (V nm).
    assert wave[1].angle().item() == pytest.approx(7.2884e-3, rel=1e-4)
    assert wave.abs().numpy() == pytest.approx(1.0)
    sigma = 10 * optics.interaction_rad_per_V_A(200.0)
    assert wave[2].real.item() == pytest.approx(math.cos(1e4 * sigma), abs=1e-5)


def test_what_is_missed_leaves_the_wave():
    wave = transmission(torch.zeros(2), 200.0, torch.tensor([0.0, 0.3]))
    assert wave.abs().square().numpy() == pytest.approx([1.0, 0.7])
    for wrong in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="missed lies in"):
            transmission(torch.zeros(1), 200.0, torch.tensor([wrong]))


def test_a_potential_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        transmission(torch.tensor([math.inf]), 200.0)


def test_nothing_gives_an_image_of_ones():
    image = hrtem(transmission(torch.zeros(1, 32, 48), 200.0), [0.05], [ALL], Lens(aperture_mrad=15.0))
    assert image.shape == (1, 32, 48)
    assert image.numpy() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("lens", [OPEN, Lens(), Lens(beam_energy_keV=80.0, source_angle_mrad=0.5)])
def test_without_an_aperture_every_electron_arrives(lens):
    image = hrtem(transmission(rough(), lens.beam_energy_keV), [0.03], [ALL], lens)
    assert image.std() > 0.01
    assert image.mean().item() == pytest.approx(1.0, abs=1e-5)


def test_an_aperture_cuts_what_is_scattered_beyond_it():
    wave = transmission(rough(), 200.0)
    power = torch.fft.fft2(wave[0]).abs().square() / 64**4
    angle = 1e3 * optics.wavelength_nm(200.0) * torch.fft.fftfreq(64, 0.03, dtype=torch.float64)
    inside = torch.hypot(angle[:, None], angle) <= 15.0
    image = hrtem(wave, [0.03], [ALL], Lens(aperture_mrad=15.0))
    assert image.mean().item() == pytest.approx(power[inside].sum().item(), rel=1e-5)


def test_envelopes_are_those_of_optics():
    # A weak grating shows its contrast: 2 phi sin(chi) times both envelopes.
    size, pixel, waves = 128, 0.05, 24
    x = torch.arange(size, dtype=torch.float64)
    sigma = 10 * optics.interaction_rad_per_V_A(200.0)
    grating = (0.001 / sigma * torch.cos(2 * math.pi * waves * x / size)).expand(1, size, size)
    round_ones, lens = Aberrations(C10_nm=-40.0, C30_um=1200.0), Lens(chromatic_mm=1.4, source_angle_mrad=0.3)
    image = hrtem(transmission(grating, 200.0), [pixel], [round_ones], lens)
    seen = torch.fft.fft(image[0, 5].double())[waves].real.item() / size
    angle = np.array(optics.wavelength_nm(200.0) * waves / (size * pixel))
    damping = optics.temporal_envelope(angle, lens.focal_spread_nm, 200.0)
    damping *= optics.spatial_envelope(angle, round_ones, 0.3, 200.0)
    assert 0.2 < damping < 0.9
    expected = 0.001 * math.sin(float(optics.chi_rad(angle, 0 * angle, round_ones, 200.0))) * float(damping)
    assert seen == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("lens_error", [Aberrations(), ALL, Aberrations(C10_nm=2000.0)])
def test_beyond_the_margin_nothing_reaches_in(lens_error):
    # An atom at the rim of a wide field: what is farther from it than the margin stays as it was.
    lens, pixel, size = Lens(), 0.1, 512
    volts = torch.zeros(1, size, size, dtype=torch.float64)
    volts[0, 0, 0] = 20.0
    seen = (hrtem(transmission(volts, 200.0), [pixel], [lens_error], lens)[0] - 1).abs()
    far = round(margin_nm(pixel, lens_error, lens) / pixel)
    assert far < size // 2
    assert seen[far : size - far].max() < 0.05 * seen.max()
    assert seen[: max(far // 3, 2)].max() == seen.max()


finite = {"allow_nan": False, "allow_infinity": False}


@settings(max_examples=40, deadline=None)
@given(
    C10_nm=st.floats(-1e4, 1e4, **finite),
    C12_nm=st.floats(0.0, 1e3, **finite),
    C21_nm=st.floats(0.0, 1e5, **finite),
    C30_um=st.floats(-5e3, 5e3, **finite),
    energy_keV=st.floats(30.0, 300.0, **finite),
    pixel_nm=st.floats(0.01, 10.0, **finite),
)
def test_whatever_the_lens_every_electron_is_accounted_for(C10_nm, C12_nm, C21_nm, C30_um, energy_keV, pixel_nm):
    lens_error = Aberrations(C10_nm=C10_nm, C12_nm=C12_nm, C21_nm=C21_nm, C30_um=C30_um)
    wave = transmission(rough(32), energy_keV)
    assert hrtem(wave, [pixel_nm], [lens_error], Lens(energy_keV)).mean().item() == pytest.approx(1.0, abs=1e-4)
    probe = Probe(energy_keV, min(20.0, largest_mrad(pixel_nm, energy_keV)))
    pattern = cbed(wave, pixel_nm, middle(32), 32, [lens_error], probe)
    assert pattern.min() >= 0.0
    assert pattern.sum().item() == pytest.approx(1.0, abs=1e-4)
    assert math.isfinite(margin_nm(pixel_nm, lens_error, Lens(energy_keV)))


def test_a_batch_of_images_is_the_images_one_by_one():
    waves, lens = transmission(rough(batch=2), 200.0), Lens()
    both = hrtem(waves, [0.03, 0.05], [ALL, Aberrations()], lens)
    assert torch.equal(both[1], hrtem(waves[1:], [0.05], [Aberrations()], lens)[0])


@pytest.mark.parametrize("probe", [SHARP, Probe(), Probe(source_fwhm_nm=0.2, energy_spread_eV=0.0)])
def test_a_pattern_holds_what_stays(probe):
    places = torch.tensor([[[40.0, 44.0], [41.3, 43.8]]], dtype=torch.float64)
    waves = transmission(rough(96), 200.0, torch.full((1, 96, 96), 0.25))
    patterns = cbed(waves, 0.05, places, 64, [ALL], probe)
    assert patterns.shape == (1, 2, 64, 64)
    assert patterns.sum(dim=(-2, -1)).numpy() == pytest.approx(0.75, abs=1e-4)


def test_an_empty_pattern_is_the_aperture():
    pattern = cbed(torch.ones(1, 64, 64, dtype=torch.complex64), 0.05, middle(), 64, [ALL], Probe())[0, 0]
    disc = annulus(64, 0.05, 200.0, 0.0, 20.0)
    assert collected(pattern, disc).item() == pytest.approx(1.0, abs=1e-5)
    assert pattern[disc].std() < 1e-3 * pattern[disc].mean()
    assert angles_mrad(64, 0.05, 200.0)[32] == 0.0
    assert torch.allclose(cone(64, 0.05, Probe(), torch.device("cpu")), pattern, rtol=0.0, atol=1e-5 * pattern.max())


def test_points_of_a_gaussian_have_its_moments():
    probe = Probe(source_fwhm_nm=0.1, energy_spread_eV=0.9)
    points = probe.points_nm()
    weight, place = points[:, 0], points[:, 1:]
    assert weight.sum() == pytest.approx(1.0)
    assert weight @ place == pytest.approx(0.0, abs=1e-12)
    sigma = np.array([probe.focal_spread_nm / math.sqrt(2), *[0.1 / math.sqrt(8 * math.log(2))] * 2])
    assert (weight * place.T) @ place == pytest.approx(np.diag(sigma**2))
    assert len(points) == 12
    assert len(Probe(source_fwhm_nm=0.0).points_nm()) == 3
    assert len(SHARP.points_nm()) == 1


def test_each_focus_and_point_of_the_source_has_its_pupil():
    probe, wave_nm = Probe(chromatic_mm=2.0), optics.wavelength_nm(200.0)
    x, y = np.meshgrid(*[wave_nm * np.fft.fftfreq(64, 0.05)] * 2)
    made = pupils(64, 0.05, ALL, probe, torch.device("cpu")).numpy()
    assert len(made) == 12
    for pupil, (share, C10_nm, x_nm, y_nm) in zip(made, probe.points_nm(), strict=True):
        expected = optics.transfer(x, y, replace(ALL, C10_nm=float(ALL.C10_nm) + C10_nm), probe.column())
        expected *= np.exp(-2j * np.pi / wave_nm * (x * x_nm + y * y_nm)) * np.sqrt(share / (expected != 0).sum())
        assert pupil == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_slope_of_the_phase_deflects(axis):
    # A phase that rises by one turn over the field: the beam goes by lambda / field.
    slope = torch.arange(64, dtype=torch.float64) / 64
    phase = (slope if axis == 0 else slope[:, None]).expand(1, 64, 64)
    wave = transmission(2 * math.pi / (10 * optics.interaction_rad_per_V_A(200.0)) * phase, 200.0)
    pattern = cbed(wave, 0.05, middle(), 64, [Aberrations()], SHARP)
    moved = centre_of_mass_mrad(pattern, 0.05, 200.0)[0, 0]
    assert moved[axis].item() == pytest.approx(1e3 * optics.wavelength_nm(200.0) / 3.2, rel=1e-3)
    assert moved[1 - axis].item() == pytest.approx(0.0, abs=1e-3)


def test_a_probe_between_pixels_is_the_shifted_one():
    waves = transmission(rough(96), 200.0)
    places = torch.tensor([[[47.0, 48.0], [47.5, 48.0], [48.0, 48.0]]], dtype=torch.float64)
    low, between, high = cbed(waves, 0.05, places, 64, [Aberrations()], SHARP)[0]
    assert (low - high).abs().max() > (low - between).abs().max() > 0.2 * (low - high).abs().max()
    moved = torch.roll(waves, 1, dims=1)
    assert torch.allclose(cbed(moved, 0.05, places[:, 2:], 64, [Aberrations()], SHARP)[0, 0], low, atol=1e-6)


def test_nothing_counted_has_no_deflection():
    assert centre_of_mass_mrad(torch.zeros(8, 8), 0.05, 200.0).tolist() == [0.0, 0.0]


def test_detectors_share_out_the_pattern():
    pattern = cbed(transmission(rough(), 200.0), 0.05, middle(), 64, [ALL], Probe())[0, 0]
    parts = [(0.0, 10.0), (10.0, 20.0), (20.0, 25.0)]
    shares = [collected(pattern, annulus(64, 0.05, 200.0, *part)).item() for part in parts]
    assert sum(shares) == pytest.approx(collected(pattern, annulus(64, 0.05, 200.0, 0.0, 25.0)).item(), abs=1e-6)
    assert all(0.0 < share < 1.0 for share in shares)


def test_angles_beyond_what_pixels_sample_are_refused():
    waves = torch.ones(1, 64, 64, dtype=torch.complex64)
    most = largest_mrad(0.1, 200.0)
    assert most == pytest.approx(12.54, abs=0.01)
    with pytest.raises(ValueError, match=r"semi_angle_mrad is 20 mrad, but pixels of 0\.1 nm .* up to 12\.5 mrad"):
        cbed(waves, 0.1, middle(), 64, [ALL], Probe())
    with pytest.raises(ValueError, match="aperture_mrad is 20 mrad"):
        hrtem(waves, [0.1], [ALL], Lens(aperture_mrad=20.0))
    with pytest.raises(ValueError, match="outer_mrad is 13 mrad"):
        annulus(64, 0.1, 200.0, 0.0, 13.0)
    with pytest.raises(ValueError, match="inner_mrad is 9"):
        annulus(64, 0.1, 200.0, 9.0, 8.0)


def test_a_patch_beyond_the_field_is_refused():
    waves = torch.ones(1, 64, 80, dtype=torch.complex64)
    with pytest.raises(ValueError, match="partly outside the field of 64 x 80"):
        cbed(waves, 0.05, middle() + torch.tensor([0.0, 30.0]), 64, [ALL], Probe())
