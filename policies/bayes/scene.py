"""Places where a spectrum may be taken, and what an image shows around each of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from policies.bayes.kernel import Array

LEAST_POINTS = 8


@dataclass(frozen=True)
class Scene:
    """N places on a grid, row by row, and what the image around each looks like.

    ``looks`` (N, C) are principal components of the patches, in units of the spread of the first; ``places`` (N, 2) are
    x and y in units of the longer edge of the grid.
    """

    looks: Array
    places: Array

    @classmethod
    def of(cls, image: Array, grid: tuple[int, int], patch_px: int, components: int) -> Scene:
        """Cut patches of ``patch_px`` x ``patch_px`` pixels around ``grid`` (rows, columns) places out of an image.

        The image (H, W) covers the same field as the grid; at its edges it is continued as in a mirror. Where patches
        hold fewer numbers than ``components``, there are fewer components.

        Raises:
            ValueError: the image is no finite (H, W), is coarser than the grid, or is smaller than a patch.
        """
        rows, columns = grid
        if image.ndim != 2 or not np.isfinite(image).all():
            raise ValueError(f"image: {image.shape} pixels, all must be finite, (H, W)")
        if rows * columns < LEAST_POINTS:
            raise ValueError(f"grid: {rows} x {columns} places, at least {LEAST_POINTS} are needed")
        if image.shape[0] < rows or image.shape[1] < columns:
            raise ValueError(f"image: {image.shape[0]} x {image.shape[1]} pixels, at least {rows} x {columns} places")
        if not 1 <= patch_px <= min(image.shape):
            raise ValueError(f"patch_px = {patch_px}: 1 to {min(image.shape)}, the image's shorter edge")
        patches = _patches(image.astype(np.float64), grid, patch_px)
        y, x = np.indices(grid).reshape(2, -1)
        return cls(_components(patches, components), np.stack([x, y], axis=1) / max(rows, columns))


def _patches(image: Array, grid: tuple[int, int], patch_px: int) -> Array:
    """The patch around each place, (N, patch_px^2); the place lies in its middle, to half a pixel."""
    before, after = patch_px // 2, patch_px - patch_px // 2
    wide = np.pad(image, ((before, after), (before, after)), mode="symmetric")
    # The first pixel of a patch, counted on the widened image, whose middle is nearest to the middle of a cell.
    down, across = (
        before + np.floor((np.arange(n) + 0.5) * size / n - 0.5 * patch_px + 0.5).astype(int)
        for n, size in zip(grid, image.shape, strict=True)
    )
    windows = sliding_window_view(wide, (patch_px, patch_px))
    return np.asarray(windows[np.ix_(down, across)]).reshape(grid[0] * grid[1], -1)


def _components(patches: Array, most: int) -> Array:
    """Principal components of patches (N, P), (N, C) in units of the spread of the first; 0 where all is flat."""
    centred = patches - patches.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    found = centred @ vectors[:, ::-1][:, :most]
    scale = float(np.sqrt(max(values[-1], 0.0)))
    return np.asarray(found / scale) if scale > 1e-12 * (1.0 + np.abs(patches).max()) else np.zeros_like(found)
