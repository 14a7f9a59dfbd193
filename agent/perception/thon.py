"""Defocus from the Thon rings of a few camera images of one place at different C10, with its standard deviation.

Thin amorphous film is a weak phase object: the power of its image at spatial frequency k is B(k) + A(k) T(k, C10)^2,
with the transfer T = (sin chi - kappa cos chi) E of phase and a little amplitude, damped by the angular size of the
source (F. Thon, Z. Naturforsch. 21a (1966) 476; L. Reimer and H. Kohl, Transmission Electron Microscopy, 5th edition,
chapter 6). Film and noise (A >= 0 and B, one pair a ring) are the same in all images, so what is left to find is one
number: the reading of C10 that is in focus. Spherical aberration tells its sign.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from digital_twin.optics import Aberrations, chi_rad, spatial_envelope, wavelength_nm
from hardware_bridge.report import Estimate

Array = NDArray[np.float64]

TILE_NM = 96.0
"""Tiles this wide are judged one by one: whatever is no film (particles, holes, bars) spoils only its own."""

GROUP = 8
"""Tiles that are even alike are fitted together: holes in one group, film in another."""

MOST_UNEVEN = 1.5
"""Above the evenest: what has more contrast is no weak phase object but a particle, an edge or a bar."""

FILM = 2.0
"""By how much rings must improve the fit (chi-square, a ring) to be called film; holes, tested, reach half of it."""

LEAST_IMAGES = 3
AMPLITUDE_SHARE = 0.07
"""Amplitude contrast of amorphous carbon as a part of all (J. A. Mindell, N. Grigorieff, J. Struct. Biol. 142, 334)."""

LEAST_FREQUENCY_PER_NM, MOST_OF_NYQUIST = 0.25, 0.9
INDEPENDENT = 0.45
"""Share of the Fourier coefficients of half overlapping Hann windows that tell something new, a little less, tested."""

REACH_NM, STEP_NM = 6000.0, 5.0
FLOOR_SHARE = 0.01
"""Of C10: a pixel that is known to half a percent."""


@dataclass(frozen=True)
class Source:
    """What the transfer depends on besides C10."""

    beam_energy_keV: float
    illumination_mrad: float
    C30_um: float


@dataclass(frozen=True)
class Rings:
    """One image's rotationally averaged power, tile by tile: (tiles, rings), and how uneven each tile is: (tiles,)."""

    C10_nm: float
    pixel_nm: float
    power: Array
    unevenness: Array
    counts: Array

    @property
    def frequency_per_nm(self) -> Array:
        """Spatial frequency of each ring, (rings,)."""
        return np.arange(self.power.shape[1]) / (tile_px(self.pixel_nm) * self.pixel_nm)


def tile_px(pixel_nm: float) -> int:
    """Edge of a tile in pixels, a multiple of four."""
    return 4 * round(TILE_NM / pixel_nm / 4)


def rings_of(image: NDArray[np.generic], pixel_nm: float, C10_nm: float) -> Rings:
    """Cut an image (H, W), at least a tile wide, into half overlapping tiles and average their power over rings."""
    size = tile_px(pixel_nm)
    window = np.outer(np.hanning(size), np.hanning(size))
    k = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    ring = np.rint(k * size).astype(np.intp).ravel()
    inside = ring < size // 2
    counts = np.bincount(ring[inside], minlength=size // 2).astype(np.float64)
    power, unevenness = [], []
    for top in range(0, image.shape[0] - size + 1, size // 2):
        for left in range(0, image.shape[1] - size + 1, size // 2):
            tile = np.asarray(image[top : top + size, left : left + size], dtype=np.float64)
            mean = float(tile.mean())
            square = np.abs(fft.rfft2(window * (tile - mean))).ravel() ** 2 / (window**2).sum()
            power.append(np.bincount(ring[inside], square[inside], minlength=size // 2) / counts)
            unevenness.append(float(tile.std()) / mean if mean > 0.0 else math.inf)
    return Rings(C10_nm, pixel_nm, np.array(power), np.array(unevenness), counts)


def focus_C10(shots: Sequence[Rings], source: Source) -> Estimate | None:
    """The C10 reading, in nm, at which the image is in Gaussian focus; None from too few images, or without film.

    The images must be of one place, with equal pixels and at least three values of C10. Mean and standard deviation are
    those of the whole likelihood for readings within 6 um of focus, so several minima of like depth make the standard
    deviation large.
    """
    if len({shot.C10_nm for shot in shots}) < LEAST_IMAGES:
        return None
    unevenness = np.mean([shot.unevenness for shot in shots], axis=0)
    order = np.argsort(unevenness)
    order = order[unevenness[order] < MOST_UNEVEN * np.sort(unevenness)[GROUP // 2]]
    if len(order) < GROUP:
        return None
    errors = np.arange(-REACH_NM, REACH_NM + STEP_NM, STEP_NM)
    k = shots[0].frequency_per_nm
    keep = (k > LEAST_FREQUENCY_PER_NM) & (k < MOST_OF_NYQUIST / (2.0 * shots[0].pixel_nm))
    C10_nm = np.array([shot.C10_nm for shot in shots])
    squares = _squares(errors, C10_nm, k[keep], source)
    misfit = np.zeros(len(errors))
    for start in range(0, len(order) - GROUP + 1, GROUP):
        tiles = order[start : start + GROUP]
        power = np.array([shot.power[tiles].mean(axis=0)[keep] for shot in shots])
        sd = power.mean(axis=0) / np.sqrt(INDEPENDENT * GROUP * shots[0].counts[keep])
        changes = (power - power.mean(axis=0)) / sd
        found = _misfit(squares, changes, sd)
        if (changes**2).sum() - found.min() > FILM * keep.sum():
            # What is no weak phase object fits badly for every C10, and speaks as much more quietly.
            misfit += found / max(1.0, found.min() / ((len(shots) - 2) * int(keep.sum())))
    if not misfit.any():
        return None
    weight = np.exp(-0.5 * (misfit - misfit.min()))
    weight /= weight.sum()
    mean = float(weight @ errors)
    spread = math.sqrt(float(weight @ (errors - mean) ** 2))
    scale = FLOOR_SHARE * abs(mean + float(C10_nm.mean()))
    return Estimate(value=-mean, sd=math.hypot(spread, STEP_NM / math.sqrt(12.0), scale))


def transfer(C10_nm: Array, k_per_nm: Array, source: Source) -> Array:
    """Transfer of a weak phase object with a little amplitude contrast, damped: (n, rings) for n values of C10."""
    theta = wavelength_nm(source.beam_energy_keV) * k_per_nm
    each, all_at_once = (Aberrations(C10_nm=C10, C30_um=source.C30_um) for C10 in (C10_nm, C10_nm[:, None]))
    chi = chi_rad(theta, np.zeros_like(theta), each, source.beam_energy_keV)
    kappa = AMPLITUDE_SHARE / math.sqrt(1.0 - AMPLITUDE_SHARE**2)
    damping = spatial_envelope(theta, all_at_once, source.illumination_mrad, source.beam_energy_keV)
    return np.asarray((np.sin(chi) - kappa * np.cos(chi)) * damping)


def _squares(errors: Array, C10_nm: Array, k_per_nm: Array, source: Source) -> Array:
    """Squared transfer, less its mean over the images: (errors, images, rings)."""
    model = np.stack([transfer(C10 + errors, k_per_nm, source) ** 2 for C10 in C10_nm], axis=1)
    return np.asarray(model - model.mean(axis=1, keepdims=True))


def _misfit(squares: Array, scaled: Array, sd: Array) -> Array:
    """Chi-square of the best film and noise, ring by ring, for each error: (errors,)."""
    model = squares / sd
    film = np.maximum((model * scaled).sum(axis=1) / np.maximum((model**2).sum(axis=1), 1e-30), 0.0)
    return np.asarray(((scaled - film[:, None] * model) ** 2).sum(axis=(1, 2)))
