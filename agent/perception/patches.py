"""Patches: areas of even brightness in an image, found without a model of what the specimen is.

The noise is measured on the image itself, so that gain, offset and counting statistics need not be known. Where the
smoothed image is flat a patch begins, along steep lines two of them meet (watershed), and neighbours that noise alone
could tell apart are one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from agent.perception.scan import Array

Labels = NDArray[np.int64]

SMOOTH_PX = 1.0
# Slopes below this many standard deviations of what noise makes are flat.
FLAT = 3.0
# By how many standard deviations neighbours must differ to be two, and a patch from the background to be one.
APART, STANDS_OUT = 6.0, 8.0
# What is darker than this quantile is background.
DARK = 0.2
LEAST_PX = 12


@dataclass(frozen=True)
class Patch:
    """One patch, in pixels: its middle, the radius of a disc as large, and its brightness over the background.

    ``snr`` is that brightness in standard deviations of its mean.
    """

    row: float
    column: float
    radius: float
    brightness: float
    snr: float


def noise_sd(image: Array) -> float:
    """Standard deviation of a pixel's noise, from what differs between the diagonals of 2 x 2 pixels.

    Even areas and slopes add nothing to that, and edges are too few for a median.
    """
    across = 0.5 * (image[1:, 1:] - image[1:, :-1] - image[:-1, 1:] + image[:-1, :-1])
    return float(1.4826 * np.median(np.abs(across)))


def find_patches(image: Array) -> list[Patch]:
    """Find the patches that lie wholly in an image, (H, W) in any unit, and are brighter than its darkest part."""
    noise = noise_sd(image)
    if not noise > 0.0:
        return []
    labels = _segments(image, noise)
    sizes = np.bincount(labels.ravel())
    means = np.bincount(labels.ravel(), image.ravel()) / sizes
    smooth = ndimage.gaussian_filter(image, SMOOTH_PX)
    background = means[np.bincount(labels[smooth <= np.quantile(smooth, DARK)]).argmax()]
    brightness = means - background
    snr = brightness / noise * np.sqrt(sizes)
    whole = np.ones(sizes.size, dtype=bool)
    whole[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = False
    return [
        Patch(*_middle(labels == n), math.sqrt(sizes[n] / math.pi), float(brightness[n]), float(snr[n]))
        for n in np.flatnonzero(whole & (sizes >= LEAST_PX) & (snr > STANDS_OUT))
    ]


def _segments(image: Array, noise: float) -> Labels:
    """Number the pixels of an image by the patch that they are in, (H, W), from 0 without gaps."""
    slope = ndimage.gaussian_gradient_magnitude(image, SMOOTH_PX)
    # White noise, smoothed and differentiated along one axis, has a standard deviation of noise / (sqrt(8 pi) s^2).
    flat = slope < FLAT * noise / (math.sqrt(8.0 * math.pi) * SMOOTH_PX**2)
    seeds, count = ndimage.label(ndimage.binary_erosion(flat))
    if not count:
        return np.zeros(image.shape, dtype=np.int64)
    flooded = watershed(slope, seeds) - 1  # type: ignore[no-untyped-call]  # scikit-image has no types
    return _joined(image, np.asarray(flooded, dtype=np.int64), noise)


def _joined(image: Array, labels: Labels, noise: float) -> Labels:
    """Join neighbours that differ by no more than noise, those that differ least first."""
    sizes = np.bincount(labels.ravel()).astype(np.float64)
    sums = np.bincount(labels.ravel(), image.ravel())
    beside = [(labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])]
    codes = np.concatenate([(np.minimum(a, b) * sizes.size + np.maximum(a, b))[a != b] for a, b in beside])
    pairs = np.stack(np.divmod(np.unique(codes), sizes.size))
    becomes = np.arange(sizes.size)
    while True:
        pairs = pairs[:, pairs[0] != pairs[1]]
        a, b = pairs
        differ = np.abs(sums[a] / sizes[a] - sums[b] / sizes[b]) / (noise * np.sqrt(1.0 / sizes[a] + 1.0 / sizes[b]))
        if not differ.size or differ.min() > APART:
            return np.asarray(np.unique(becomes, return_inverse=True)[1][labels])
        kept, gone = pairs[:, differ.argmin()]
        sizes[kept] += sizes[gone]
        sums[kept] += sums[gone]
        becomes[becomes == gone] = kept
        pairs[pairs == gone] = kept


def _middle(inside: NDArray[np.bool_]) -> tuple[float, float]:
    """The centroid of a patch, or the pixel deepest in it where the centroid lies outside."""
    row, column = ndimage.center_of_mass(inside)
    if not inside[round(row), round(column)]:
        row, column = divmod(int(ndimage.distance_transform_edt(inside).argmax()), inside.shape[1])
    return float(row), float(column)
