"""What an image would show without particles: a smooth surface, found where nothing stands out."""

from __future__ import annotations

from dataclasses import dataclass

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
    blocks = counts[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK).mean(axis=(1, 3)).ravel()
    middle = BLOCK / 2 - 0.5
    y = (np.repeat(np.arange(rows) * BLOCK + middle, columns)) / counts.shape[0] - 0.5
    x = (np.tile(np.arange(columns) * BLOCK + middle, rows)) / counts.shape[1] - 0.5
    design = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
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
        coefficients = np.linalg.lstsq(design[inside], blocks[inside], rcond=None)[0]
        surface = np.maximum(design @ coefficients, 0.0)
    mean = max(float(surface[inside].mean()), 1e-12)
    excess = float(np.var(blocks[inside] - surface[inside])) - mean / BLOCK**2
    full_y = np.arange(counts.shape[0])[:, None] / counts.shape[0] - 0.5
    full_x = np.arange(counts.shape[1])[None, :] / counts.shape[1] - 0.5
    c = coefficients
    whole = c[0] + c[1] * full_x + c[2] * full_y + c[3] * full_x**2 + c[4] * full_x * full_y + c[5] * full_y**2
    return Background(
        counts=np.maximum(whole, 1e-3 * mean),
        relative_sd=max(excess, 0.0) ** 0.5 / mean,
        share=float(inside.mean()),
    )
