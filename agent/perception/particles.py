"""Particles in one image: found, fitted, found again in what is left, and kept where they are certain enough."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from agent.perception.background import Background, find_background
from agent.perception.detection import Candidates, detect
from agent.perception.fit import Blobs, Blur, Canvas, Contrast, blobs_at, fit, model
from agent.perception.pieces import split
from agent.perception.scan import Array, Bools

FIRST_STEPS, SECOND_STEPS, LAST_STEPS = 4, 3, 2
MOST = 200
MOST_AREA_PX = 120_000.0
LEAST_SNR = 5.0
# Two particles that touch are one before long: centres lie apart by the larger radius and this share of the smaller.
OUTSIDE = 0.4
# What the first pass has missed beside a large particle is small.
SECOND_RADIUS_PX = 5.0


@dataclass(frozen=True)
class Found:
    """What is in one image: blobs in pixels, their significance (n,), the blur, and the background below them."""

    blobs: Blobs
    significance: Array
    blur: Blur
    background: Background


def find_particles(counts: Array, incident: float, blur: Blur, contrast: Contrast) -> Found:
    """Find and fit all particles in an image of linear electron counts, (H, W), with ``incident`` sent per pixel.

    ``blur`` is what is believed of the blur, pixel included; ``contrast`` what is believed of
    ln(counts per pixel and pixel of thickness).
    """
    background = find_background(counts)
    canvas = Canvas(counts, background.counts, background.relative_sd, incident, blur, contrast)
    first = detect(counts - background.counts, canvas.variance(background.counts), blur.px)
    blobs, blur = fit(canvas, _start(first), blur, FIRST_STEPS)
    if blobs.count:
        explained = model(canvas, blobs, blur)
        rest = detect(counts - explained, canvas.variance(explained), blur.px, SECOND_RADIUS_PX)
        if rest.rows.size:
            more = _start(rest, blobs.count)
            blobs = Blobs(np.concatenate([blobs.values, more.values]), np.concatenate([blobs.cov, more.cov]))
            blobs, blur = fit(canvas, blobs, blur, SECOND_STEPS)
    kept = blobs.picked((significance(blobs, contrast) >= LEAST_SNR) & _apart(blobs))
    undivided = kept.count
    divided = split(canvas, kept, blur)
    kept, blur = fit(canvas, divided, blur, LAST_STEPS if divided.count == undivided else FIRST_STEPS)
    if kept.count > undivided:
        kept = kept.picked((significance(kept, contrast) >= LEAST_SNR) & _apart(kept))
    return Found(blobs=kept, significance=significance(kept, contrast), blur=blur, background=background)


def significance(blobs: Blobs, contrast: Contrast) -> Array:
    """Flux in units of its standard deviation where everything else is known, (n,)."""
    information = np.linalg.inv(blobs.cov)[:, 3, 3] if blobs.count else np.zeros(0)
    return np.sqrt(np.maximum(information - 1.0 / contrast.sd**2, 0.0))


def _apart(blobs: Blobs) -> Bools:
    """Blobs that do not lie within a brighter one: parts of one particle whose shape the fit does not quite match."""
    values = blobs.values[np.argsort(-blobs.values[:, 3], kind="stable")]
    keep = np.ones(blobs.count, dtype=bool)
    for i in range(1, blobs.count):
        row, column, ln_radius = values[i, :3]
        others = values[:i][keep[:i]]
        apart = np.hypot(others[:, 0] - row, others[:, 1] - column)
        keep[i] = not (apart < np.exp(others[:, 2]) + OUTSIDE * math.exp(ln_radius)).any()
    restored = np.empty_like(keep)
    restored[np.argsort(-blobs.values[:, 3], kind="stable")] = keep
    return restored


def _start(found: Candidates, held: int = 0) -> Blobs:
    """The highest candidates, so that an image full of particles (or of nothing but noise) takes bounded time."""
    area = np.cumsum((2.0 * found.radius + 9.0) ** 2)
    most = min(max(MOST - held, 0), int((area < MOST_AREA_PX).sum()))
    return blobs_at(found.rows[:most], found.columns[:most], found.radius[:most], found.flux[:most])
