"""What of an image, spectrum or pattern is looked at: numbers that hold for any specimen, for each cell that was seen.

Counts become shares of the incident electrons, and what counting alone makes of variances is taken off, so that the
numbers mean the same at every dose.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from hardware_bridge.geometry import Point, field_centre_nm
from hardware_bridge.messages import Capabilities
from hardware_bridge.observation import Observation
from hardware_bridge.report import Card

Array = NDArray[np.float64]

LEAST_PART = 0.2
"""Least share of a field, or of a cell, that must lie in a cell for it to be read there."""

SCALES = (1, 2, 4, 8)
LEVELS = (3.0, 10.0, 25.0, 50.0, 75.0, 90.0, 97.0)
SIGMAS = (4.0, 8.0)
RINGS, ORDERS = 24, (2, 4, 6)
FLUENCE_SHARE = 0.01
"""Of the most that a world's card allows: fluence is told as ln(1 + fluence over that)."""

DOSE_CELLS = 128


@dataclass(frozen=True)
class Patch:
    """What one observation shows of one cell: ``data`` (h, w, ...), electrons a pixel, and where it lies.

    ``corner`` is the row and column of its first pixel in the whole, ``box`` rows and columns (r0, r1, c0, c1) of the
    dose map that the patch covers.
    """

    cell: int
    corner: tuple[int, int]
    data: NDArray[np.generic]
    electrons: float
    pixel_nm: float
    box: tuple[int, int, int, int]


class Dose:
    """Electrons that fell so far, by cells of a fine map of the specimen: what the reader saw happen, nothing else."""

    def __init__(self, extent_nm: float) -> None:
        self.cell_nm = extent_nm / DOSE_CELLS
        self._half_nm = extent_nm / 2
        self._fluence = np.zeros((DOSE_CELLS, DOSE_CELLS))

    def box(self, centre_nm: Point, size_nm: Point) -> tuple[int, int, int, int]:
        """Rows and columns that a field around a centre covers, at least one of each."""
        found: list[int] = []
        for middle, width in ((centre_nm[1], size_nm[1]), (centre_nm[0], size_nm[0])):
            low = round((middle - width / 2 + self._half_nm) / self.cell_nm)
            high = round((middle + width / 2 + self._half_nm) / self.cell_nm)
            low = min(max(low, 0), DOSE_CELLS - 1)
            found += [low, max(low + 1, min(high, DOSE_CELLS))]
        return found[0], found[1], found[2], found[3]

    def add(self, box: tuple[int, int, int, int], fluence_e_per_A2: float) -> None:
        """Take in what fell on a box."""
        self._fluence[box[0] : box[1], box[2] : box[3]] += fluence_e_per_A2

    def mean(self, box: tuple[int, int, int, int]) -> float:
        """Mean fluence of a box in e/A^2."""
        return float(self._fluence[box[0] : box[1], box[2] : box[3]].mean())


def patches(observation: Observation, card: Card, capabilities: Capabilities, dose: Dose) -> Iterator[Patch]:
    """The parts of an observation by the cells of the card that they show; none where it holds nothing to read."""
    acquire, data = observation.command.acquire, observation.data
    if acquire is None or acquire.blanked or data is None or not observation.row_seen.all() or observation.gaps:
        return
    if observation.state.go.scan_rotation_deg or observation.electrons <= 0.0:
        return
    height, width = data.shape[:2]
    pixel_nm, cell_nm = acquire.fov_nm / acquire.pixels_x, card.extent_nm / card.cells
    x, y = field_centre_nm(observation.state.go, capabilities)
    rows = _cells(y, height, pixel_nm, card)
    columns = _cells(x, width, pixel_nm, card)
    electrons = observation.electrons / (height * width * acquire.max_frames)
    for row in np.unique(rows):
        for column in np.unique(columns):
            tall, wide = np.flatnonzero(rows == row), np.flatnonzero(columns == column)
            part = tall.size * wide.size
            enough = part >= LEAST_PART * min(height * width, (cell_nm / pixel_nm) ** 2)
            if not (enough and 0 <= row < card.cells and 0 <= column < card.cells):
                continue
            middle = (
                x + (wide.mean() + 0.5 - width / 2) * pixel_nm,
                y + (tall.mean() + 0.5 - height / 2) * pixel_nm,
            )
            yield Patch(
                cell=int(row * card.cells + column),
                corner=(int(tall[0]), int(wide[0])),
                data=data[tall[0] : tall[-1] + 1, wide[0] : wide[-1] + 1],
                electrons=electrons,
                pixel_nm=pixel_nm,
                box=dose.box(middle, (wide.size * pixel_nm, tall.size * pixel_nm)),
            )


def _cells(centre_nm: float, pixels: int, pixel_nm: float, card: Card) -> NDArray[np.int_]:
    """Row or column of the card's grid that each pixel lies in."""
    place = centre_nm + (np.arange(pixels) + 0.5 - pixels / 2) * pixel_nm
    return np.asarray(np.floor((place / card.extent_nm + 0.5) * card.cells).astype(int))


def context(patch: Patch, observation: Observation, card: Card, before_e_per_A2: float) -> Array:
    """How a patch was looked at, (5,): electrons a pixel, size of pixel and patch, fluence before, C10."""
    unit = FLUENCE_SHARE * card.max_fluence_e_per_A2
    return np.array(
        [
            math.log(patch.electrons),
            math.log(patch.pixel_nm * card.cells / card.extent_nm),
            math.log(patch.data.shape[0] * patch.data.shape[1]),
            math.log1p(before_e_per_A2 / unit),
            observation.state.optics.C10_nm or 0.0,
        ]
    )


def of_image(patch: Patch) -> Array:
    """Numbers of an image (h, w): its mean, its power and tails at several scales, and how many peaks stand out."""
    image = patch.data.astype(np.float64) / patch.electrons
    mean = max(float(image.mean()), 1.0 / (patch.electrons * image.size))
    found = [math.log(mean)]
    for scale in SCALES:
        coarse = _blocks(image, scale)
        noise = mean / (patch.electrons * scale**2)
        power = _blocks_apart(coarse)
        found.append(_root((power - 0.75 * noise) / mean**2))
        if scale in (2, 4):
            low = np.percentile(coarse, LEVELS) / mean
            found += low.tolist()
            found.append(_cubic(float(((coarse - coarse.mean()) ** 3).mean()) / mean**3))
            middle = float(np.median(coarse))
            peak = (coarse == maximum_filter(coarse, 3)) & (coarse > middle)
            spread = math.sqrt(max(middle, mean / 10) / (patch.electrons * scale**2))
            for sigma in SIGMAS:
                found.append(math.sqrt(float((peak & (coarse > middle + sigma * spread)).mean())))
                found.append(math.sqrt(float((coarse > middle + sigma * spread).mean())))
    return np.array(found)


def counts_of(patch: Patch) -> Array:
    """The spectrum (E,) of a patch of (h, w, E), in electrons."""
    return np.asarray(patch.data.reshape(-1, patch.data.shape[-1]).sum(axis=0, dtype=np.float64))


def of_spectrum(patch: Patch, zero: int | None) -> Array:
    """Square roots of the shares of electrons in each channel (E,), shifted so that the zero loss is where it belongs.

    ``zero`` is the channel of zero loss, if it lies on the axis.
    """
    counts = counts_of(patch)
    if zero is not None:
        low, high = max(0, zero - 8), zero + 9
        window = counts[low:high]
        if window.sum() > 0:
            counts = _shifted(counts, float((window * np.arange(low, low + window.size)).sum() / window.sum()) - zero)
    total = patch.electrons * patch.data.shape[0] * patch.data.shape[1]
    return np.asarray(np.sqrt(counts / total))


def of_pattern(patch: Patch) -> Array:
    """Numbers of patterns (h, w, K, K): of every ring its mean, how much spots stand out in it, and its harmonics.

    Spots stand out in each pattern by itself, however much they differ from those of the next one.
    """
    patterns = patch.data.reshape(-1, patch.data.shape[-2] * patch.data.shape[-1]).astype(np.float64) / patch.electrons
    ring, count, waves = rings(patch.data.shape[-1])
    means = np.stack([np.bincount(ring, each, RINGS + 1)[:RINGS] / count for each in patterns])
    squares = np.stack([np.bincount(ring, each**2, RINGS + 1)[:RINGS] / count for each in patterns])
    mean, spread = means.mean(axis=0), (squares - means**2 - means / patch.electrons).mean(axis=0)
    flat = patterns.mean(axis=0)
    sums = [np.bincount(ring, flat * wave, RINGS + 1)[:RINGS] / count for wave in waves]
    turned = np.concatenate(sums) / np.tile(np.maximum(mean, 1e-3 * mean.max() + 1e-12), len(sums))
    return np.concatenate([np.sqrt(mean), np.sign(spread) * np.sqrt(np.abs(spread)), turned])


@lru_cache(maxsize=4)
def rings(size: int) -> tuple[NDArray[np.int_], Array, tuple[Array, ...]]:
    """Ring of each pixel of a pattern (RINGS beyond them), pixels in each, and cosines and sines around it."""
    along = np.arange(size) - size // 2
    radius, angle = np.hypot(along[:, None], along), np.arctan2(along[:, None], along)
    ring = np.minimum(radius / (size / 2) * RINGS, RINGS).astype(int).ravel()
    count = np.maximum(np.bincount(ring, minlength=RINGS + 1)[:RINGS], 1).astype(np.float64)
    waves = [wave(order * angle).ravel() for order in ORDERS for wave in (np.cos, np.sin)]
    return ring, count, tuple(waves)


def _shifted(counts: Array, channels: float) -> Array:
    at = np.arange(len(counts)) + channels
    return np.asarray(np.interp(at, np.arange(len(counts)), counts))


def _blocks(image: Array, size: int) -> Array:
    """Means of square blocks; what does not fill one is left out, and an image smaller than one is one block."""
    size = min(size, *image.shape)
    high, wide = image.shape[0] // size, image.shape[1] // size
    return np.asarray(image[: high * size, : wide * size].reshape(high, size, wide, size).mean(axis=(1, 3)))


def _blocks_apart(image: Array) -> float:
    """Power that is lost where blocks of two by two are averaged."""
    high, wide = max(1, image.shape[0] // 2 * 2), max(1, image.shape[1] // 2 * 2)
    return max(float(image[:high, :wide].var() - _blocks(image, 2).var()), 0.0)


def _root(value: float) -> float:
    return math.copysign(math.sqrt(abs(value)), value)


def _cubic(value: float) -> float:
    return math.copysign(abs(value) ** (1 / 3), value)
