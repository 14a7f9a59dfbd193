"""Dark references: the level and the noise of the electronics, and what the level gains with the dwell time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.calibrate.twin.evidence import Frame
from agent.calibrate.twin.found import Parameter, known, unknown

MOST_CLIPPED = 1e-3
ROUNDING = 1.0 / 12.0
"""Variance that rounding to whole counts adds, where there is noise enough to spread it."""

LEAST_SPREAD = 0.1
NONE = "no dark reference was recorded: the noise of images fixes read noise^2 - gain x offset alone"


@dataclass(frozen=True)
class Dark:
    """What the detector gives without a beam: level (counts), variance of a pixel (counts^2), and the standard errors.

    ``per_s`` is the dark current with its error, None where one dwell time is all there is.
    """

    level: float
    level_sd: float
    var: float
    var_sd: float
    per_s: tuple[float, float] | None
    clipped: bool

    def at(self, dwell_s: float | None) -> float:
        """The level at a dwell time."""
        return self.level + (self.per_s[0] * dwell_s if self.per_s is not None and dwell_s is not None else 0.0)


def dark_of(frames: Sequence[Frame]) -> Dark | None:
    """Level and noise of dark references; None without any."""
    if not frames:
        return None
    level = np.array([frame.counts.mean() for frame in frames])
    pixels = np.array([frame.counts.size for frame in frames])
    # The spread about each frame's own level: levels may drift, and grow with the dwell time.
    var = float(sum(frame.counts.var(ddof=1) * (n - 1) for frame, n in zip(frames, pixels, strict=True)))
    var /= float((pixels - 1).sum())
    fourth = np.mean([((frame.counts - frame.counts.mean()) ** 4).mean() for frame in frames])
    var_sd = math.sqrt(max(float(fourth) - var**2, 0.0) / float(pixels.sum()))
    clipped = float(np.mean([(frame.counts <= 0.0).mean() for frame in frames])) > MOST_CLIPPED
    weight = pixels / max(var, 1e-12)
    dwell = [frame.dwell_s for frame in frames]
    known_s = np.array([d for d in dwell if d is not None])
    if len(known_s) == len(frames) and np.unique(known_s).size > 1 and var > 0:
        design = np.stack([np.ones(len(frames)), known_s], axis=1)
        cov = np.linalg.inv(design.T * weight @ design)
        base, per_s = cov @ (design.T * weight @ level)
        sds = np.sqrt(np.diag(cov))
        return Dark(float(base), float(sds[0]), var, var_sd, (float(per_s), float(sds[1])), clipped)
    mean, sd = float(np.average(level, weights=pixels)), math.sqrt(var / float(pixels.sum()))
    return Dark(mean, sd, var, var_sd, None, clipped)


def parameters(dark: Dark | None, whole: bool) -> list[Parameter]:
    """Offset, read noise and dark current; ``whole`` says that counts are whole numbers."""
    units = (("offset_counts", "counts"), ("read_noise_counts", "counts"), ("dark_counts_per_s", "counts/s"))
    if dark is None:
        return [unknown(name, unit, NONE) for name, unit in units]
    if dark.var == 0.0:
        exact = "every pixel of the dark references is the same: a counting detector"
        return [
            known("offset_counts", "counts", dark.level, 0.0, exact),
            known("read_noise_counts", "counts", 0.0, 0.0, exact),
            unknown(
                "dark_counts_per_s", "counts/s", "none is seen; less than a count in the dwell time rounds to zero"
            ),
        ]
    if dark.clipped:
        why = "dark references are cut off at 0: raise the detector's offset (brightness) and record them again"
        return [unknown(name, unit, why) for name, unit in units]
    var = dark.var - (ROUNDING if whole and dark.var > LEAST_SPREAD else 0.0)
    noise = math.sqrt(max(var, 1e-12))
    # With little noise the mean of rounded numbers is that of no number in particular.
    blunt = math.sqrt(ROUNDING) if whole and dark.var <= LEAST_SPREAD else 0.0
    per_s = unknown(
        "dark_counts_per_s", "counts/s", "dark references of one dwell time only: its part is in the offset"
    )
    if dark.per_s is not None:
        per_s = known("dark_counts_per_s", "counts/s", *dark.per_s, "dark levels against dwell time")
        if dark.per_s[0] <= 2.0 * dark.per_s[1]:
            most = max(dark.per_s[0], 0.0) + 2.0 * dark.per_s[1]
            per_s = unknown("dark_counts_per_s", "counts/s", f"too small to be seen: below {most:.3g}")
    return [
        known("offset_counts", "counts", dark.level, math.hypot(dark.level_sd, blunt), "level of dark references"),
        known("read_noise_counts", "counts", noise, dark.var_sd / (2.0 * noise), "spread of dark references"),
        per_s,
    ]
