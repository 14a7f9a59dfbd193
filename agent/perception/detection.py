"""Where there may be particles: matched filters of several sizes, every point in units of its own Poisson noise.

Two filters of each size: a blurred ball, which tells best whether something is there, and the ball less a wider one of
the same volume, which tells where and how large it is, since what is smooth or lies beside does not count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from agent.perception.scan import Array

RADIUS_LEAST_PX = 0.9
RATIO = 1.5
SURROUND = 1.8
# Five standard deviations: one false peak in some ten images of 256 x 256.
THRESHOLD = 5.0
LOCAL_THRESHOLD = 3.0
# The largest radius looked for, as a share of the image's edge; radii above COARSE pixels on binned images.
LARGEST = 0.12
COARSE = 3.5
# No more peaks than these are sorted out: an image with more is not one of particles.
MOST = 600

Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Candidates:
    """Peaks: rows and columns in pixels, radius of the best filter in pixels, height in noise, volume in counts."""

    rows: Array
    columns: Array
    radius: Array
    height: Array
    flux: Array


def detect(excess: Array, noise: Array, blur_px: float, largest_px: float = math.inf) -> Candidates:
    """Find peaks in what exceeds the background, (H, W) in counts, given the variance of every pixel, (H, W).

    ``blur_px`` is the standard deviation of the blur along one axis. Radii up to a share of the image's edge, or
    ``largest_px``, are tried. Peaks nearer to a higher one than about the larger radius are dropped.
    """
    found = []
    factor = 1
    largest = min(LARGEST * min(excess.shape), largest_px)
    radius = RADIUS_LEAST_PX
    bank = _Bank(excess, noise)
    while radius <= max(largest, RADIUS_LEAST_PX):
        if radius > COARSE * factor:
            bank, factor = _Bank(_halved(bank.excess), _halved(bank.noise)), 2 * factor
        blur = math.sqrt(blur_px**2 + (factor**2 - 1) / 12.0) / factor
        peaks = bank.peaks(radius / factor, blur)
        peaks[:2] = (peaks[:2] + 0.5) * factor - 0.5
        peaks[2] *= factor
        found.append(peaks)
        radius *= RATIO
    peaks = np.concatenate(found, axis=1)
    peaks = peaks[:, np.argsort(-peaks[3], kind="stable")[:MOST]]
    return Candidates(*peaks[:, _distinct(peaks)])


def detectable_radius(noise: float, contrast: float, blur_px: float) -> float:
    """Radius in pixels that is found half of the time: its matched filter answers with THRESHOLD on average.

    ``noise`` is the variance of a pixel, ``contrast`` the counts per pixel and pixel of thickness.
    """
    low, high = 0.05, 100.0
    for _ in range(40):
        radius = math.sqrt(low * high)
        # |blurred ball|^2 lies between that of a sharp one, 8 pi R^4 / 4, and that of a point, V^2 / (4 pi blur^2).
        volume = 4.0 * math.pi / 3.0 * radius**3
        square = 1.0 / (1.0 / (2.0 * math.pi * radius**4) + 4.0 * math.pi * blur_px**2 / volume**2)
        if contrast * math.sqrt(square / noise) < THRESHOLD:
            low = radius
        else:
            high = radius
    return math.sqrt(low * high)


class _Bank:
    """An image ready to be filtered: its transform, padded so that no edge sees the opposite one."""

    def __init__(self, excess: Array, noise: Array) -> None:
        self.excess, self.noise = excess, noise
        self.sd = np.sqrt(noise).astype(np.float32)
        pad = 2 * math.ceil(2.0 * RATIO * COARSE)
        rows, columns = (fft.next_fast_len(n + pad, real=True) for n in excess.shape)
        self.shape = rows, columns
        self.spectrum = fft.rfft2(excess.astype(np.float32), s=self.shape)

    def peaks(self, radius: float, blur: float) -> Array:
        """Peaks of one filter, (5, n): row, column, radius, height, volume, in pixels of this image."""
        height, width = self.excess.shape
        ball, local, f = _filters(self.shape, radius, round(blur, 1))
        z = fft.irfft2(self.spectrum * local, s=self.shape)[:height, :width] / (f.local_norm * self.sd)
        rows, columns = np.nonzero(z > LOCAL_THRESHOLD)
        top = z[rows, columns]
        padded = np.pad(z, 1, constant_values=-np.inf)
        highest = np.ones(rows.size, dtype=bool)
        for row, column in product((0, 1, 2), (0, 1, 2)):
            highest &= top >= padded[rows + row, columns + column]
        rows, columns, top = rows[highest], columns[highest], top[highest]
        whole = fft.irfft2(self.spectrum * ball, s=self.shape)[rows, columns]
        sd = self.sd[rows, columns]
        # Few electrons stray more to the high side than to the low one. The quantile of a skewed sum, after Cornish and
        # Fisher, lets as many false peaks pass as with a Gaussian.
        least = THRESHOLD + f.skewness / sd * (THRESHOLD**2 - 1.0) / 6.0
        keep = whole > least * f.ball_norm * sd
        flux = top * f.local_norm * sd / f.to_flux
        peaks = np.stack([rows, columns, np.full(rows.size, radius), top, flux]).astype(np.float64)
        return np.asarray(peaks[:, keep])


def _distinct(peaks: Array) -> list[int]:
    """Indices of peaks, highest first, that do not lie within a higher one."""
    chosen: list[int] = []
    for i in range(peaks.shape[1]):
        row, column, radius = peaks[:3, i]
        others = peaks[:, chosen]
        apart = np.hypot(others[0] - row, others[1] - column)
        if not (apart < 0.9 * np.maximum(others[2], radius) + 0.8).any():
            chosen.append(i)
    return chosen


def _halved(image: Array) -> Array:
    """Sum 2 x 2 pixels; an odd last row or column is left out."""
    rows, columns = image.shape[0] // 2, image.shape[1] // 2
    return np.asarray(image[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2).sum(axis=(1, 3)))


@dataclass(frozen=True)
class _Facts:
    """Norms of ball and local filter, the local one's response to a ball of unit volume, and how skewed a sum is.

    ``skewness`` is that of the ball filter's answer to Poisson noise of unit variance.
    """

    ball_norm: float
    local_norm: float
    to_flux: float
    skewness: float


@lru_cache(maxsize=128)
def _filters(shape: tuple[int, int], radius: float, blur: float) -> tuple[Singles, Singles, _Facts]:
    """Transforms of the ball filter and of the local one, and what follows from them."""
    q = 2.0 * math.pi * np.hypot(fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None, :])
    envelope = np.exp(-0.5 * (q * blur) ** 2)
    ball = _ball(q * radius) * envelope
    local = ball - _ball(q * SURROUND * radius) * envelope
    twice = np.full(q.shape[1], 2.0)
    twice[0] = 1.0
    if shape[1] % 2 == 0:
        twice[-1] = 1.0
    n = shape[0] * shape[1]
    norms = [math.sqrt(float((kernel**2 * twice).sum()) / n) for kernel in (ball, local)]
    facts = _Facts(
        ball_norm=norms[0],
        local_norm=norms[1],
        to_flux=float((local * ball * twice).sum()) / n,
        skewness=float((fft.irfft2(ball, s=shape) ** 3).sum()) / norms[0] ** 3,
    )
    return ball.astype(np.float32), local.astype(np.float32), facts


def _ball(x: Array) -> Array:
    """Transform of a ball of unit volume: 3 (sin x - x cos x) / x^3."""
    safe = np.maximum(x, 1e-2)
    return np.asarray(np.where(x > 1e-2, 3.0 * (np.sin(safe) - safe * np.cos(safe)) / safe**3, 1.0 - x**2 / 10.0))
