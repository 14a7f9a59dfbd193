"""Where there may be particles: matched filters of several sizes, every point in units of its own Poisson noise.

Two filters of each size: a blurred ball, which tells best whether something is there, and the ball less a wider one of
the same volume, which tells where and how large it is, since what is smooth or lies beside does not count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from agent.perception.ball_profile import MARGIN, profile
from agent.perception.scan import Array

RADIUS_LEAST_PX = 0.9
RATIO = 1.4
SURROUND = 1.8
# Five standard deviations: one false peak in some ten images of 256 x 256.
THRESHOLD = 5.0
LOCAL_THRESHOLD = 3.0
# The largest radius looked for, as a share of the image's edge; what is wider than COARSE pixels on binned images.
LARGEST = 0.12
COARSE = 3.5
LEAST_EDGE = 32
# Filters are kept for blurs of this step in ln, and reach at most this many pixels out.
BLUR_GRID = 0.1
REACH = math.ceil(SURROUND * COARSE + MARGIN * COARSE / math.sqrt(5.0))
# No more peaks than these are sorted out: an image with more is not one of particles.
MOST = 600

# Rows and columns of a pixel and its neighbours.
AROUND = np.mgrid[-1:2, -1:2].reshape(2, 9)

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
    largest = max(min(LARGEST * min(excess.shape), largest_px), RADIUS_LEAST_PX)
    blur_px = math.exp(round(math.log(blur_px) / BLUR_GRID) * BLUR_GRID)
    # A ball of radius R is as wide as a Gaussian of R / sqrt 5. Blur makes balls alike: what is tried grows by a ratio
    # in what is left to be told apart, and where all is wide a coarser image tells as much.
    blur_as_radius = math.sqrt(5.0) * blur_px
    wide = math.hypot(RADIUS_LEAST_PX, blur_as_radius)
    bank, factor = _Bank(excess.astype(np.float32), noise.astype(np.float32)), 1
    while (radius := math.sqrt(wide**2 - blur_as_radius**2)) <= largest + 1e-9:
        while wide > COARSE * factor and min(bank.excess.shape) >= LEAST_EDGE:
            bank, factor = _Bank(_halved(bank.excess), _halved(bank.noise)), 2 * factor
        peaks = bank.peaks(radius / factor, math.sqrt(blur_px**2 + (factor**2 - 1) / 12.0) / factor)
        peaks[:2] = (peaks[:2] + 0.5) * factor - 0.5
        peaks[2] *= factor
        found.append(peaks)
        wide *= RATIO
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
    """An image ready to be filtered: transformed when first asked, padded so that no edge sees the opposite one."""

    def __init__(self, excess: Singles, noise: Singles) -> None:
        self.excess, self.noise = excess, noise

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns with padding."""
        rows, columns = (fft.next_fast_len(n + REACH, real=True) for n in self.excess.shape)
        return rows, columns

    @cached_property
    def spectrum(self) -> NDArray[np.complex64]:
        """The transform of the padded image."""
        return np.asarray(fft.rfft2(self.excess, s=self.shape))

    @cached_property
    def sd(self) -> Singles:
        """Noise of every pixel."""
        return np.sqrt(self.noise)

    @cached_property
    def least(self) -> Singles:
        """What a local filter of unit norm must answer."""
        return np.asarray(LOCAL_THRESHOLD * self.sd)

    @cached_property
    def surroundings(self) -> Singles:
        """The square about every pixel that a filter sees, as a view (H, W, S, S)."""
        edge = 2 * REACH + 1
        return np.lib.stride_tricks.sliding_window_view(np.pad(self.excess, REACH), (edge, edge))

    def peaks(self, radius: float, blur: float) -> Array:
        """Peaks of one filter, (5, n): row, column, radius, height, volume, in pixels of this image."""
        height, width = self.excess.shape
        f = _filter(radius, blur)
        answer = fft.irfft2(self.spectrum * _transform(self.shape, radius, blur), s=self.shape)[:height, :width]
        rows, columns = np.divmod(np.flatnonzero(answer > f.local_norm * self.least), width)
        if not rows.size:
            return np.zeros((5, 0))
        top = answer[rows, columns] / self.sd[rows, columns]
        beside = (
            np.minimum(np.maximum(rows[:, None] + AROUND[0], 0), height - 1),
            np.minimum(np.maximum(columns[:, None] + AROUND[1], 0), width - 1),
        )
        highest = top >= (answer[beside] / self.sd[beside]).max(axis=1, initial=0.0)
        rows, columns, top = rows[highest], columns[highest], top[highest] / f.local_norm
        own = slice(REACH - f.half, REACH + f.half + 1)
        whole = self.surroundings[rows, columns, own, own].reshape(rows.size, -1) @ f.ball.ravel()
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
    rows, columns, radii = peaks[:3]
    apart = np.hypot(rows[:, None] - rows, columns[:, None] - columns)
    near = apart < 0.9 * np.maximum(radii[:, None], radii) + 0.8
    chosen: list[int] = []
    free = np.ones(rows.size, dtype=bool)
    for i in range(rows.size):
        if free[i]:
            chosen.append(i)
            free &= ~near[i]
    return chosen


def _halved(image: Singles) -> Singles:
    """Sum 2 x 2 pixels; an odd last row or column is left out."""
    rows, columns = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    halved = image[0:rows:2] + image[1:rows:2]
    return np.asarray(halved[:, 0:columns:2] + halved[:, 1:columns:2])


@dataclass(frozen=True)
class _Filter:
    """Ball and local filter (2 half + 1 pixels wide) with their norms and what follows from them.

    ``to_flux`` is the local one's response to a ball of unit volume; ``skewness`` that of the ball filter's answer to
    Poisson noise of unit variance.
    """

    half: int
    ball: Singles
    local: Singles
    ball_norm: float
    local_norm: float
    to_flux: float
    skewness: float


@lru_cache(maxsize=512)
def _filter(radius: float, blur: float) -> _Filter:
    """The filters for balls of one size under one blur, in pixels."""
    half = min(math.ceil(SURROUND * radius + MARGIN * blur), REACH)
    at = np.arange(-half, half + 1)
    distance = np.hypot(at[:, None], at[None, :])[None] / blur
    ball, wider = (profile(distance, np.array([r / blur]))[0][0] / blur**2 for r in (radius, SURROUND * radius))
    local = ball - wider
    norms = [math.sqrt(float((kernel**2).sum())) for kernel in (ball, local)]
    return _Filter(
        half=half,
        ball=ball.astype(np.float32),
        local=local.astype(np.float32),
        ball_norm=norms[0],
        local_norm=norms[1],
        to_flux=float((local * ball).sum()),
        skewness=float((ball**3).sum()) / norms[0] ** 3,
    )


@lru_cache(maxsize=256)
def _transform(shape: tuple[int, int], radius: float, blur: float) -> Singles:
    """The transform of the local filter; it is even, so that this is real."""
    f = _filter(radius, blur)
    whole = np.zeros(shape, dtype=np.float32)
    whole[: 2 * f.half + 1, : 2 * f.half + 1] = f.local
    return np.ascontiguousarray(fft.rfft2(np.roll(whole, (-f.half, -f.half), axis=(0, 1))).real)
