"""Which images to pair for focus, and what is remembered of where focus was."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from agent.perception.focus import LEAST_CHANGE_NM, Lens, Shot, in_focus, in_focus_by_blur
from agent.perception.registration import shift_between
from agent.perception.scan import Scan, to_image
from hardware_bridge.geometry import Point
from hardware_bridge.report import Estimate

RECENT_S = 40.0
RECENT = 4
LEAST_OVERLAP = 0.8
PAIR_REACH_PX = 8.0
# How focus differs from place to place and wanders, for the blur expected of an image that is no pair.
SLOPE = 0.8
WANDER_NM_PER_SQRT_S = 6.0
UNKNOWN_NM = 400.0
MOST_REMEMBERED = 64


@dataclass(frozen=True)
class _Image:
    shot: Shot
    centre_nm: Point


class FocusMemory:
    """Pairs images and remembers the C10 in focus with place and time.

    An image that has helped to one estimate is not used for another, so that estimates are independent.
    """

    def __init__(self, semi_angle_mrad: float) -> None:
        self.semi_angle_mrad = semi_angle_mrad
        self._images: list[_Image] = []
        self._known: list[tuple[Point, float, Estimate]] = []

    def learn(self, shot: Shot, centre_nm: Point, lens: Lens) -> Estimate | None:
        """Take in an image; returns what to add to its C10 to be in focus, where an earlier image allows to tell."""
        scan = shot.scan
        self._images = [i for i in self._images if scan.mid_s - i.shot.scan.mid_s < RECENT_S][-RECENT:]
        new = _Image(shot, centre_nm)
        for earlier in reversed(self._images):
            estimate = self._pair(earlier, new, lens)
            if estimate is not None:
                self._images = [i for i in self._images if i is not earlier]
                self._known = [*self._known, (centre_nm, scan.mid_s, estimate)][-MOST_REMEMBERED:]
                return Estimate(value=estimate.value - scan.C10_nm, sd=estimate.sd)
        self._images.append(new)
        return None

    def expect(self, scan: Scan, centre_nm: Point) -> tuple[float, float]:
        """By how much C10 of an image is expected off focus, with standard deviation, in nm."""
        precision, total = UNKNOWN_NM**-2, scan.C10_nm * UNKNOWN_NM**-2
        for place, time_s, estimate in self._known:
            apart = SLOPE * math.dist(place, centre_nm)
            wander = WANDER_NM_PER_SQRT_S * math.sqrt(abs(scan.mid_s - time_s))
            weight = 1.0 / (estimate.sd**2 + apart**2 + wander**2)
            precision += weight
            total += weight * estimate.value
        return scan.C10_nm - total / precision, precision**-0.5

    def _pair(self, earlier: _Image, new: _Image, lens: Lens) -> Estimate | None:
        a, b = earlier.shot.scan, new.shot.scan
        if abs(a.C10_nm - b.C10_nm) < LEAST_CHANGE_NM or abs(a.rotation_deg - b.rotation_deg) > 1e-6:
            return None
        reach = (1.0 - LEAST_OVERLAP) * np.minimum(a.size_nm, b.size_nm)
        moved = (new.centre_nm[0] - earlier.centre_nm[0], new.centre_nm[1] - earlier.centre_nm[1])
        if abs(moved[0]) > reach[0] or abs(moved[1]) > reach[1]:
            return None
        pixel = max(a.pixel_nm, b.pixel_nm)
        a, b = a.binned(pixel), b.binned(pixel)
        rows, columns = to_image(b, (-moved[0], -moved[1]))
        corner = [(b.counts.shape[k] - a.counts.shape[k]) / 2 for k in (0, 1)]
        # The pair must fit to a fraction of a pixel, better than places are known.
        shift = shift_between(a.counts, b.counts, (rows + corner[0], columns + corner[1]), PAIR_REACH_PX)
        first, second = replace(earlier.shot, scan=a), replace(new.shot, scan=b)
        found = in_focus(first, second, (shift.rows, shift.columns), lens) if shift is not None else None
        return found or in_focus_by_blur(first, second, lens)
