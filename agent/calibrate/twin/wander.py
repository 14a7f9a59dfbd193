"""How a place (or a focus) wanders: a decaying part and an Ornstein-Uhlenbeck process, from a track with its errors.

    x(t) = x0 + A (1 - exp(-t / decay)) + OU(sd, time) + error of measurement

The likelihood is exact, by a Kalman filter; x0 and A are integrated out as linear parameters, each axis of its own
(Rasmussen and Williams, Gaussian Processes, section 2.7). The rate sd^2 / time, which short steps tell well by itself,
time, decay and a white scatter are on a grid, log-uniform between bounds that follow from the track; it is laid finer
where the posterior lies. Means and standard deviations are those of the posterior.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from agent.perception.scan import Array

POINTS = (15, 15, 5, 11)
HEATS = (16.0, 4.0, 1.0)
"""By how much ln likelihood is divided, round by round: a coarse grid may miss a narrow top."""

WIDE = 3.0
"""A finer grid reaches this many standard deviations to either side."""

RATE, TIME, SCATTER, DECAY = range(4)
LEAST = 8


@dataclass(frozen=True)
class Track:
    """Positions (n, axes) at times (n,) s, ascending, with the standard deviation (n,) of each."""

    time_s: Array
    value: Array
    sd: Array


@dataclass(frozen=True)
class Wander:
    """Posterior of ln rate, ln time, ln scatter and ln decay (mean and sd, (4,) each), and of A (axes,).

    ``ln_spread`` is mean and sd of ln sd of the process. ``too_long`` is the share of the posterior at times above a
    third of the track, which it cannot tell from longer ones still, and ``decay_too_long`` that of decays in the
    outermost points of their grid; ``evidence`` is how much better (ln) the decay makes it.
    """

    mean_ln: Array
    sd_ln: Array
    ln_spread: tuple[float, float]
    amplitude: Array
    amplitude_sd: Array
    too_long: float
    decay_too_long: float
    evidence: float


def fit(track: Track, decays: bool) -> Wander | None:
    """Fit a track; without ``decays`` there is no decaying part. None for a track of fewer than LEAST points."""
    if len(track.time_s) < LEAST:
        return None
    bounds = _bounds(track, decays)
    grid = bounds.copy()
    for heat in HEATS:
        axes = [np.linspace(low, high, n if high > low else 1) for (low, high), n in zip(grid, POINTS, strict=True)]
        points = np.stack([each.ravel() for each in np.meshgrid(*axes, indexing="ij")])
        ln, amplitude, var = _likelihood(track, np.exp(points), decays)
        share = np.exp((ln - ln.max()) / heat)
        share /= share.sum()
        mean = points @ share
        sd = np.sqrt(np.maximum(((points - mean[:, None]) ** 2) @ share, 0.0))
        width = np.array([each[1] - each[0] if each.size > 1 else 0.0 for each in axes])
        final = points, share, amplitude, var, ln
        reach = WIDE * np.maximum(sd, width)
        grid = np.stack([np.maximum(bounds[:, 0], mean - reach), np.minimum(bounds[:, 1], mean + reach)], axis=1)
    points, share, amplitude, var, ln = final
    step = float(axes[DECAY][-1] - axes[DECAY][-2]) if decays else 0.0
    span_s = float(track.time_s[-1] - track.time_s[0])
    spread = 0.5 * (points[RATE] + points[TIME])
    spread_mean = float(spread @ share)
    middle = amplitude @ share
    without = _likelihood(track, np.exp(points), False)[0] if decays else ln
    return Wander(
        mean_ln=mean,
        sd_ln=sd,
        ln_spread=(spread_mean, math.sqrt(float((spread - spread_mean) ** 2 @ share))),
        amplitude=middle,
        amplitude_sd=np.sqrt((var + (amplitude - middle[:, None]) ** 2) @ share),
        too_long=float(share[points[TIME] > math.log(span_s / 3.0)].sum()),
        decay_too_long=float(share[points[DECAY] > bounds[DECAY, 1] - 0.6 * step].sum()),
        evidence=float(np.logaddexp.reduce(ln) - np.logaddexp.reduce(without)),
    )


def _bounds(track: Track, decays: bool) -> Array:
    """The ends of each log-uniform prior, (4, 2)."""
    span_s = float(track.time_s[-1] - track.time_s[0])
    step_s = max(float(np.median(np.diff(track.time_s))), 1e-6 * span_s)
    error = max(float(np.median(track.sd)), 1e-6)
    steps = np.diff(track.value, axis=0) ** 2 / (2.0 * np.diff(track.time_s)[:, None])
    rate = max(float(steps.mean()), 1e-3 * error**2 / span_s)
    ends = [
        (1e-3 * rate, 30.0 * rate),
        (step_s, span_s),
        (0.1 * error, 3.0 * error),
        (5.0 * step_s, span_s) if decays else (1.0, 1.0),
    ]
    return np.log(ends)


def _likelihood(track: Track, at: Array, decays: bool) -> tuple[Array, Array, Array]:
    """Likelihood (ln, (g,)) at points (4, g), and mean and variance (axes, g) of the decaying part's amplitude."""
    rate, time_s, scatter, decay_s = at
    sd = np.sqrt(rate * time_s)
    n, axes = track.value.shape
    since = track.time_s - track.time_s[0]
    spread = max(3.0 * float(track.value.std(axis=0).max()), 1e-9)
    bases = 2 if decays else 1
    state = np.zeros((axes + bases, sd.size))
    gram, cross = np.zeros((bases, bases, sd.size)), np.zeros((bases, axes, sd.size))
    square, ln = np.zeros(sd.size), np.zeros(sd.size)
    var = sd**2
    for k in range(n):
        if k:
            kept = np.exp(-(since[k] - since[k - 1]) / time_s)
            state *= kept
            var = kept**2 * var + sd**2 * (1.0 - kept**2)
        seen = [np.full(sd.size, value) for value in track.value[k]] + [np.ones(sd.size)]
        if decays:
            seen.append(1.0 - np.exp(-since[k] / decay_s))
        total = var + track.sd[k] ** 2 + scatter**2
        rest = np.stack(seen) - state
        state += rest * (var / total)
        var = var * (1.0 - var / total)
        white = rest / np.sqrt(total)
        ln -= 0.5 * axes * np.log(total)
        gram += white[axes:, None] * white[None, axes:]
        cross += white[axes:, None] * white[None, :axes]
        square += (white[:axes] ** 2).sum(axis=0)
    if decays:
        gram[1, 1] += 1.0 / spread**2
        ln -= axes * math.log(spread)
    gram_g, cross_g = np.moveaxis(gram, -1, 0), np.moveaxis(cross, -1, 0)
    solved = np.linalg.solve(gram_g, cross_g)
    ln += -0.5 * (square - (cross_g * solved).sum(axis=(1, 2))) - 0.5 * axes * np.linalg.slogdet(gram_g)[1]
    if not decays:
        return ln, np.zeros((axes, sd.size)), np.zeros((axes, sd.size))
    inverse = np.linalg.inv(gram_g)[:, 1, 1]
    return ln, solved[:, 1, :].T.copy(), np.broadcast_to(inverse, (axes, sd.size)).copy()
