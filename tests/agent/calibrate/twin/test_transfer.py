"""Photon transfer: hidden gains come back within their errors from drifting repeats and from one fine image."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from agent.calibrate.twin.darks import dark_of
from agent.calibrate.twin.evidence import of_files
from agent.calibrate.twin.transfer import laid_over, parameters, photon_transfer, shifted


def test_hidden_gains_are_found_in_drifting_repeats(make_detector, recorded):
    z = []
    for seed, gain in enumerate((0.8, 3.0, 7.0, 25.0)):
        evidence = recorded(make_detector(gain=gain), seed)
        dark = dark_of(evidence.darks)
        found = photon_transfer(evidence, dark)
        assert found.gain_sd < 0.08 * gain
        z.append((found.gain - gain) / found.gain_sd)
    assert np.abs(z).max() < 3.0


def test_without_darks_gain_is_told_and_the_rest_is_left_together(make_detector, recorded):
    hidden = make_detector(gain=5.0)
    evidence = recorded(hidden, 1)
    gain, together = parameters(photon_transfer(evidence, None), None)
    assert abs(gain.z(5.0)) < 3.0
    assert together.name == "noise_at_zero_counts2"
    assert abs(together.z(hidden.noise**2 + 1 / 12 - 5.0 * hidden.offset)) < 3.0


def test_an_image_of_one_brightness_tells_no_gain(make_detector, make_file):
    random = np.random.default_rng(0)
    flat = 50.0 + np.exp(-np.hypot(*(np.indices((128, 128)) - 64.0)) / 4)
    file = make_file(np.stack([make_detector().read(flat, 1e-6, random) for _ in range(8)]))
    told = parameters(photon_transfer(of_files([file], [], {}), None), None)[0]
    assert not told.is_identifiable


def test_too_few_repeats_and_saturation_are_told(make_detector, recorded, make_file):
    evidence = recorded(make_detector(), 0)
    few = of_files([make_file(np.stack([f.counts for f in evidence.images[:3]]))], [], {})
    assert photon_transfer(few, None) == "no 6 images in a row of one place and setting were recorded"
    bright = recorded(make_detector(gain=600.0), 0)
    assert photon_transfer(bright, None) == "images are saturated"


def fine_image(seed: int, gain: float) -> np.ndarray:
    """A lattice with a period of 16 pixels on broad differences of brightness, at 18 electrons a pixel."""
    random = np.random.default_rng(seed)
    y, x = np.indices((384, 384))
    broad = 1.0 + 0.5 * gaussian_filter(random.standard_normal(x.shape), 30) * 60
    electrons = np.clip(18 * broad * (1 + 0.4 * np.cos(0.39 * x) * np.cos(0.41 * y)), 1.0, None)
    return np.rint(random.poisson(electrons) * gain + 300 + random.normal(0, 20, x.shape)).clip(0).astype(np.uint16)


def test_one_fine_image_tells_its_gain(make_file):
    z = []
    for seed in range(4):
        found = photon_transfer(of_files([make_file(fine_image(seed, 150.0)[None])], [], {}), None)
        z.append((found.gain - 150.0) / found.gain_sd)
    assert np.abs(z).max() < 3.0


def test_a_stretched_or_blurred_image_is_refused(make_file):
    image = fine_image(0, 150.0)
    stretched = np.rint((image[:64, :64] // 40) * 55.0).astype(np.uint16)
    told = photon_transfer(of_files([make_file(stretched[None])], [], {}), None)
    assert isinstance(told, str)
    assert "stretched" in told
    blurred = gaussian_filter(image.astype(float), 1.0)
    told = photon_transfer(of_files([make_file(blurred[None])], [], {}), None)
    assert isinstance(told, str)
    assert "cannot be told from detail" in told


def test_a_shift_keeps_white_noise_as_it_is():
    noise = np.random.default_rng(0).normal(5.0, 2.0, (200, 200))
    moved = shifted(noise, 0.4, -1.3)
    # But for what lies at the very finest frequency, which cannot be moved by a fraction.
    assert moved.std() == pytest.approx(noise.std(), rel=5e-3)
    assert shifted(noise, 3.0, -2.0) == pytest.approx(np.roll(noise, (3, -2), axis=(0, 1)))


def test_images_are_laid_over_each_other(make_detector, recorded):
    images = recorded(make_detector(), 2).images[:6]
    laid = laid_over(images, 300.0)
    apart = [np.abs(gaussian_filter(image - laid[2], 2.0)).mean() for image in laid]
    cut = slice(12, -12)
    unlaid = [np.abs(gaussian_filter(f.counts - images[2].counts, 2.0))[cut, cut].mean() for f in images]
    assert max(apart) < 0.5 * max(unlaid)
