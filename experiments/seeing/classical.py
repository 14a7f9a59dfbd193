"""Classical ways to find particles and columns, each with the settings that are searched for it on tuning scenes.

All are given the square root of the counts, whose noise is even, with what varies slowly taken off. A way returns
rows, columns and some measure of size, which a straight line turns into radii, fitted on the tuning scenes.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import trackpy
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import blob_dog, blob_log, peak_local_max
from skimage.filters import threshold_otsu
from skimage.measure import regionprops
from skimage.segmentation import watershed

Array = NDArray[np.float64]
Settings = Mapping[str, float]
Way = Callable[[Array, Settings], Array]

trackpy.quiet()


def prepared(counts: NDArray[np.generic], slow_px: float) -> Array:
    """Square roots of counts (H, W) without what varies over more than some pixels, in standard deviations of noise."""
    root = 2.0 * np.sqrt(np.asarray(counts, dtype=np.float64) + 0.375)
    return np.asarray(root - ndimage.gaussian_filter(root, slow_px))


def by_log(image: Array, s: Settings) -> Array:
    """Laplacians of Gaussians of scikit-image: (n, 3)."""
    return _blobs(blob_log, image, s)


def by_dog(image: Array, s: Settings) -> Array:
    """Differences of Gaussians of scikit-image: (n, 3)."""
    return _blobs(blob_dog, image, s)


def _blobs(finder: Callable[..., Any], image: Array, s: Settings) -> Array:
    sizes = {"num_sigma": 8} if finder is blob_log else {"sigma_ratio": 1.5}
    found = finder(
        image, min_sigma=s["least"], max_sigma=s["most"], threshold=s["threshold"], overlap=s["overlap"], **sizes
    )
    return np.asarray(found, dtype=np.float64).reshape(-1, 3)


def by_peaks(image: Array, s: Settings) -> Array:
    """Peaks of the smoothed image (peak_local_max); their height stands for size: (n, 3)."""
    smooth = ndimage.gaussian_filter(image, s["smooth"])
    at = peak_local_max(smooth, min_distance=max(1, round(s["apart"])), threshold_abs=s["threshold"])  # type: ignore[no-untyped-call]
    return np.column_stack([at, smooth[tuple(at.T)]]).astype(np.float64).reshape(-1, 3)


def by_watershed(image: Array, s: Settings) -> Array:
    """Thresholded, divided by a watershed from the peaks of the distance transform; areas give radii: (n, 3)."""
    smooth = ndimage.gaussian_filter(image, s["smooth"])
    inside = smooth > s["threshold"] * float(threshold_otsu(smooth))  # type: ignore[no-untyped-call]
    depth = ndimage.distance_transform_edt(inside)
    peaks = peak_local_max(depth, min_distance=max(1, round(s["apart"])), labels=ndimage.label(inside)[0])  # type: ignore[no-untyped-call]
    marked = np.zeros(image.shape, dtype=np.int64)
    marked[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    regions = regionprops(watershed(-depth, marked, mask=inside))  # type: ignore[no-untyped-call]
    kept = [(*each.centroid, math.sqrt(each.area / math.pi)) for each in regions if each.area >= s["area"]]
    return np.array(kept, dtype=np.float64).reshape(-1, 3)


def by_trackpy(image: Array, s: Settings) -> Array:
    """Crocker and Grier's centroids as trackpy has them; the radius of gyration stands for size: (n, 3)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = trackpy.locate(
            image - image.min(),
            diameter=2 * round(s["diameter"] / 2) + 1,
            minmass=s["mass"],
            separation=s["apart"],
            noise_size=s["smooth"],
        )
    return np.asarray(found[["y", "x", "size"]], dtype=np.float64).reshape(-1, 3)


WAYS: Mapping[str, Way] = {
    "LoG": by_log,
    "DoG": by_dog,
    "local maxima": by_peaks,
    "watershed": by_watershed,
    "trackpy": by_trackpy,
}
RANGES: Mapping[str, Mapping[str, Mapping[str, tuple[float, float]]]] = {
    "particles": {
        "LoG": {"least": (1.0, 3.0), "most": (6.0, 14.0), "threshold": (0.15, 3.0), "overlap": (0.1, 0.7)},
        "DoG": {"least": (1.0, 3.0), "most": (6.0, 14.0), "threshold": (0.1, 2.5), "overlap": (0.1, 0.7)},
        "local maxima": {"smooth": (1.0, 5.0), "apart": (2.0, 10.0), "threshold": (0.2, 4.0)},
        "watershed": {"smooth": (0.7, 4.0), "apart": (2.0, 10.0), "threshold": (0.5, 1.6), "area": (6.0, 60.0)},
        "trackpy": {"diameter": (7.0, 23.0), "mass": (20.0, 2000.0), "apart": (4.0, 16.0), "smooth": (0.7, 2.5)},
    },
    "columns": {
        "LoG": {"least": (1.2, 2.0), "most": (2.1, 3.0), "threshold": (0.02, 1.0), "overlap": (0.3, 0.9)},
        "DoG": {"least": (1.0, 2.0), "most": (2.1, 3.5), "threshold": (0.02, 1.0), "overlap": (0.3, 0.9)},
        "local maxima": {"smooth": (0.8, 2.5), "apart": (2.0, 5.0), "threshold": (-1.5, 1.0)},
        "trackpy": {"diameter": (5.0, 9.0), "mass": (1.0, 300.0), "apart": (3.0, 6.0), "smooth": (0.7, 2.5)},
    },
}
"""Between what settings are searched, evenly in their logarithm where both ends are above 0."""

SLOW_PX = 40.0


def drawn(task: str, way: str, random: np.random.Generator) -> dict[str, float]:
    """One trial of a search: settings drawn from the ranges of a way."""
    found = {}
    for name, (low, high) in RANGES[task][way].items():
        even = random.uniform()
        found[name] = low * (high / low) ** even if low > 0.0 else low + (high - low) * even
    return found


FILTERS = ("disc", "Gaussian", "LoG")


def brightness(image: NDArray[np.generic], at: Array, filtered: str, scale_px: float) -> Array:
    """How bright an image is around sites (n, 2), by one of FILTERS of some scale, in parts of the median site (n,)."""
    counts = np.asarray(image, dtype=np.float64)
    if filtered == "disc":
        reach = math.ceil(scale_px)
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        smooth = ndimage.convolve(counts, (np.hypot(y, x) <= scale_px).astype(np.float64))
    elif filtered == "Gaussian":
        smooth = ndimage.gaussian_filter(counts, scale_px)
    else:
        smooth = -ndimage.gaussian_laplace(counts, scale_px)
    seen = ndimage.map_coordinates(smooth, at.T, order=1, mode="nearest")
    return np.asarray(seen / max(float(np.median(seen)), 1e-12))
