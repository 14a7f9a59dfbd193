"""Blobs that are too long for one ball are taken for two that touch."""

from __future__ import annotations

import math

import numpy as np

from agent.perception.fit import Blobs, Blur, Canvas, model
from agent.perception.scan import Array

# Elongation (difference over sum of second moments) of a pair of equal touching balls is 0.56, of one ball 0.
LEAST_ELONGATION = 0.15
SIGNIFICANT = 4.0
REACH = 1.25
LEAST_RADIUS_PX = 2.0


def split(canvas: Canvas, blobs: Blobs, blur: Blur) -> Blobs:
    """Replace every blob that is clearly elongated by two, apart along its axis, each with half of its volume."""
    if not blobs.count:
        return blobs
    excess = canvas.counts - model(canvas, blobs, blur)
    values, cov = [], []
    for i in range(blobs.count):
        own = Blobs(blobs.values[i : i + 1], blobs.cov[i : i + 1])
        axis = _axis(canvas, excess, own, blur)
        if axis is None:
            values.append(blobs.values[i])
            cov.append(blobs.cov[i])
            continue
        radius = math.exp(blobs.values[i, 2])
        for side in (-1.0, 1.0):
            half = blobs.values[i].copy()
            half[:2] += side * 0.55 * radius * axis
            half[2] += math.log(0.62)
            half[3] -= math.log(2.0)
            values.append(half)
            cov.append(blobs.cov[i])
    return Blobs(np.array(values), np.array(cov))


def _axis(canvas: Canvas, excess: Array, blob: Blobs, blur: Blur) -> Array | None:
    """Direction (rows, columns) in which a blob is longer than a ball, None if it is not clearly so."""
    row, column, ln_radius, ln_flux, _ = blob.values[0]
    radius = math.exp(ln_radius)
    if radius < LEAST_RADIUS_PX:
        return None
    reach = math.ceil(REACH * radius + 2.0 * blur.px)
    r0, c0 = max(0, round(row) - reach), max(0, round(column) - reach)
    part = np.s_[r0 : round(row) + reach + 1, c0 : round(column) + reach + 1]
    counts, background = excess[part], canvas.background[part]
    if counts.size == 0:
        return None
    y = np.arange(r0, r0 + counts.shape[0])[:, None] - row
    x = np.arange(c0, c0 + counts.shape[1])[None, :] - column
    inside = (y**2 + x**2 < (REACH * radius + blur.px) ** 2).astype(np.float64)
    # Second moments of what the ball leaves over, in units of the ball's own flux and size: R^2 / 5 along an axis.
    flux = math.exp(ln_flux)
    along, across = inside * (y**2 - x**2), inside * 2.0 * y * x
    noise = canvas.variance(background + np.maximum(canvas.counts[part] - background - counts, 0.0))
    moments = np.array([float((counts * m).sum()) for m in (along, across)])
    sd = math.sqrt(max(float((noise * along**2).sum()), float((noise * across**2).sum())))
    size = math.hypot(*moments)
    if size < SIGNIFICANT * sd or size < LEAST_ELONGATION * flux * (0.4 * radius**2 + 2.0 * blur.px**2):
        return None
    angle = 0.5 * math.atan2(moments[1], moments[0])
    return np.array([math.cos(angle), math.sin(angle)])
