"""Where focus is: the C10 that is sharp at a place and a time, learned from what images said, with its uncertainty.

All policies share it, so that they differ in what they decide and not in how they remember focus.
"""

from __future__ import annotations

import math

import numpy as np

from hardware_bridge.geometry import Point
from hardware_bridge.report import Percept
from hardware_bridge.words import Number, Positive, Word
from policies.bayes.gp import GaussianProcess
from policies.bayes.kernel import Array, SurfaceKernel, bulge
from policies.interface import Setup

ESTIMATE = "defocus_error_nm"


class FocusSettings(Word, frozen=True, kw_only=True):
    """What is known of focus before anything was seen (see ``SurfaceKernel``), in nm of C10.

    Windows bulge towards the gun: by how much the C10 in focus differs between the middle and the specimen's edge is
    ``bulge_nm``, give or take ``bulge_sd_nm``; ``tilt_sd_nm`` is what tilt and a bulge that is not centred make of it
    at the edge, ``offset_sd_nm`` how far off focus was set, ``rest_sd_nm`` how far the window is from a paraboloid,
    ``wander_sd_nm`` how far focus wanders in ``wander_s``. Measurements with an sd above ``useless_sd_nm`` are left
    out.
    """

    bulge_nm: Number = 900.0
    bulge_sd_nm: Positive = 300.0
    tilt_sd_nm: Positive = 350.0
    offset_sd_nm: Positive = 150.0
    rest_sd_nm: Positive = 50.0
    rest_length_nm: Positive = 500.0
    wander_sd_nm: Positive = 100.0
    wander_s: Positive = 600.0
    useless_sd_nm: Positive = 1000.0


class Focus:
    """A Gaussian process over (x, y, t) for the C10 in focus, in nm."""

    def __init__(self, settings: FocusSettings, setup: Setup) -> None:
        self.settings = settings
        self.start_s = setup.start_s
        self.reach_nm = setup.card.extent_nm / 2
        kernel = SurfaceKernel(
            reach_nm=self.reach_nm,
            offset_sd=settings.offset_sd_nm,
            tilt_sd=settings.tilt_sd_nm,
            bulge_sd=settings.bulge_sd_nm,
            rest_sd=settings.rest_sd_nm,
            rest_length_nm=settings.rest_length_nm,
            wander_sd=settings.wander_sd_nm,
            wander_s=settings.wander_s,
        )
        self.process = GaussianProcess(kernel, np.zeros((1, 3)))

    def ingest(self, percept: Percept, C10_nm: float) -> None:
        """Learn from an image taken with this C10: its estimate of what to add to C10 to be in focus."""
        estimate = percept.estimates.get(ESTIMATE)
        if estimate is None or not 0.0 < estimate.sd <= self.settings.useless_sd_nm:
            return
        point = self._points([(percept.x_nm, percept.y_nm)], percept.end_s)
        expected_nm = float(self._bulge_nm(point)[0])
        self.process.append(point[0], C10_nm + estimate.value - expected_nm, estimate.sd**2)

    def best(self, point_nm: Point, clock_s: float) -> tuple[float, float]:
        """The C10 that is expected to be in focus at a place and a time, with its sd, in nm."""
        mean, var = self.over([point_nm], clock_s)
        return float(mean[0]), math.sqrt(float(var[0]))

    def over(self, points_nm: list[Point], clock_s: float) -> tuple[Array, Array]:
        """Mean (N,) nm and variance (N,) nm^2 of the C10 in focus at many places."""
        points = self._points(points_nm, clock_s)
        mean, var = self.process.predict(points)
        return mean + self._bulge_nm(points), var

    def after(self, place: Point, points_nm: list[Point], clock_s: float, sd_nm: float) -> Array:
        """Variance (N,) nm^2 at many places if focus were now measured at one of them with this sd."""
        block = self.process.block(self._points([*points_nm, place], clock_s))
        told = block.cov[:-1, -1]
        left = np.diag(block.cov)[:-1] - told**2 / (block.cov[-1, -1] + sd_nm**2)
        return np.asarray(np.maximum(left, 0.0))

    def _bulge_nm(self, points: Array) -> Array:
        x, y = points[:, :2].T / self.reach_nm
        return self.settings.bulge_nm * bulge(x, y)

    def _points(self, points_nm: list[Point], clock_s: float) -> Array:
        return np.array([(x, y, max(clock_s - self.start_s, 0.0)) for x, y in points_nm])
