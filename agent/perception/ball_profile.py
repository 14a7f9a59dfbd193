"""What a small sphere looks like: its projected thickness, blurred.

Lengths are in units of the blur (the standard deviation of a Gaussian along one axis). The profile has unit volume, so
that its height times a flux is an image. From the transform of a ball, 3 (sin x - x cos x) / x^3 with x = q R, times
exp(-q^2 / 2), by a Hankel transform; tabled once, then interpolated.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import j0, j1

from agent.perception.scan import Array

RADIUS_LEAST, RADIUS_MOST = 0.1, 30.0
# The table ends this many blurs outside the sphere.
MARGIN = 4.5
RADII, DISTANCES = 56, 160


@lru_cache(maxsize=1)
def _table() -> tuple[NDArray[np.float64], float]:
    """Return (3, RADII, DISTANCES + 1) and the step of ln radius.

    The first axis is the profile, its slope along the distance and along ln radius, in units of the table's own reach,
    so that edges of neighbouring radii fall on the same place and can be interpolated.
    """
    step = math.log(RADIUS_MOST / RADIUS_LEAST) / (RADII - 1)
    q = np.linspace(0.0, 5.5, 600)[1:]
    weight = (q[1] - q[0]) * q * np.exp(-0.5 * q**2) / (2.0 * math.pi)
    table = np.zeros((3, RADII, DISTANCES + 1))
    for i in range(RADII):
        radius = RADIUS_LEAST * math.exp(i * step)
        x = q * radius
        ball = np.where(x > 1e-3, 3.0 * (np.sin(x) - x * np.cos(x)) / x**3, 1.0 - x**2 / 10.0)
        to_radius = np.where(x > 1e-3, 3.0 * np.sin(x) / x - 3.0 * ball, -(x**2) / 5.0)
        reach = radius + MARGIN
        distance = np.linspace(0.0, reach, DISTANCES)
        inner = np.outer(distance, q)
        bessel = j0(inner)
        table[0, i, :-1] = bessel @ (weight * ball) * reach**2
        table[1, i, :-1] = -j1(inner) @ (weight * ball * q) * reach**3
        table[2, i, :-1] = bessel @ (weight * to_radius) * reach**2
    return table, step


def profile(distance: Array, radius: Array) -> tuple[Array, Array, Array]:
    """Height, slope along distance and slope along ln radius of a blurred ball of unit volume.

    ``distance`` (n, ...) and ``radius`` (n,) are in blurs; radii outside 0.1..30 are taken as the nearest of these.
    Each (n, ...); zero far outside.
    """
    table, step = _table()
    inside = np.clip(radius, RADIUS_LEAST, RADIUS_MOST)
    level = np.log(inside / RADIUS_LEAST) / step
    low = np.minimum(level.astype(np.intp), RADII - 2)
    share = (level - low)[:, None]
    reach = inside + MARGIN
    shape = (-1,) + (1,) * (distance.ndim - 1)
    # The last column of the table is zero: all that lies farther out.
    at = np.minimum(distance * ((DISTANCES - 1) / reach).reshape(shape), float(DISTANCES))
    left = np.minimum(at.astype(np.intp), DISTANCES - 1)
    part = at - left
    left += np.arange(len(radius)).reshape(shape) * (DISTANCES + 1)
    scale = 1.0 / reach**2
    units = np.stack([scale, scale / reach, scale])[:, :, None]
    lines = (table[:, low] * (1.0 - share) + table[:, low + 1] * share) * units
    steps = np.zeros_like(lines)
    steps[:, :, :-1] = lines[:, :, 1:] - lines[:, :, :-1]
    found = [line.take(left) + part * step.take(left) for line, step in zip(lines, steps, strict=True)]
    return found[0], found[1], found[2]
