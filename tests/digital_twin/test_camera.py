"""Cameras: what they do to signal and noise, measured as one measures a camera, and each imperfection off at zero."""

import math

import msgspec
import numpy as np
import pytest
import torch

from digital_twin.camera import PERFECT, Camera
from digital_twin.noise import poisson
from digital_twin.readout import Readout
from hardware_bridge.errors import Malformed
from hardware_bridge.words import validated

LINEAR = Camera(full_well_electrons=0.0)


def flat(electrons: float, pixels: int = 128, frames: int = 1) -> torch.Tensor:
    return torch.full((frames, pixels, pixels), electrons, dtype=torch.float64)


def only(**given: float) -> Camera:
    """A perfect camera but for one thing."""
    return msgspec.structs.replace(PERFECT, **given)


def test_a_perfect_camera_counts_electrons():
    image = flat(3.0)
    assert torch.equal(PERFECT.charge(image, 1.0, [4], 2), poisson(image, [4], 2))


def test_the_mean_is_that_of_the_electrons():
    charge = LINEAR.charge(flat(20.0, frames=8), 0.1, range(8))
    assert charge.shape == (8, 128, 128)
    assert charge.mean().item() == pytest.approx(20.0, rel=0.002)


@pytest.mark.parametrize("noise_loss", [0.0, 0.78])
def test_a_bright_line_spreads_as_the_transfer_says(noise_loss):
    image = torch.full((1, 64, 64), 1e4, dtype=torch.float64)
    image[0, :, 32] += 1e6
    camera = only(blur_loss=0.88, noise_loss=noise_loss)
    profile = camera.charge(image, 1.0, [1])[0].mean(dim=0) - 1e4
    frequency = torch.fft.rfftfreq(64, dtype=torch.float64)
    assert profile.argmax() == 32
    seen = torch.fft.rfft(profile).abs() / 1e6
    assert torch.allclose(seen, camera.mtf(frequency), atol=3e-3)
    assert camera.mtf(torch.tensor(0.5)).item() == pytest.approx(0.12)


def test_blurring_expected_electrons_leaves_noise_white_and_blurring_charge_does_not():
    def neighbours(camera: Camera) -> float:
        noise = camera.charge(flat(50.0, 256), 1.0, [3])[0] - 50.0
        return ((noise[:, 1:] * noise[:, :-1]).mean() / noise.var()).item()

    assert abs(neighbours(only(blur_loss=0.88))) < 0.02
    assert neighbours(only(blur_loss=0.88, noise_loss=0.7)) > 0.3


def test_noise_is_as_strong_as_its_own_transfer_lets_it_be():
    frequency = torch.hypot(torch.fft.fftfreq(288)[:, None], torch.fft.fftfreq(288))
    for camera in (only(blur_loss=0.88, noise_loss=0.5), Camera(full_well_electrons=0.0)):
        charge = camera.charge(flat(50.0, 256, 4), 1.0, range(4))
        expected = 50.0 / (1 - camera.missed_share) * camera.ntf(frequency).square().mean().item()
        assert charge.var().item() == pytest.approx(expected, rel=0.03)


def test_missed_electrons_cost_signal_to_noise_and_nothing_else():
    charge = only(missed_share=0.36).charge(flat(100.0, frames=8), 1.0, range(8))
    assert charge.mean().item() == pytest.approx(100.0, rel=0.002)
    assert charge.var().item() == pytest.approx(100.0 / 0.64, rel=0.02)


def test_counting_loses_what_coincides():
    camera = only(coincidence_s=1 / 400)
    for per_s in (4.0, 40.0, 400.0):
        charge = camera.charge(flat(2.0 * per_s, 256), 2.0, [5])
        assert charge.mean().item() == pytest.approx(2.0 * per_s * math.exp(-per_s / 400), rel=0.005)


def test_hot_pixels_are_always_the_same_and_glow_with_time():
    camera = only(hot_share=0.01, hot_electrons_per_s=500.0)
    first, second = (camera.charge(flat(0.0), 2.0, [seed])[0] for seed in (1, 2))
    assert torch.equal(first, second)
    assert set(first.unique().tolist()) == {0.0, 1000.0}
    assert (first > 0).double().mean().item() == pytest.approx(0.01, abs=0.003)


def test_a_full_well_holds_no_more():
    assert only(full_well_electrons=900.0).charge(flat(1000.0), 1.0, [1]).max() == 900.0


def test_in_the_dark_there_is_the_readout_alone():
    readout = Readout(gain_counts_per_electron=8.0, offset_counts=200.0, dark_counts_per_s=50.0, read_noise_counts=5.0)
    charge = Camera().charge(flat(0.0, 256), 0.2, [1])[0]
    counts = readout.read(charge.numpy(), 0.2, np.uint16, np.random.default_rng(1)).astype(float)
    assert counts.mean() == pytest.approx(210.0, abs=0.1)
    assert counts.std() == pytest.approx(math.sqrt(25 + 1 / 12), rel=0.02)


def test_patterns_of_a_scan_are_blurred_one_by_one():
    patterns = torch.zeros(2, 3, 8, 8, dtype=torch.float64)
    patterns[1, 2] = 1e4
    charge = LINEAR.charge(patterns, 1.0, [1, 2])
    assert charge.shape == patterns.shape
    assert (charge[0] == 0).all()
    assert charge[1, 2].min() > 9e3


def test_the_same_seed_gives_the_same_charge_alone_and_in_a_batch():
    image = flat(5.0, frames=3)
    together = Camera().charge(image, 1.0, [7, 8, 9], 4)
    for n, seed in enumerate((7, 8, 9)):
        assert torch.allclose(together[n], Camera().charge(image[n : n + 1], 1.0, [seed], 4)[0], atol=1e-10)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"noise_loss": 0.95}, "noise_loss"),
        ({"blur_loss": 1.0}, "blur_loss"),
        ({"missed_share": 1.0}, "missed_share"),
        ({"noise_loss": 0.5, "blur_loss": 0.0}, "noise_loss"),
    ],
)
def test_impossible_cameras_are_refused(given, names):
    with pytest.raises(ValueError, match=names):
        Camera(**given)


@pytest.mark.parametrize("field", Camera.__struct_fields__)
def test_every_number_is_bounded_and_finite(field):
    for wrong in (-0.1, math.nan):
        with pytest.raises((Malformed, ValueError)):
            validated(only(**{field: wrong}))
