"""Particles fitted as blurred balls on a background: position, radius and flux with their covariance.

Maximum likelihood for Poisson counts by Fisher scoring (weights are one over the model), all particles of an image at
once, each on its own patch with its neighbours' models taken away. Parameters of a particle: row, column, ln radius, ln
flux and a local offset of the background; a weak prior on contrast (flux per volume) keeps radius and flux of what is
not resolved apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.perception.ball_profile import MARGIN, RADIUS_MOST, profile
from agent.perception.scan import Array

PATCHES = (5, 8, 12, 18, 28, 43)
# So many pixels more in a patch (a quarter of them) take no longer than a group of its own.
SMALL_PX = 600
STEP_MOST = np.array([1.0, 1.0, 0.3, 0.7, math.inf])
OFFSET_LEAST = 0.01
BLUR_STEP_MOST = 0.3
# A pixel over which the probe is scanned evenly blurs by this much by itself.
BLUR_LEAST_PX = 12.0**-0.5
RADIUS_LEAST_PX, RADIUS_MOST_PX = 0.15, 38.0
# More counts than this, in units of electrons sent, are not believed: hardly any electron would be left.
SATURATED = 3.0
# A fit has converged where nothing moves by more than this share of its standard deviation.
CONVERGED = 0.1
BALL = 4.0 * math.pi / 3.0


@dataclass(frozen=True)
class Contrast:
    """What is believed of ln(counts per pixel and pixel of thickness) before the fit: mean and standard deviation."""

    mean: float
    sd: float


@dataclass
class Blobs:
    """Fitted particles: ``values`` (n, 5) row, column, ln radius, ln flux, offset; ``cov`` (n, 5, 5). In pixels."""

    values: Array
    cov: Array

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.values)

    def picked(self, keep: NDArray[np.bool_]) -> Blobs:
        """Those that a mask keeps."""
        return Blobs(self.values[keep], self.cov[keep])


@dataclass(frozen=True)
class Blur:
    """Standard deviation of the blur along an axis in pixels, as ln, with its own standard deviation."""

    ln_px: float
    ln_sd: float

    @property
    def px(self) -> float:
        """The blur in pixels."""
        return math.exp(self.ln_px)


@dataclass(frozen=True)
class Canvas:
    """What the fit looks at: counts and background (H, W), how uncertain that is, and what is believed beforehand.

    ``incident`` is electrons sent per pixel: counts are linear, what scattering saturates by having been taken out, so
    that their variance exceeds themselves.
    """

    counts: Array
    background: Array
    offset_sd: float
    incident: float
    blur: Blur
    contrast: Contrast

    def variance(self, expected: Array) -> Array:
        """Variance of linear counts: of n = N (1 - exp(-m / N)) Poisson electrons, times (dm/dn)^2 = exp(2 m / N).

        That is N u (1 + u) with u = exp(m / N) - 1.
        """
        u = np.expm1(np.clip(expected, 1e-9, SATURATED * self.incident) / self.incident)
        return np.asarray(self.incident * u * (1.0 + u))


def blobs_at(rows: Array, columns: Array, radius: Array, flux: Array) -> Blobs:
    """Start values for a fit."""
    values = np.stack([rows, columns, np.log(radius), np.log(np.maximum(flux, 1.0)), np.zeros_like(rows)], axis=1)
    return Blobs(values, np.zeros((len(rows), 5, 5)))


def fit(canvas: Canvas, start: Blobs, blur: Blur, steps: int) -> tuple[Blobs, Blur]:
    """Improve all blobs and the blur that they share by at most some steps of damped Fisher scoring."""
    blobs = Blobs(start.values.copy(), start.cov.copy())
    if not blobs.count:
        return blobs, canvas.blur
    for _ in range(steps):
        groups = _groups(canvas, blobs, blur)
        image = canvas.background.copy()
        for group in groups:
            group.add_to(image)
        parts = [group.equations(canvas, image) for group in groups]
        # The blur is common to all: eliminate every blob's own parameters, then put the blur's step back into them.
        precision = 1.0 / canvas.blur.ln_sd**2 + sum(float(part.precision.sum()) for part in parts)
        pull = (canvas.blur.ln_px - blur.ln_px) / canvas.blur.ln_sd**2 + sum(float(part.pull.sum()) for part in parts)
        move = float(np.clip(pull / precision, -BLUR_STEP_MOST, BLUR_STEP_MOST))
        farthest = abs(move) * math.sqrt(precision)
        for group, part in zip(groups, parts, strict=True):
            step = part.step - part.lean * move
            farthest = max(farthest, float((np.abs(step) / np.sqrt(np.diagonal(part.cov, axis1=1, axis2=2))).max()))
            blobs.values[group.index] += np.clip(step, -STEP_MOST, STEP_MOST)
            blobs.cov[group.index] = part.cov + part.lean[:, :, None] * part.lean[:, None, :] / precision
        np.clip(blobs.values[:, 2], math.log(RADIUS_LEAST_PX), math.log(RADIUS_MOST_PX), out=blobs.values[:, 2])
        blur = Blur(max(blur.ln_px + move, math.log(BLUR_LEAST_PX)), precision**-0.5)
        if farthest < CONVERGED:
            break
    return blobs, blur


def model(canvas: Canvas, blobs: Blobs, blur: Blur) -> Array:
    """Expected counts (H, W) of background and blobs, local offsets left out."""
    image = canvas.background.copy()
    for group in _groups(canvas, blobs, blur):
        group.add_to(image)
    return image


def _groups(canvas: Canvas, blobs: Blobs, blur: Blur) -> list[_Group]:
    """Blobs sorted by the size of patch that they need; a few small ones go with the next larger."""
    need = np.exp(blobs.values[:, 2]) + MARGIN * blur.px
    size = np.minimum(np.searchsorted(PATCHES, need), len(PATCHES) - 1)
    groups: list[_Group] = []
    index = np.zeros(0, dtype=np.intp)
    levels = np.unique(size).tolist()
    for k, larger in zip(levels, [*levels[1:], None], strict=False):
        index = np.concatenate([index, np.flatnonzero(size == k)])
        if larger is None or index.size * (PATCHES[larger] ** 2 - PATCHES[k] ** 2) > SMALL_PX:
            groups.append(_Group(blobs.values, blur, PATCHES[k], index))
            index = index[:0]
    return groups


@dataclass(frozen=True)
class _Equations:
    """Scoring equations with every blob's own parameters solved for.

    ``step`` (n, 5) and ``cov`` (n, 5, 5) hold if the blur stays; ``lean`` (n, 5) is how the parameters give way when
    ln blur grows; ``precision`` and ``pull`` (n,) are what each blob says about ln blur.
    """

    step: Array
    cov: Array
    lean: Array
    precision: Array
    pull: Array


class _Group:
    """Blobs with patches of one size, (n, P, P): where these lie and what the model says there."""

    def __init__(self, values: Array, blur: Blur, half: int, index: NDArray[np.intp]) -> None:
        self.index = index
        self.part = part = values[index]
        span = np.arange(-half, half + 1)
        self.rows = np.round(part[:, 0]).astype(np.intp)[:, None, None] + span[None, :, None]
        self.columns = np.round(part[:, 1]).astype(np.intp)[:, None, None] + span[None, None, :]
        self.dy, self.dx = self.rows - part[:, 0, None, None], self.columns - part[:, 1, None, None]
        self.distance = np.sqrt(self.dy**2 + self.dx**2)
        radius = np.exp(part[:, 2])
        # The table ends where the blur hardly matters any more.
        width = np.maximum(blur.px, radius / RADIUS_MOST)[:, None, None]
        self.height, self.slope, self.to_radius = profile(self.distance / width, radius / width[:, 0, 0])
        flux = np.exp(part[:, 3])[:, None, None] / width**2
        self.height *= flux
        self.slope *= flux / width
        self.to_radius *= flux

    def add_to(self, image: Array) -> None:
        """Add the models to an image (H, W)."""
        height, width = image.shape
        size = self.height.shape[1]
        for patch, r0, c0 in zip(self.height, self.rows[:, 0, 0].tolist(), self.columns[:, 0, 0].tolist(), strict=True):
            a, b = max(0, -r0), max(0, -c0)
            c, d = min(size, height - r0), min(size, width - c0)
            if a < c and b < d:
                image[r0 + a : r0 + c, c0 + b : c0 + d] += patch[a:c, b:d]

    def equations(self, canvas: Canvas, image: Array) -> _Equations:
        """Set up and solve the scoring equations, ``image`` (H, W) being the model of everything."""
        part, n = self.part, len(self.part)
        height, width = image.shape
        inside = (self.rows >= 0) & (self.rows < height) & (self.columns >= 0) & (self.columns < width)
        at = np.clip(self.rows, 0, height - 1) * width + np.clip(self.columns, 0, width - 1)
        background = canvas.background.take(at)
        expected = image.take(at) + part[:, 4, None, None]
        weight = (inside / canvas.variance(np.maximum(expected, 0.2 * background))).reshape(n, 1, -1)
        residual = (canvas.counts.take(at) - expected).reshape(n, -1, 1)
        slopes = self._slopes()
        weighted = slopes * weight
        information = weighted @ np.swapaxes(slopes, 1, 2)
        gradient = (weighted @ residual)[:, :, 0]
        _believe(canvas, part, background.mean(axis=(1, 2)), information, gradient)
        own, shared = information[:, :5, :5], information[:, :5, 5]
        own = own + 1e-9 * np.eye(5) * np.trace(own, axis1=1, axis2=2)[:, None, None]
        cov = np.linalg.inv(own)
        step = (cov @ gradient[:, :5, None])[:, :, 0]
        lean = (cov @ shared[:, :, None])[:, :, 0]
        return _Equations(
            step=step,
            cov=cov,
            lean=lean,
            precision=np.maximum(information[:, 5, 5] - (shared * lean).sum(axis=1), 0.0),
            pull=gradient[:, 5] - (lean * gradient[:, :5]).sum(axis=1),
        )

    def _slopes(self) -> Array:
        """Slopes of the model (n, 6, P P) along row, column, ln radius, ln flux, offset and ln blur."""
        n = len(self.part)
        towards = -self.slope / np.maximum(self.distance, 1e-6)
        slopes = np.empty((n, 6, self.distance[0].size))
        slopes[:, 0] = (towards * self.dy).reshape(n, -1)
        slopes[:, 1] = (towards * self.dx).reshape(n, -1)
        slopes[:, 2], slopes[:, 3] = self.to_radius.reshape(n, -1), self.height.reshape(n, -1)
        slopes[:, 4] = 1.0
        # All lengths scale together: d/d ln blur = -d/d ln distance - d/d ln radius - 2 at constant flux.
        slopes[:, 5] = (-self.slope * self.distance - self.to_radius - 2.0 * self.height).reshape(n, -1)
        return slopes


def _believe(canvas: Canvas, part: Array, background: Array, information: Array, gradient: Array) -> None:
    """Add what is believed beforehand: small offsets, and ln flux - 3 ln radius - ln(4 pi / 3) near the contrast."""
    offset_sd = max(canvas.offset_sd, OFFSET_LEAST) * background
    information[:, 4, 4] += 1.0 / offset_sd**2
    gradient[:, 4] -= part[:, 4] / offset_sd**2
    off = part[:, 3] - 3.0 * part[:, 2] - math.log(BALL) - canvas.contrast.mean
    along = np.array([0.0, 0.0, -3.0, 1.0, 0.0, 0.0])
    information += np.outer(along, along) / canvas.contrast.sd**2
    gradient -= off[:, None] * along / canvas.contrast.sd**2
