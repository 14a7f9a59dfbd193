"""Where the field really is: a filter over drift, stage errors and what registration against earlier images says.

One Kalman filter an axis, whose state is (drift, speed, stage error, offset of anchor 1, offset of anchor 2, ...). The
offset, registered centre less nominal one, is drift plus stage error; the latter is another after every move. An anchor
is an earlier image kept to register against. A shift between two images measures the difference of two offsets, so
errors that two places share stay shared (simultaneous localisation and mapping; Smith, Self and Cheeseman 1990).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from agent.perception.registration import shift_between
from agent.perception.scan import Array, Scan, to_image
from hardware_bridge.geometry import Point
from hardware_bridge.report import Estimate
from hardware_bridge.words import NotNegative, Positive, Size, Word

LEAST_OVERLAP = 0.3
REPLACE_OVERLAP = 0.7
MATCHES = 2
# An anchor may disagree with the filter by this many standard deviations before it is taken for a false match.
GATE = 5.0
REACH_LEAST = 3.0
# The specimen grows and the scan is sheared by drift between the images: sd in pixels, and share of what noise gives.
CHANGE_PX, CHANGE_SHARE = 0.15, 1.0


class DriftSettings(Word, frozen=True, kw_only=True):
    """What is known of drift and stage before anything is seen.

    ``speed_sd_nm_per_s`` is how fast it may drift at the start, ``speed_change_nm_per_s`` by how much the speed
    changes in ``speed_change_s``, ``walk_nm2_per_s`` how much wander adds to the variance; ``stage_sd_nm`` is the
    error of a stage move along an axis, ``position_sd_nm`` the least error of the first position.
    """

    speed_sd_nm_per_s: Positive = 0.2
    speed_change_nm_per_s: Positive = 0.05
    speed_change_s: Positive = 100.0
    walk_nm2_per_s: Positive = 0.5
    stage_sd_nm: Positive = 10.0
    position_sd_nm: NotNegative = 1.0
    anchors: Size = 48


DRIFT, SPEED, STAGE, FIRST = 0, 1, 2, 3


@dataclass
class _Axis:
    """Mean (n,) and covariance (n, n) of drift in nm, speed in nm/s, stage error and offsets of anchors in nm."""

    mean: Array
    cov: Array

    def wait(self, dt_s: float, jerk: float, walked: float) -> None:
        """Let time pass; ``jerk`` is the growth of the speed's variance per s, ``walked`` that of the drift's."""
        step = np.eye(len(self.mean))
        step[DRIFT, SPEED] = dt_s
        self.mean = step @ self.mean
        self.cov = step @ self.cov @ step.T
        self.cov[:2, :2] += jerk * np.array([[dt_s**3 / 3, dt_s**2 / 2], [dt_s**2 / 2, dt_s]])
        self.cov[DRIFT, DRIFT] += walked

    def move(self, var: float) -> None:
        """The stage moves: its error is another one now."""
        self.mean[STAGE] = 0.0
        self.cov[STAGE, :] = self.cov[:, STAGE] = 0.0
        self.cov[STAGE, STAGE] = var

    def offset(self) -> tuple[float, float]:
        """Mean and variance of the present offset."""
        here = self._present()
        return float(here @ self.mean), float(here @ self.cov @ here)

    def expected(self, anchor: int) -> tuple[float, float]:
        """Mean and variance of the present offset less an anchor's."""
        between = self._between(anchor)
        return float(between @ self.mean), float(between @ self.cov @ between)

    def learn(self, anchor: int, difference: float, var: float) -> None:
        """Take in a measured difference between the present offset and an anchor's."""
        between = self._between(anchor)
        column = self.cov @ between
        gain = column / (float(between @ column) + var)
        self.mean = self.mean + gain * (difference - float(between @ self.mean))
        self.cov = self.cov - np.outer(gain, column)

    def keep(self) -> None:
        """Make the present offset an anchor."""
        grown = np.vstack([np.eye(len(self.mean)), self._present()])
        self.mean, self.cov = grown @ self.mean, grown @ self.cov @ grown.T

    def forget(self, anchor: int) -> None:
        """Drop an anchor."""
        kept = [i for i in range(len(self.mean)) if i != FIRST + anchor]
        self.mean, self.cov = self.mean[kept], self.cov[np.ix_(kept, kept)]

    def _present(self) -> Array:
        here = np.zeros(len(self.mean))
        here[[DRIFT, STAGE]] = 1.0
        return here

    def _between(self, anchor: int) -> Array:
        between = self._present()
        between[FIRST + anchor] = -1.0
        return between


@dataclass(frozen=True)
class Placed:
    """Where a field is: its registered centre with standard deviations, the drift speed, and against what it was set.

    ``beside_sd_nm`` is how well the place is known against that of the last image, where the absolute place does not
    count. ``matched`` counts anchors that agreed, ``refused`` those that did not.
    """

    centre_nm: Point
    offset_x_nm: Estimate
    offset_y_nm: Estimate
    speed_nm_per_s: float
    beside_sd_nm: float
    matched: int
    refused: int


class Drift:
    """Registers every image against earlier ones of the same place and remembers what is left of drift."""

    def __init__(self, settings: DriftSettings) -> None:
        self.settings = settings
        self._axes: tuple[_Axis, _Axis] | None = None
        self._anchors: list[Scan] = []
        self._clock_s = 0.0
        self._stage_nm: tuple[float, float, float] | None = None

    def advance(self, clock_s: float, stage_nm: tuple[float, float, float], position_sd_nm: float) -> None:
        """Let the instrument's clock and its stage move on."""
        s = self.settings
        if self._axes is None:
            first = np.diag([max(position_sd_nm, s.position_sd_nm) ** 2, s.speed_sd_nm_per_s**2, 0.0])
            self._axes = (_Axis(np.zeros(3), first.copy()), _Axis(np.zeros(3), first.copy()))
            self._clock_s, self._stage_nm = clock_s, stage_nm
            return
        dt_s = max(clock_s - self._clock_s, 0.0)
        moved = self._stage_nm is not None and math.dist(stage_nm[:2], self._stage_nm[:2]) > 1e-6
        for axis in self._axes:
            axis.wait(dt_s, s.speed_change_nm_per_s**2 / s.speed_change_s, s.walk_nm2_per_s * dt_s)
            if moved:
                axis.move(s.stage_sd_nm**2)
        self._clock_s, self._stage_nm = max(clock_s, self._clock_s), stage_nm

    def place(self, nominal_nm: Point, matched: int = 0, refused: int = 0) -> Placed:
        """Where a field is whose nominal centre is given, as far as is known now."""
        assert self._axes is not None  # advance() comes first
        (x, x_var), (y, y_var) = (axis.offset() for axis in self._axes)
        return Placed(
            centre_nm=(nominal_nm[0] + x, nominal_nm[1] + y),
            offset_x_nm=Estimate(value=x, sd=math.sqrt(max(x_var, 0.0))),
            offset_y_nm=Estimate(value=y, sd=math.sqrt(max(y_var, 0.0))),
            speed_nm_per_s=math.hypot(*(float(axis.mean[SPEED]) for axis in self._axes)),
            beside_sd_nm=math.sqrt(max(max(self._beside(axis) for axis in self._axes), 0.0)),
            matched=matched,
            refused=refused,
        )

    def _beside(self, axis: _Axis) -> float:
        """Variance of the present offset less that of the last image, or of the offset itself before the first one."""
        return axis.expected(len(self._anchors) - 1)[1] if self._anchors else axis.offset()[1]

    def register(self, scan: Scan) -> Placed:
        """Place an image by the earlier ones that overlap it, and keep it as an anchor for later ones."""
        assert self._axes is not None
        found = [(self._overlap(scan, anchor), i) for i, anchor in enumerate(self._anchors)]
        near = sorted((f for f in found if f[0] >= LEAST_OVERLAP), reverse=True)[:MATCHES]
        outcomes = [self._match(scan, i) for _, i in near]
        agreed = outcomes.count(True)
        self._keep(scan, found)
        return self.place(scan.nominal_nm, agreed, outcomes.count(False))

    def _match(self, scan: Scan, index: int) -> bool | None:
        """Learn from one anchor: True if it agreed, False if it contradicted, None if nothing could be measured."""
        assert self._axes is not None
        anchor = self._anchors[index]
        pixel = max(scan.pixel_nm, anchor.pixel_nm)
        a, b = anchor.binned(pixel), scan.binned(pixel)
        between = [scan.nominal_nm[k] - anchor.nominal_nm[k] for k in (0, 1)]
        expected = [axis.expected(index) for axis in self._axes]
        guess = to_image(b, (-(between[0] + expected[0][0]), -(between[1] + expected[1][0])))
        reach = GATE * math.sqrt(max(e[1] for e in expected)) / pixel + REACH_LEAST
        # Sizes may differ; the guess is between centres, the crops begin at corners.
        corner = [(b.counts.shape[k] - a.counts.shape[k]) / 2 for k in (0, 1)]
        shift = shift_between(a.counts, b.counts, (guess[0] + corner[0], guess[1] + corner[1]), reach)
        if shift is None:
            return None
        rows, columns = shift.rows - corner[0], shift.columns - corner[1]
        angle = math.radians(scan.rotation_deg)
        moved = (
            -pixel * (math.cos(angle) * columns - math.sin(angle) * rows),
            -pixel * (math.sin(angle) * columns + math.cos(angle) * rows),
        )
        noise = max(shift.rows_sd, shift.columns_sd)
        var = pixel**2 * ((1.0 + CHANGE_SHARE) * noise**2 + CHANGE_PX**2)
        differences = [moved[k] - between[k] for k in (0, 1)]
        for k in (0, 1):
            if (differences[k] - expected[k][0]) ** 2 > GATE**2 * (expected[k][1] + var):
                return False
        for k, axis in enumerate(self._axes):
            axis.learn(index, differences[k], var)
        return True

    def _overlap(self, scan: Scan, anchor: Scan) -> float:
        """Share of the smaller field that both show, by nominal coordinates."""
        if abs(scan.rotation_deg - anchor.rotation_deg) > 1e-6:
            return 0.0
        share = 1.0
        rows, columns = to_image(
            scan, (scan.nominal_nm[0] - anchor.nominal_nm[0], scan.nominal_nm[1] - anchor.nominal_nm[1])
        )
        for k, apart in enumerate((abs(columns) * scan.pixel_nm, abs(rows) * scan.pixel_nm)):
            one, other = scan.size_nm[k], anchor.size_nm[k]
            share *= max(0.0, min(one, other, (one + other) / 2 - apart)) / min(one, other)
        return share

    def _keep(self, scan: Scan, found: list[tuple[float, int]]) -> None:
        assert self._axes is not None
        replaced = [i for overlap, i in found if overlap >= REPLACE_OVERLAP]
        if not replaced and len(self._anchors) >= self.settings.anchors:
            replaced = [0]
        for i in sorted(replaced, reverse=True):
            del self._anchors[i]
            for axis in self._axes:
                axis.forget(i)
        self._anchors.append(scan)
        for axis in self._axes:
            axis.keep()
