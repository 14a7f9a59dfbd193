"""Particles in one image: found, fitted, found again in what is left, and kept where they are certain enough."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from agent.perception.background import Background, find_background
from agent.perception.ball_profile import MARGIN
from agent.perception.detection import LARGEST, SURROUND, Candidates, detect
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
        rest = _beside(canvas, blobs, blur)
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


def _beside(canvas: Canvas, blobs: Blobs, blur: Blur) -> Candidates:
    """What is left to be found once blobs are explained, in the part of the image that these change."""
    reach = SURROUND * np.exp(blobs.values[:, 2]) + SURROUND * SECOND_RADIUS_PX + MARGIN * blur.px
    span = []
    for k in (0, 1):
        size = canvas.counts.shape[k]
        low, high = (blobs.values[:, k] - reach).min(), (blobs.values[:, k] + reach).max()
        # Not too narrow for the sizes looked for.
        middle = min(max(0.5 * (low + high), 0.0), float(size))
        half = max(0.5 * (high - low), 0.5 * SECOND_RADIUS_PX / LARGEST)
        span.append(slice(max(math.floor(middle - half), 0), min(math.ceil(middle + half) + 1, size)))
    part = span[0], span[1]
    explained = model(canvas, blobs, blur)[part]
    found = detect(canvas.counts[part] - explained, canvas.variance(explained), blur.px, SECOND_RADIUS_PX)
    return replace(found, rows=found.rows + part[0].start, columns=found.columns + part[1].start)


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
