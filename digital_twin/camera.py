"""Cameras for images and diffraction patterns: what blurs, loses, adds to and cuts off the electrons of a pixel.

What is expected is blurred before electrons are counted, and what was counted is blurred after, which correlates the
noise of neighbours:

    charge = NTF * [ Poisson( DQE0 (MTF / NTF) * expected ) / DQE0 ]        (* is a convolution)

so that the signal is transferred by the MTF, the noise by the NTF, and DQE(q) = DQE0 MTF^2 / NTF^2 (R. R. Meyer and
A. I. Kirkland, Microscopy Research and Technique 49 (2000) 269; in this order M. Vulovic et al., Journal of Structural
Biology 183 (2013) 19). ``readout`` makes counts of charge.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from digital_twin.noise import poisson
from hardware_bridge.words import Fraction, NotNegative, Word

MARGIN_PX = 16
"""Pixels beyond the edge of a camera whose electrons still blur into it."""

HOT_STREAM = 29


class Camera(Word, frozen=True, kw_only=True):
    """Imperfections of a camera's sensor; each is off at zero.

    ``blur_loss`` is how much of the contrast is lost at the Nyquist frequency, 1 - MTF, and ``noise_loss`` the same of
    the noise, 1 - NTF. Both follow a Lorentzian in the frequency (P. Grob et al., Ultramicroscopy 133 (2013) 1).
    ``missed_share`` of the electrons leave nothing: 1 - DQE0. ``coincidence_s`` is the time after an electron during
    which a counting camera misses the next one in the same pixel: exp(-rate x time) are left (P. Zambon, Frontiers in
    Physics 12 (2024) 1408430), and what is left is taken to be Poisson's. ``hot_share`` of the pixels, always the same
    ones, collect ``hot_electrons_per_s`` by themselves. A pixel holds ``full_well_electrons`` at most (0: any number).

    The default is a scintillator with a CCD, an UltraScan 1000, which transfers 12 % at the Nyquist frequency (its
    data sheet, cited by a thesis on the MTF of CCD cameras). Its DQE0 of 0.7 and its NTF of 0.22 are assumptions,
    between a perfect camera and the CCD of InSilicoTEM (M. Vulovic, 2013), which has a DQE0 of 0.4 and an NTF of 0.45.
    Its well: 16 bits of the 15 counts that an electron makes at 200 kV (InSilicoTEM, US1000GIF) end at 4,400.
    InSilicoTEM gives this camera neither hot pixels nor coincidences, and a CCD does not count: both are off.

    Raises:
        ValueError: ``noise_loss`` above ``blur_loss``, which would make a camera that invents information, or a loss
            of everything.
    """

    blur_loss: Fraction = 0.88
    noise_loss: Fraction = 0.78
    missed_share: Fraction = 0.3
    coincidence_s: NotNegative = 0.0
    hot_share: Fraction = 0.0
    hot_electrons_per_s: NotNegative = 0.0
    full_well_electrons: NotNegative = 5e3

    def __post_init__(self) -> None:
        """Refuse what no camera is."""
        if self.noise_loss > self.blur_loss:
            raise ValueError(f"noise_loss: {self.noise_loss:g}; at most blur_loss, {self.blur_loss:g}")
        if max(self.blur_loss, self.missed_share) >= 1.0:
            raise ValueError("blur_loss, missed_share: 1; less than everything must be lost")

    def mtf(self, frequency: Tensor) -> Tensor:
        """Transfer of the signal at frequencies in cycles a pixel (the Nyquist frequency is 0.5)."""
        return _lorentzian(frequency, self.blur_loss)

    def ntf(self, frequency: Tensor) -> Tensor:
        """Transfer of the noise at frequencies in cycles a pixel."""
        return _lorentzian(frequency, self.noise_loss)

    def dqe(self, frequency: Tensor) -> Tensor:
        """Detective quantum efficiency at frequencies in cycles a pixel."""
        return (1.0 - self.missed_share) * (self.mtf(frequency) / self.ntf(frequency)) ** 2

    def charge(self, expected: Tensor, exposure_s: float, seeds: Sequence[int], *stream: int) -> Tensor:
        """Charge in the pixels, (B, ..., H, W), in electrons that fell on them, of expected electrons (B, ..., H, W).

        ``seeds`` and ``stream`` key the noise as in ``noise.poisson``; hot pixels depend on nothing but the size.

        Raises:
            ValueError: expected electrons that are negative or not finite.
        """
        shape, sensor = expected.shape, expected
        if self.coincidence_s:
            sensor = sensor * torch.exp(-sensor * (self.coincidence_s / exposure_s))
        if self.blur_loss:
            wide = pad(sensor.reshape(-1, *shape[-2:]), 4 * (MARGIN_PX,), mode="replicate")
            sensor = wide.reshape(*shape[:-2], *wide.shape[-2:])
            signal, noise = _transfers(self, sensor.shape[-2:], sensor.dtype, sensor.device)
            sensor = _filtered(sensor, signal).clamp_(min=0.0)
        kept = 1.0 - self.missed_share
        charge = poisson(kept * sensor, seeds, *stream) / kept
        if self.blur_loss:
            if self.noise_loss:
                charge = _filtered(charge, noise)
            charge = charge[..., MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
        if self.hot_share and self.hot_electrons_per_s:
            charge = charge + self.hot_electrons_per_s * exposure_s * self._hot(shape[-2:]).to(charge)
        return charge.clamp(max=self.full_well_electrons) if self.full_well_electrons else charge

    def _hot(self, shape: Sequence[int]) -> Tensor:
        """Which pixels are hot, (H, W) bool."""
        return torch.from_numpy(np.random.default_rng(HOT_STREAM).random(tuple(shape)) < self.hot_share)


PERFECT = Camera(blur_loss=0.0, noise_loss=0.0, missed_share=0.0, full_well_electrons=0.0)
"""A camera that counts every electron where it falls."""


def _lorentzian(frequency: Tensor, loss: float) -> Tensor:
    return 1.0 / (1.0 + loss / (1.0 - loss) * (2.0 * frequency) ** 2)


@lru_cache(maxsize=16)
def _transfers(camera: Camera, size: torch.Size, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """What is done to the transform of images (H, W) before counting, MTF / NTF, and after, NTF, (H, W / 2 + 1)."""
    down = torch.fft.fftfreq(size[0], dtype=dtype, device=device)
    across = torch.fft.rfftfreq(size[1], dtype=dtype, device=device)
    frequency = torch.hypot(down[:, None], across)
    noise = camera.ntf(frequency)
    return camera.mtf(frequency) / noise, noise


def _filtered(images: Tensor, transfer: Tensor) -> Tensor:
    result: Tensor = torch.fft.irfft2(torch.fft.rfft2(images) * transfer, s=images.shape[-2:])
    return result
