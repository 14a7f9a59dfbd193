"""How good an image is, in figures without uncertainty, and how unlike earlier images."""

from __future__ import annotations

import math

import numpy as np

from agent.perception.particles import Found
from agent.perception.scan import Array, Scan
from hardware_bridge.observation import Observation

# Statistics that change by less than this share of themselves are no news.
NOVELTY_FLOOR = 0.05


def image_quality(observation: Observation, scan: Scan, found: Found) -> dict[str, float]:
    """Figures of one image.

    ``electrons_per_pixel`` detected and ``incident_per_pixel`` sent; ``background_per_incident``, electrons that would
    be detected beside particles, saturation taken out, as a share of those sent; ``background_share`` of the image that
    is beside particles; ``snr``, median significance of particles; ``sharpness`` (see there); ``saturated_share`` of
    pixels at the top of their type; ``rows_missing_share``; ``gaps``, chunks that did not arrive.
    """
    blobs = found.blobs
    signal = float(np.median(found.significance)) if blobs.count else 0.0
    return {
        "electrons_per_pixel": float(scan.counts[scan.row_seen].mean()),
        "incident_per_pixel": scan.incident,
        "background_per_incident": float(found.background.counts.mean()) / max(scan.incident, 1e-12),
        "background_share": found.background.share,
        "snr": signal,
        "sharpness": sharpness(scan, found),
        "saturated_share": saturated_share(observation),
        "rows_missing_share": 1.0 - float(observation.row_seen.mean()),
        "gaps": float(observation.gaps),
    }


def sharpness(scan: Scan, found: Found) -> float:
    """Sharpest blur that pixels allow over the blur found: 1 in focus, towards 0 out of it."""
    return float(12.0**-0.5 / found.blur.px)


def saturated_share(observation: Observation) -> float:
    """Share of pixels at the top of an integer type's range; 0 for floating-point data."""
    data = observation.data
    if data is None or data.size == 0 or data.dtype.kind not in "iu":
        return 0.0
    return float(np.mean(data == np.iinfo(data.dtype.str).max))


class Novelty:
    """How far statistics of an image lie from those seen so far, in standard deviations of these (root mean square)."""

    def __init__(self) -> None:
        self._n = 0
        self._mean: Array = np.zeros(0)
        self._square: Array = np.zeros(0)

    def of(self, scan: Scan, found: Found) -> float:
        """Distance of this image from the earlier ones, which it then joins; 0 for the first two."""
        area = scan.size_nm[0] * scan.size_nm[1]
        at = np.array(
            [
                math.log(max(float(found.background.counts.mean()) / max(scan.incident, 1e-12), 1e-12)),
                found.background.share,
                found.blur.ln_px + math.log(scan.pixel_nm),
                math.log(1.0 + found.blobs.count) - math.log(area),
            ]
        )
        distance = 0.0
        if self._n >= 2:
            var = self._square / (self._n - 1) + NOVELTY_FLOOR**2
            distance = float(np.sqrt(np.mean((at - self._mean) ** 2 / var)))
        else:
            self._mean = self._mean if self._n else np.zeros_like(at)
            self._square = self._square if self._n else np.zeros_like(at)
        self._n += 1
        step = at - self._mean
        self._mean = self._mean + step / self._n
        self._square = self._square + step * (at - self._mean)
        return distance
