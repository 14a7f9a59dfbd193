"""How large the source is in the image: what blurs a round particle beyond what the lens does.

One particle is imaged at several C10 with fine pixels. Its projected thickness is that of a ball, the lens's transfer
follows from the aberrations that the instrument reads back, and a Gaussian source of standard deviation s damps what is
left by exp(-2 (pi s k)^2). Radius, s and where focus was are fitted to all images at once, with place, brightness and
a sloping background of each; the errors are those of the curvature, times the misfit where that is above counting.
What shakes the probe faster than it passes over the particle counts as source: images do not tell them apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter, label
from scipy.special import j0, jv

from agent.calibrate.twin.evidence import Evidence, Frame
from agent.calibrate.twin.found import Parameter, known, unknown
from agent.perception.scan import Array, Scan
from digital_twin.optics import Aberrations, Column, aberrations_of, finest_pixel_nm, probe_intensity
from hardware_bridge.messages import Capabilities

NAME, UNIT = "source_fwhm_nm", "nm"
FWHM = 2.0 * math.sqrt(2.0 * math.log(2.0))
COARSEST_NM, APART_NM, LEAST, MOST = 0.5, 40.0, 6, 16
REACH_NM, STEP_NM = 300.0, 10.0
"""How far the probe of a fit may be from its sharpest C10, and the steps in which probes are computed."""

GRID_NM, FINEST_PER_NM = 32.0, 4.0
AROUND_NM = 3.0
MOST_MISFIT = 1.5
MODEL_SHARE = 0.06
"""What drift within an image and aberrations without rotational symmetry leave of the width, by simulation."""

SMALL = (1e-3, 1e-3, 1e-2, 1e-2, 1.0)
"""Steps of ln radius, s^2, x, y and focus for slopes."""

START_NM = np.array([-120.0, -60.0, 0.0, 60.0, 120.0])
WALK_NM = 15.0
"""How far focus may walk from one image to the next."""

ROUNDS = 15
LEAST_SQUARE_NM2 = -0.02
"""s^2 may come out below zero by noise, not by more."""

BODY = "no round particle stands alone in the middle of the images"


@dataclass(frozen=True)
class _View:
    """Pixels of one image around the particle: places (n, 2) nm from its middle as guessed, electrons, and their sd."""

    place_nm: Array
    electrons: Array
    sd: Array
    C10_nm: float


def parameter(evidence: Evidence, scans: Sequence[Scan]) -> Parameter:
    """Width (FWHM) of the image of the source, or why these data do not tell it; ``scans`` are those of ``series``."""
    if evidence.column is None:
        return unknown(NAME, UNIT, "aberrations and convergence angle are not known of files")
    if not scans:
        why = f"no {LEAST} images of one place, {APART_NM:g} nm of C10 apart, with pixels of {COARSEST_NM:g} nm or less"
        return unknown(NAME, UNIT, why)
    optics = series(evidence)[0].optics
    views = _views(scans)
    if views is None:
        return unknown(NAME, UNIT, BODY)
    square, sd, misfit = _fit(views[0], (views[1], scans[0].pixel_nm), aberrations_of(optics), evidence.column)
    if misfit > MOST_MISFIT:
        return unknown(NAME, UNIT, f"{BODY}: a ball misfits by {misfit:.1f} times the noise")
    if square < 2.0 * sd:
        most = FWHM * math.sqrt(max(square, 0.0) + 2.0 * sd)
        return unknown(NAME, UNIT, f"no blur beyond the lens's stands out: it is below {most:.2g} nm")
    sigma = math.sqrt(square)
    rests = f"a particle in {len(views[0])} images through focus"
    return known(NAME, UNIT, FWHM * sigma, FWHM * math.hypot(sd / (2.0 * sigma), MODEL_SHARE * sigma), rests)


def series(evidence: Evidence) -> tuple[Frame, ...]:
    """The finest images of one place at several C10, at most MOST of them; empty where there are none."""
    fine = [f for f in evidence.images if f.pixel_nm is not None and f.pixel_nm <= COARSEST_NM]
    groups = [tuple(group) for _, group in groupby(fine, lambda f: (f.place, f.counts.shape))]
    through = [g for g in groups if len(g) >= LEAST and np.ptp([f.optics.C10_nm or 0.0 for f in g]) >= APART_NM]
    longest = max(through, key=len, default=())
    return tuple(longest[i] for i in np.unique(np.linspace(0, len(longest) - 1, MOST).astype(int)) if longest)


def _views(scans: Sequence[Scan]) -> tuple[list[_View], float] | None:
    """The particle in each image, and its radius in nm as a first guess; None where it does not stand alone."""
    found = [_body(scan) for scan in scans]
    bodies = [each for each in found if each is not None]
    if len(bodies) < LEAST:
        return None
    radius_nm = float(np.median([radius for _, radius in bodies]))
    views = []
    for scan, body in zip(scans, found, strict=True):
        if body is None:
            continue
        rows, columns = np.indices(scan.counts.shape)
        place = scan.pixel_nm * np.stack([columns - body[0][1], rows - body[0][0]], axis=-1)
        near = np.hypot(*np.moveaxis(place, -1, 0)) < radius_nm + AROUND_NM
        var = np.maximum(gaussian_filter(scan.counts, 0.5 / scan.pixel_nm), 1.0)
        views.append(_View(place[near], scan.counts[near], np.sqrt(var[near]), scan.C10_nm))
    return views, radius_nm


def _body(scan: Scan) -> tuple[tuple[float, float], float] | None:
    """Middle (row, column) and radius in nm of what is brightest in the middle of an image, above half its height."""
    smooth = gaussian_filter(scan.counts, 1.0 / scan.pixel_nm)
    height, width = smooth.shape
    inner = smooth[height // 4 : -(height // 4), width // 4 : -(width // 4)]
    floor = float(np.percentile(smooth, 20.0))
    regions = label(smooth > 0.5 * (floor + float(inner.max())))[0]
    row, column = np.unravel_index(int(inner.argmax()), inner.shape)
    body = regions == regions[row + height // 4, column + width // 4]
    if body[[0, -1]].any() or body[:, [0, -1]].any():
        return None
    rows, columns = np.nonzero(body)
    return (float(rows.mean()), float(columns.mean())), scan.pixel_nm * math.sqrt(len(rows) / math.pi)


class _Model:
    """What a ball of some radius looks like through lens and source: residuals of each image at some parameters."""

    def __init__(
        self, views: Sequence[_View], size_nm: tuple[float, float], aberrations: Aberrations, column: Capabilities
    ) -> None:
        """``size_nm`` is the radius as guessed, and the edge of a pixel."""
        self.views, (radius_nm, pixel_nm) = views, size_nm
        angle = 1e-3 * column.convergence_semi_angle_mrad
        self.lowest_nm = -2.0 / 3.0 * 1e3 * float(aberrations.C30_um) * angle**2 - REACH_NM
        self.k = np.linspace(0.0, FINEST_PER_NM, 240)[1:]
        C10_nm = self.lowest_nm + np.arange(0.0, 2.0 * REACH_NM + 1.0, STEP_NM)
        self.table = _transfer(C10_nm, self.k, aberrations, column)
        self.reach = np.linspace(0.0, radius_nm + AROUND_NM + 3.0, 160)
        # Mean over directions of the transfer of a square pixel, to second order.
        self.pixel = np.exp(-((math.pi * self.k * pixel_nm) ** 2) / 6.0)
        self.waves = j0(2.0 * math.pi * np.outer(self.reach, self.k)) * self.k

    def rests(self, shared: Array, own: Array) -> list[Array]:
        """Residuals in units of noise; shared (ln radius, s^2), own (n, 3): x, y and the C10 in focus of each image.

        Brightness, background and its slope are those that fit best.
        """
        radius = math.exp(float(shared[0]))
        x = 2.0 * math.pi * self.k * radius
        damped = np.exp(-2.0 * shared[1] * (math.pi * self.k) ** 2) * self.pixel
        # Thickness, and its square, by which the signal of thick matter falls behind.
        bodies = np.stack([radius * (np.sin(x) - x * np.cos(x)) / x**3, jv(2, x) / x**2]) * damped
        result = []
        for view, (x_nm, y_nm, focus_nm) in zip(self.views, own, strict=True):
            place = float(np.clip((view.C10_nm - focus_nm - self.lowest_nm) / STEP_NM, 0.0, len(self.table) - 1.001))
            low = int(place)
            passed = self.table[low] + (place - low) * (self.table[low + 1] - self.table[low])
            distance = np.hypot(view.place_nm[:, 0] - x_nm, view.place_nm[:, 1] - y_nm)
            profiles = self.waves @ (bodies * passed).T
            shapes = [np.interp(distance, self.reach, profile / profiles[0, 0]) for profile in profiles.T]
            design = np.column_stack([*shapes, np.ones_like(distance), view.place_nm]) / view.sd[:, None]
            seen = view.electrons / view.sd
            result.append(seen - design @ np.linalg.solve(design.T @ design, design.T @ seen))
        return result

    def equations(self, shared: Array, own: Array) -> tuple[Array, Array, Array]:
        """Normal equations (2 + 3 n): matrix and gradient, with focus that walks in time as a prior.

        Beside them each image's part (n, 2) in the gradient of what they share.
        """
        base = self.rests(shared, own)
        steps = [(np.eye(2)[k] * SMALL[k], np.zeros(3)) for k in (0, 1)]
        steps += [(np.zeros(2), np.eye(3)[k] * SMALL[2 + k]) for k in range(3)]
        moved = [self.rests(shared + a, own + b) for a, b in steps]
        n = len(own)
        matrix, gradient, parts = np.zeros((2 + 3 * n, 2 + 3 * n)), np.zeros(2 + 3 * n), np.zeros((n, 2))
        for i, rest in enumerate(base):
            slopes = np.stack([(each[i] - rest) / size for each, size in zip(moved, SMALL, strict=True)], axis=1)
            at = np.array([0, 1, 2 + 3 * i, 3 + 3 * i, 4 + 3 * i])
            matrix[np.ix_(at, at)] += slopes.T @ slopes
            gradient[at] += slopes.T @ rest
            parts[i] = gradient[:2] - parts[:i].sum(axis=0)
        walk = np.diff(own[:, 2]) / WALK_NM
        between = np.zeros((n - 1, 2 + 3 * n))
        between[np.arange(n - 1), 4 + 3 * np.arange(n - 1)] = -1.0 / WALK_NM
        between[np.arange(n - 1), 7 + 3 * np.arange(n - 1)] = 1.0 / WALK_NM
        matrix += between.T @ between
        gradient += between.T @ walk
        return matrix, gradient, parts

    def cost(self, shared: Array, own: Array) -> float:
        """Sum of squares of residuals and of the steps of focus."""
        walk = np.diff(own[:, 2]) / WALK_NM
        return float(sum((rest**2).sum() for rest in self.rests(shared, own)) + (walk**2).sum())


def _fit(
    views: list[_View], size_nm: tuple[float, float], aberrations: Aberrations, column: Capabilities
) -> tuple[float, float, float]:
    """Square of the source's s (nm^2), its standard error, and the misfit over counting (root of chi^2 per freedom)."""
    model = _Model(views, size_nm, aberrations, column)
    middle = float(np.mean([view.C10_nm for view in views])) - model.lowest_nm - REACH_NM
    tried = []
    # On which side of focus a blurred image is, only the whole fit tells.
    for focus_nm in middle + START_NM:
        own = np.zeros((len(views), 3))
        own[:, 2] = focus_nm
        tried.append(_converged(model, np.array([math.log(size_nm[0]), 0.05]), own))
    cost, shared, own = min(tried, key=lambda each: each[0])
    matrix, _, parts = model.equations(shared, own)
    n = len(views)
    cov = np.linalg.inv(matrix)[:2, :2]
    # What differs from image to image by more than counting: shear by drift, a probe that shakes.
    robust = cov @ (parts.T @ parts) @ cov * n / (n - 2)
    misfit = math.sqrt(cost / (sum(len(view.sd) for view in views) - 2 - 8 * n))
    return float(shared[1]), math.sqrt(max(float(cov[1, 1]), float(robust[1, 1]))) * max(misfit, 1.0), misfit


def _converged(model: _Model, shared: Array, own: Array) -> tuple[float, Array, Array]:
    """Sum of squares, shared and own parameters at the bottom of the valley that they lie in (Levenberg, Marquardt)."""
    damping, cost = 1e-2, model.cost(shared, own)
    for _ in range(ROUNDS):
        matrix, gradient, _ = model.equations(shared, own)
        step = -np.linalg.solve(matrix + damping * np.diag(np.diag(matrix)), gradient)
        tried = shared + step[:2], own + step[2:].reshape(-1, 3)
        sane = abs(step[0]) < 0.5 and tried[0][1] > LEAST_SQUARE_NM2
        gained = cost - model.cost(*tried) if sane else 0.0
        if gained > 0.0:
            (shared, own), damping, cost = tried, damping / 5.0, cost - gained
            if gained < 0.1:
                break
        else:
            damping *= 10.0
    return cost, shared, own


def _transfer(C10_nm: Array, k_per_nm: Array, aberrations: Aberrations, column: Capabilities) -> Array:
    """Share of the amplitude that the probe of a point source passes at frequencies, (n, m), mean over directions."""
    optics = Column(column.beam_energy_keV, column.convergence_semi_angle_mrad)
    pixel = finest_pixel_nm(optics)
    size = fft.next_fast_len(math.ceil(GRID_NM / pixel))
    grid_nm = size * pixel
    ring = np.rint(np.hypot(fft.fftfreq(size, pixel)[:, None], fft.fftfreq(size, pixel)).ravel() * grid_nm).astype(
        np.intp
    )
    counts = np.bincount(ring)
    passed = []
    for each in C10_nm:
        intensity = probe_intensity(size, pixel, replace(aberrations, C10_nm=float(each)), optics)
        mean = np.bincount(ring, fft.fft2(intensity).real.ravel()) / counts
        passed.append(np.interp(k_per_nm, np.arange(len(mean)) / grid_nm, mean))
    return np.array(passed)
