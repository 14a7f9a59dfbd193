"""BF and ABF by linear transfer: beside whole patterns of the same weak object, and the symmetries of theory."""

import math

import numpy as np
import pytest
import torch

from digital_twin.optics import Aberrations
from digital_twin.phase_contrast import direct_share, margin_pixels, phase_contrast, phase_kernel
from digital_twin.waves import Probe, annulus, cbed, collected, transmission

PROBE = Probe(source_fwhm_nm=0.0, energy_spread_eV=0.0)
ASKEW = Aberrations(-8.0, 3.0, 0.4, 150.0, 1.1, 100.0, -0.5, 5.0)
BF, ABF = (0.0, 10.0), (10.0, 20.0)


def weak(size, pixel_nm, strength=0.05):
    """A weak object that repeats over the field and is smooth enough for the pixels."""
    random = np.random.default_rng(2)
    g = np.fft.fftfreq(size, pixel_nm)
    spectrum = np.fft.fft2(random.normal(size=(size, size))) * np.exp(-((np.hypot(g[:, None], g) / 4.0) ** 2))
    field = np.fft.ifft2(spectrum).real
    return torch.from_numpy(strength * field / field.std())[None]


@pytest.mark.parametrize("detector", [BF, ABF])
@pytest.mark.parametrize(("probe", "apart"), [(PROBE, 0.03), (Probe(), 0.06)])
def test_a_weak_object_looks_as_in_its_patterns(detector, probe, apart):
    # A field that repeats, so that patterns of a probe anywhere see the same; with as much around as the probe needs.
    size, pixel, seen, middle = 256, 0.05, 5, 250
    wide = torch.nn.functional.pad(weak(size, pixel)[None], (128, 128, 128, 128), mode="circular")[0]
    places = torch.cartesian_prod(*[torch.arange(middle, middle + seen, dtype=torch.float64)] * 2)[None]
    patterns = cbed(transmission(wide, 200.0), pixel, places, size, [ASKEW], probe)
    whole = collected(patterns.double(), annulus(size, pixel, 200.0, *detector)).view(seen, seen)
    margin = margin_pixels(pixel, ASKEW, probe)
    inside = slice(middle - margin, middle + seen + margin)
    ours = phase_contrast(wide[:, inside, inside], pixel, ASKEW, probe, detector)[0]
    contrast = whole - whole.mean()
    # What is left is of second order, of the discs' rims on the patterns' pixels, and of the few points of the source.
    assert (ours - ours.mean() - contrast).abs().max() < apart * contrast.abs().max()


def test_nothing_is_what_the_detector_sees_of_the_beam():
    margin = margin_pixels(0.05, ASKEW, PROBE)
    image = phase_contrast(torch.zeros(2, 8 + 2 * margin, 12 + 2 * margin), 0.05, ASKEW, PROBE, ABF)
    assert image.shape == (2, 8, 12)
    assert image.numpy() == pytest.approx(0.75)
    assert direct_share((0.0, 50.0), PROBE) == 1.0
    assert direct_share((30.0, 50.0), PROBE) == 0.0


@pytest.mark.parametrize("detector", [BF, ABF])
def test_in_focus_a_symmetric_detector_sees_no_phase(detector):
    assert np.abs(phase_kernel(0.05, Aberrations(), PROBE, detector)).max() < 1e-12


def test_under_and_overfocus_are_opposite():
    under, over = (phase_kernel(0.05, Aberrations(C10_nm=c), PROBE, BF) for c in (-8.0, 8.0))
    assert np.abs(under).max() > 1e-4
    assert under == pytest.approx(-over, abs=1e-12)


def test_a_detector_of_everything_sees_no_contrast():
    assert np.abs(phase_kernel(0.05, ASKEW, PROBE, (0.0, 100.0))).max() < 1e-12


def test_bf_and_the_rest_of_the_disc_are_opposite():
    assert phase_kernel(0.05, ASKEW, PROBE, BF) == pytest.approx(
        -phase_kernel(0.05, ASKEW, PROBE, (10.0, 20.001)), abs=1e-12
    )


def test_a_uniform_potential_has_no_contrast():
    assert phase_kernel(0.05, ASKEW, PROBE, BF).sum() == pytest.approx(0.0, abs=1e-12)


def test_coarse_pixels_show_a_smooth_object_like_fine_ones():
    contrasts = []
    for pixel in (0.05, 0.25):
        kernel = phase_kernel(pixel, Aberrations(C10_nm=-100.0), PROBE, BF).sum(axis=0)
        x = pixel * (np.arange(len(kernel)) - len(kernel) // 2)
        contrasts.append(float(kernel @ np.cos(2 * math.pi * x / 1.5)))
    assert abs(contrasts[0]) > 0.005
    assert contrasts[0] == pytest.approx(contrasts[1], rel=0.06)


def test_shares_stay_shares_for_strong_objects():
    margin = margin_pixels(0.05, ASKEW, PROBE)
    image = phase_contrast(1e4 * torch.randn(1, 8 + 2 * margin, 8 + 2 * margin), 0.05, ASKEW, PROBE, BF)
    assert image.min() >= 0.0
    assert image.max() <= 1.0


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="angles must ascend"):
        phase_contrast(torch.zeros(1, 99, 99), 0.05, ASKEW, PROBE, (10.0, 10.0))
    with pytest.raises(ValueError, match="leave nothing after a margin"):
        phase_contrast(torch.zeros(1, 4, 4), 0.05, ASKEW, PROBE, BF)
