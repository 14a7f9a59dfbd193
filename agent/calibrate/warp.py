"""The affine map between two images of one place that differ by a turn or by their scale.

One image is laid over the other by a guess of the map, which is then mended until the difference is least (Gauss and
Newton on intensities; Lucas and Kanade, Proc. IJCAI 674, 1981), first with much smoothing, then with little. The error
comes from what is left of the difference, summed in blocks, since it is alike from pixel to pixel (sandwich formula).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates, sobel

from agent.calibrate.bench import NotCalibrated
from agent.perception.registration import best_match, shift_between
from agent.perception.scan import Array, Bools
from hardware_bridge.report import Estimate

SMOOTHINGS_PX = (4.0, 2.0, 1.0)
STEPS = 8
STILL = 1e-5
"""Steps end where they turn or stretch by less than this."""

BLOCK_PX = 16
LEAST_ALIKE = 0.5
"""Correlation that two images must have in the end."""

LEAST_SHARED = 0.3


@dataclass(frozen=True)
class Warp:
    """Angle in degrees by which content is turned, x towards y, and the factor by which it is magnified.

    ``alike`` is the correlation of the images laid over each other.
    """

    angle_deg: Estimate
    factor: Estimate
    alike: float


def warp_between(step: str, a: Array, b: Array, guess: Array) -> Warp:
    """Measure the map from places in a to places in b, in pixels about the middles of both; ``guess`` is (2, 2).

    Raises:
        NotCalibrated: the images do not match.
    """
    matrix = guess.astype(float)
    offset = _offset(step, a, b, matrix)
    for smoothing in SMOOTHINGS_PX:
        smooth_a, smooth_b = gaussian_filter(a, smoothing), gaussian_filter(b, smoothing)
        for _ in range(STEPS):
            fit = _Fit.of(smooth_a, smooth_b, matrix, offset)
            offset = offset + matrix @ fit.mend[2]
            matrix = matrix @ (np.eye(2) + fit.mend[:2].T)
            if np.abs(fit.mend[:2]).max() < STILL or fit.alike == 0.0:
                break
    if fit.alike < LEAST_ALIKE:
        raise NotCalibrated(
            f"{step}: laid over each other the images are alike by {fit.alike:.2f} only ({LEAST_ALIKE:g} is needed): "
            "more features or more electrons are needed"
        )
    angle = math.atan2(matrix[1, 0] - matrix[0, 1], matrix[0, 0] + matrix[1, 1])
    factor = math.sqrt(abs(float(np.linalg.det(matrix))))
    return Warp(
        angle_deg=Estimate(value=math.degrees(angle), sd=math.degrees(fit.sd_of(np.array([0, 0.5, -0.5, 0])))),
        factor=Estimate(value=factor, sd=factor * fit.sd_of(np.array([0.5, 0, 0, 0.5]))),
        alike=fit.alike,
    )


def _offset(step: str, a: Array, b: Array, matrix: Array) -> Array:
    laid, _ = _laid(b, matrix, np.zeros(2), a.shape)
    whole = shift_between(a, laid)
    if whole is None:
        peak = best_match(a, laid)
        said = f"peak {peak.height:.1f} times its noise, {peak.prominence:.1f} times the next" if peak else "no overlap"
        raise NotCalibrated(f"{step}: the images do not match ({said}): more features or more electrons are needed")
    return np.asarray(matrix @ [whole.columns, whole.rows])


@dataclass(frozen=True)
class _Fit:
    """One step: (3, 2) by which x, y and 1 are to be mended, and its (6, 6) covariance in the order of ``_slopes``."""

    mend: Array
    covariance: Array
    alike: float

    @classmethod
    def of(cls, a: Array, b: Array, matrix: Array, offset: Array) -> _Fit:
        """Compare a with b laid over it; contrast and brightness may differ. With little shared nothing is alike."""
        laid, inside = _laid(b, matrix, offset, a.shape)
        if inside.mean() < LEAST_SHARED:
            return cls(np.zeros((3, 2)), np.eye(6), 0.0)
        slopes = _slopes(laid)[inside]
        design = np.column_stack([slopes, laid[inside], np.ones(int(inside.sum()))])
        information = design.T @ design
        solved = np.linalg.solve(information, design.T @ a[inside])
        rest = a[inside] - design @ solved
        rows, columns = np.nonzero(inside)
        block = rows // BLOCK_PX * (a.shape[1] // BLOCK_PX + 1) + columns // BLOCK_PX
        sums = np.stack([np.bincount(block, rest * column) for column in design.T], axis=1)
        inverse = np.linalg.inv(information)
        covariance = inverse @ (sums.T @ sums) @ inverse
        # Slopes are those of the contrast that is fitted.
        gain = float(solved[6])
        alike = float(np.corrcoef(a[inside], laid[inside])[0, 1])
        mend = (solved[:6] / gain).reshape(3, 2)
        return cls(mend, covariance[:6, :6] / gain**2, alike)

    def sd_of(self, weights: Array) -> float:
        """Standard deviation of a sum of the elements xx, xy, yx, yy with weights (4,)."""
        return math.sqrt(float(weights @ self.covariance[:4, :4] @ weights))


def _slopes(laid: Array) -> Array:
    """How the image changes, (H, W, 6), when places (x, y, 1) move along x and along y."""
    down, across = sobel(laid, axis=0) / 8, sobel(laid, axis=1) / 8
    rows, columns = np.indices(laid.shape)
    x, y = columns - (laid.shape[1] - 1) / 2, rows - (laid.shape[0] - 1) / 2
    return np.stack([x * across, x * down, y * across, y * down, across, down], axis=-1)


def _laid(b: Array, matrix: Array, offset: Array, shape: tuple[int, ...]) -> tuple[Array, Bools]:
    """Image b as it would be on the pixels of a, and where it shows anything."""
    rows, columns = np.indices(shape)
    places = np.stack([columns - (shape[1] - 1) / 2, rows - (shape[0] - 1) / 2], axis=-1) @ matrix.T + offset
    at = np.stack([places[..., 1] + (b.shape[0] - 1) / 2, places[..., 0] + (b.shape[1] - 1) / 2])
    edge = 4
    ends = np.array(b.shape)[:, None, None] - 1 - edge
    inside: Bools = np.all((at >= edge) & (at <= ends), axis=0)
    inside[:edge] = inside[-edge:] = inside[:, :edge] = inside[:, -edge:] = False
    return np.asarray(map_coordinates(b, at, order=1, mode="nearest")), inside
