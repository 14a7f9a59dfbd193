"""The transfer of a STEM probe at the frequencies of an image, and how it changes with each aberration.

The image of an incoherent probe is the specimen correlated with the probe's intensity (from r0, a probe shines on r
with what it has at r - r0), so its spectrum is that of the specimen times the conjugate H of the intensity's transform
(J. M. Cowley, Appl. Phys. Lett. 15 (1969) 58; P. D. Nellist and S. J. Pennycook, Ultramicroscopy 78 (1999) 111).
Aberrations are seven components in nm: C10, and C12, C21 and C23 along and across, as
``digital_twin.optics.chi_polynomials`` has them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.special import j1

from digital_twin.optics import Column, aperture, chi_polynomials, wavelength_nm

Array = NDArray[np.float64]
Complex = NDArray[np.complex64]

COMPONENTS = 7
FINER = 3
"""Points of the probe to a pixel. What the probe holds beyond twice the aperture's edge is nothing, so that three of
0.1 nm are enough at 300 kV and 20 mrad; ``Frequencies`` refuses where they are not.
"""

PROBE_PIXELS = 64
"""Width of the square that holds the probe, in pixels; what is wider wraps around in it, blurred beyond use anyway."""


@dataclass(frozen=True)
class Frequencies:
    """Spatial frequencies of an image of (H, W) pixels, in 1/nm, ascending by size: x and y, (m,), one of each pair.

    Raises:
        ValueError: an image smaller than the probe's square, or pixels too coarse for the probe.
    """

    shape: tuple[int, int]
    pixel_nm: float
    column: Column
    lowest_per_nm: float
    highest_per_nm: float

    def __post_init__(self) -> None:
        if min(self.shape) < PROBE_PIXELS:
            raise ValueError(f"image of {self.shape} pixels: at least {PROBE_PIXELS} along each edge")
        edge = 2e-3 * self.column.semi_angle_mrad / wavelength_nm(self.column.beam_energy_keV)
        if FINER / self.pixel_nm < edge + math.sqrt(2) * self.highest_per_nm:
            finest = FINER / (edge + math.sqrt(2) * self.highest_per_nm)
            raise ValueError(f"pixel = {self.pixel_nm:g} nm: at most {finest:.3g} nm for this aperture")

    def places(self) -> tuple[NDArray[np.intp], Array, Array]:
        """Where they are in a flattened ``rfft2``, (m,), and their x and y."""
        y = np.fft.fftfreq(self.shape[0], self.pixel_nm)[:, None]
        x = np.fft.rfftfreq(self.shape[1], self.pixel_nm)[None, :]
        size = np.hypot(x, y)
        # On the column of x = 0 frequencies come twice.
        once = (x > 0) | (y > 0)
        use = np.flatnonzero(once & (size >= self.lowest_per_nm) & (size <= self.highest_per_nm))
        use = use[np.argsort(size.ravel()[use], kind="stable")]
        at_x, at_y = (np.broadcast_to(axis, size.shape).ravel()[use] for axis in (x, y))
        return use, at_x, at_y


class Transfers:
    """Transfers of the probe at some frequencies; ``C30_um`` is the part of the aberrations that is not asked for."""

    def __init__(self, frequencies: Frequencies, C30_um: float = 0.0) -> None:
        self.frequencies = frequencies
        self.places, self.x_per_nm, self.y_per_nm = frequencies.places()
        self._size = PROBE_PIXELS * FINER
        self._inside, x, y = aperture(self._size, frequencies.pixel_nm / FINER, frequencies.column)
        turn = 2 * math.pi / wavelength_nm(frequencies.column.beam_energy_keV)
        weights = turn * chi_polynomials(x, y)
        self._known, self._weights = (1e3 * C30_um * weights[-1]).astype(np.float32), weights[:-1].astype(np.float32)
        self.best_C10_nm = balanced_C10_nm(C30_um, frequencies.column.semi_angle_mrad)

    def of(self, components_nm: Array) -> Complex:
        """The transfer (m,) of a probe with aberrations (7,) in nm."""
        wave = self._wave(self._pupil(components_nm))
        return self._spectrum(np.abs(wave) ** 2)

    def with_slopes(self, components_nm: Array, count: int = COMPONENTS) -> tuple[Complex, Complex]:
        """The transfer (m,), and its derivatives (count, m) by the first components, in 1/nm."""
        pupil = self._pupil(components_nm)
        wave = self._wave(pupil)
        slopes = [
            self._spectrum(2 * (wave.conj() * self._wave(np.complex64(-1j) * weight * pupil)).real)
            for weight in self._weights[:count]
        ]
        return self._spectrum(np.abs(wave) ** 2), np.stack(slopes)

    def phase_covariance(self, count: int = COMPONENTS) -> Array:
        """Covariance (count, count) over the aperture of the phases, in rad, that 1 nm of each component makes.

        The Strehl ratio of small aberrations C is exp(-C A C) with it (M. Born and E. Wolf, Principles of Optics, 9.1).
        """
        return np.cov(self._weights[:count], bias=True)

    def _pupil(self, components_nm: Array) -> Complex:
        phase = self._known + components_nm.astype(np.float32) @ self._weights[: len(components_nm)]
        return np.asarray(np.exp(np.complex64(-1j) * phase))

    def _wave(self, pupil: Complex) -> Complex:
        whole = np.zeros((self._size, self._size), dtype=np.complex64)
        whole[self._inside] = pupil
        # Unit intensity in all, whatever the phases: Parseval.
        return np.asarray(scipy.fft.ifft2(whole) * (self._size / math.sqrt(len(self._weights[0]))), dtype=np.complex64)

    def _spectrum(self, intensity: NDArray[np.float32]) -> Complex:
        """What a probe's intensity on its own fine grid is at the frequencies of the image, (m,)."""
        half = PROBE_PIXELS // 2
        fine = scipy.fft.rfft2(intensity)
        band = np.concatenate([fine[:half, : half + 1], fine[-half:, : half + 1]])
        coarse = np.roll(scipy.fft.irfft2(band, s=(PROBE_PIXELS, PROBE_PIXELS)), (half, half), axis=(0, 1))
        rows, columns = self.frequencies.shape
        wide = np.zeros((rows, columns), dtype=np.float32)
        wide[:PROBE_PIXELS, :PROBE_PIXELS] = coarse
        wide = np.roll(wide, (-half, -half), axis=(0, 1))
        return np.asarray(scipy.fft.rfft2(wide).ravel()[self.places].conj())


def geometric(components_nm: Array, x_per_nm: Array, y_per_nm: Array, semi_angle_mrad: float) -> Array:
    """Transfers (n, m) of n probes with C10 and C12 (n, 3) in nm, as rays have them: 2 J1(q) / q of an ellipse.

    An ellipse of confusion is the image of the aperture under the matrix of slopes [[C10 + a, b], [b, C10 - a]], so q
    is 2 pi alpha times the length of that matrix times k (H. H. Hopkins, Proc. R. Soc. A 231 (1955) 91, without C12).
    Good at frequencies far below 2 alpha / lambda.
    """
    C10, along, across = components_nm.T[:, :, None]
    moved = np.hypot((C10 + along) * x_per_nm + across * y_per_nm, across * x_per_nm + (C10 - along) * y_per_nm)
    q = np.maximum(2e-3 * math.pi * semi_angle_mrad * moved, 1e-6)
    return np.asarray(2 * j1(q) / q)


def balanced_C10_nm(C30_um: float, semi_angle_mrad: float) -> float:
    """The C10 in nm that leaves least of C30 in the phase over the aperture: -C30 alpha^2 / 2.

    M. Born and E. Wolf, Principles of Optics, 9.2.1: the fourth power of the radius is balanced by its square.
    """
    return -0.5e3 * C30_um * (1e-3 * semi_angle_mrad) ** 2
