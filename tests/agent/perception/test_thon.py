"""Focus from Thon rings, on images formed by the textbook's wave optics with shot noise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.perception.thon import INDEPENDENT, Rings, Source, focus_C10, rings_of, transfer

WAVELENGTH_NM = 0.00250793
PIXEL_NM, SIZE = 0.4, 600
SOURCE = Source(beam_energy_keV=200.0, illumination_mrad=0.0, C30_um=1200.0)
SERIES_NM = (0.0, -900.0, 900.0)


def film(random: np.random.Generator) -> NDArray[np.complex128]:
    """Exit wave of amorphous film: white phase noise with 7 % amplitude contrast."""
    phase = random.normal(0.0, 0.25, (SIZE, SIZE))
    return np.exp((1j - 0.0702) * phase)


def image(wave: NDArray[np.complex128], C10_nm: float, electrons: float, random: np.random.Generator) -> Rings:
    """Rings of an image at a true C10: chi = pi lambda C10 k^2 + pi/2 C30 lambda^3 k^4 (Reimer and Kohl, 6.43)."""
    k = np.fft.fftfreq(SIZE, PIXEL_NM)
    k2 = k[:, None] ** 2 + k**2
    chi = np.pi * WAVELENGTH_NM * C10_nm * k2 + 0.5 * np.pi * 1.2e6 * WAVELENGTH_NM**3 * k2**2
    intensity = np.abs(np.fft.ifft2(np.fft.fft2(wave) * np.exp(-1j * chi))) ** 2
    return rings_of(random.poisson(electrons * intensity), PIXEL_NM, C10_nm)


@pytest.mark.parametrize("off_nm", [-2500.0, -400.0, 2000.0])
def test_three_images_tell_where_focus_is_and_on_which_side(off_nm: float) -> None:
    random = np.random.default_rng(4)
    wave = film(random)
    shots = [image(wave, off_nm + step, 20.0, random) for step in SERIES_NM]
    # The lens reads zero where C10 is off_nm.
    read = [Rings(shot.C10_nm - off_nm, PIXEL_NM, shot.power, shot.unevenness, shot.counts) for shot in shots]
    found = focus_C10(read, SOURCE)
    assert found is not None
    assert found.value == pytest.approx(-off_nm, abs=3.0 * found.sd)
    assert found.sd < 40.0


def test_particles_do_not_mislead() -> None:
    random = np.random.default_rng(5)
    wave = film(random)
    y, x = np.mgrid[:SIZE, :SIZE]
    for cx, cy in random.uniform(0.0, SIZE / 2, (12, 2)):
        wave[(x - cx) ** 2 + (y - cy) ** 2 < 30.0**2] *= 0.2
    found = focus_C10([image(wave, 500.0 + step, 20.0, random) for step in SERIES_NM], SOURCE)
    assert found is not None
    assert abs(found.value) < 3.0 * found.sd


def test_a_hole_has_no_focus() -> None:
    random = np.random.default_rng(6)
    vacuum = np.ones((SIZE, SIZE), dtype=np.complex128)
    for _ in range(3):
        assert focus_C10([image(vacuum, step, 20.0, random) for step in SERIES_NM], SOURCE) is None


def test_the_scatter_of_noise_is_what_is_assumed() -> None:
    random = np.random.default_rng(7)
    shots = [rings_of(random.poisson(20.0, (SIZE, SIZE)), PIXEL_NM, 0.0) for _ in range(12)]
    tiles = len(shots[0].unevenness)
    power = np.array([shot.power.mean(axis=0) for shot in shots])[:, 10:]
    sd = power.mean(axis=0) / np.sqrt(INDEPENDENT * tiles * shots[0].counts[10:])
    assert 0.7 < float(np.mean(power.var(axis=0, ddof=1) / sd**2)) <= 1.05


def test_two_images_are_too_few() -> None:
    random = np.random.default_rng(8)
    wave = film(random)
    assert focus_C10([image(wave, step, 20.0, random) for step in (0.0, 500.0, 500.0)], SOURCE) is None


def test_the_transfer_is_that_of_the_textbook() -> None:
    k = np.linspace(0.1, 1.2, 50)
    chi = np.pi * WAVELENGTH_NM * -800.0 * k**2 + 0.5 * np.pi * 1.2e6 * WAVELENGTH_NM**3 * k**4
    expected = np.sin(chi) - 0.0702 * np.cos(chi)
    np.testing.assert_allclose(transfer(np.array([-800.0]), k, SOURCE)[0], expected, atol=1e-3)
