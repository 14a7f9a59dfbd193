"""What an image would show without particles: a smooth surface, found where nothing stands out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from agent.perception.scan import Array

BLOCK = 4
CLIPS = (6.0, 4.0, 3.0, 2.5, 2.5, 2.5)
LEAST_SHARE = 0.1
START_QUANTILE = 0.3


@dataclass(frozen=True)
class Background:
    """Expected counts (H, W) without particles, how uncertain they are, and the share of the image it rests on.

    ``relative_sd`` is what blocks scatter beyond Poisson noise: structure of the support that no smooth surface holds.
    """

    counts: Array
    relative_sd: float
    share: float


def find_background(counts: Array) -> Background:
    """Fit a quadratic surface to the mean of 4 x 4 pixel blocks, leaving out in turn what differs from it."""
    rows, columns = (n // BLOCK for n in counts.shape)
    lines = counts[: rows * BLOCK].reshape(rows, BLOCK, -1).sum(axis=1)
    blocks = lines[:, : columns * BLOCK].reshape(rows, columns, BLOCK).sum(axis=2).ravel() / BLOCK**2
    design = _design(*counts.shape)
    # The darkest blocks are background for sure, as long as it covers more than their share.
    level = float(np.quantile(blocks, START_QUANTILE))
    surface = np.full(blocks.size, level)
    coefficients = np.array([level, 0.0, 0.0, 0.0, 0.0, 0.0])
    inside = np.ones(blocks.size, dtype=bool)
    for clip in CLIPS:
        sd = np.sqrt(np.maximum(surface, 1.0 / BLOCK**2) / BLOCK**2)
        inside = np.abs(blocks - surface) < clip * sd
        if inside.mean() < LEAST_SHARE:
            inside = blocks <= np.quantile(blocks, 2 * START_QUANTILE)
        # Coordinates within +-1/2 and a quadratic: normal equations lose nothing that matters.
        used = design * inside
        coefficients = np.linalg.lstsq(used @ design.T, used @ blocks, rcond=None)[0]
        surface = np.maximum(coefficients @ design, 0.0)
    mean = max(float(surface[inside].mean()), 1e-12)
    excess = float(np.var(blocks[inside] - surface[inside])) - mean / BLOCK**2
    full_y = np.arange(counts.shape[0])[:, None] / counts.shape[0] - 0.5
    full_x = np.arange(counts.shape[1])[None, :] / counts.shape[1] - 0.5
    c = coefficients
    along, tilt = c[0] + full_x * (c[1] + c[3] * full_x), c[2] + c[4] * full_x
    whole = along + full_y * (tilt + c[5] * full_y)
    return Background(
        counts=np.maximum(whole, 1e-3 * mean),
        relative_sd=max(excess, 0.0) ** 0.5 / mean,
        share=float(inside.mean()),
    )


@lru_cache(maxsize=16)
def _design(height: int, width: int) -> Array:
    """What the coefficients of a surface multiply at the middle of every block, (6, n): 1, x, y, x^2, xy, y^2."""
    rows, columns = height // BLOCK, width // BLOCK
    middle = BLOCK / 2 - 0.5
    y = (np.repeat(np.arange(rows) * BLOCK + middle, columns)) / height - 0.5
    x = (np.tile(np.arange(columns) * BLOCK + middle, rows)) / width - 0.5
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y])
