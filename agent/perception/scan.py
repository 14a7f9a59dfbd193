"""One image as perception wants it: electrons counted, pixel size, dose, and where the instrument says it was."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hardware_bridge.cost import ELECTRONS_PER_PA_S, predict
from hardware_bridge.geometry import Point, field_centre_nm, pixel_nm
from hardware_bridge.messages import Capabilities
from hardware_bridge.observation import Observation

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Scan:
    """One scanned image.

    ``counts`` (H, W) float64, electrons detected per pixel; rows that did not arrive hold the median of the others
    and are False in ``row_seen`` (H,). ``incident`` is electrons sent per pixel. ``nominal_nm`` is the centre in the
    specimen frame as the instrument's coordinates have it, ``stage_nm`` the stage position that it was taken at.
    """

    counts: Array
    row_seen: Bools
    pixel_nm: float
    incident: float
    rotation_deg: float
    nominal_nm: Point
    stage_nm: tuple[float, float, float]
    C10_nm: float
    start_s: float
    end_s: float

    @property
    def mid_s(self) -> float:
        """The middle of the acquisition, in s."""
        return 0.5 * (self.start_s + self.end_s)

    @property
    def size_nm(self) -> Point:
        """Width and height of the field, in nm."""
        return self.counts.shape[1] * self.pixel_nm, self.counts.shape[0] * self.pixel_nm

    def binned(self, pixel_nm: float) -> Scan:
        """Return the same field with coarser square pixels; sums of counts are kept.

        Pixels that do not fit at the far edges are left out evenly, so that the centre stays where it is.
        """
        factor = pixel_nm / self.pixel_nm
        if factor <= 1.0 + 1e-9:
            return self
        counts = _rebinned(_rebinned(self.counts, factor).T, factor).T
        seen = _rebinned(self.row_seen[:, None].astype(np.float64), factor)[:, 0] > factor - 1e-6
        return replace(self, counts=counts, row_seen=seen, pixel_nm=pixel_nm, incident=self.incident * factor**2)


def scan_of(observation: Observation, capabilities: Capabilities, counts_per_electron: float) -> Scan | None:
    """Make a Scan of an observed frame, or None where there is no usable image in it."""
    acquire, data = observation.command.acquire, observation.data
    if acquire is None or data is None or data.ndim != 2 or min(data.shape) < 16 or not observation.row_seen.any():
        return None
    counts = np.asarray(data, dtype=np.float64) / counts_per_electron
    seen = observation.row_seen & np.isfinite(counts).all(axis=1)
    if not seen.any():
        return None
    if not seen.all():
        counts = np.where(seen[:, None], counts, np.median(counts[seen]))
    times = observation.row_start_s[np.isfinite(observation.row_start_s)]
    go = observation.state.go
    return Scan(
        counts=counts,
        row_seen=seen,
        pixel_nm=pixel_nm(acquire),
        incident=incident_per_pixel(observation, capabilities),
        rotation_deg=go.scan_rotation_deg or 0.0,
        nominal_nm=field_centre_nm(go, capabilities),
        stage_nm=(go.stage_x_nm or 0.0, go.stage_y_nm or 0.0, go.stage_z_nm or 0.0),
        C10_nm=observation.state.optics.C10_nm or 0.0,
        start_s=float(times.min()) if times.size else observation.start_s,
        end_s=observation.end_s,
    )


def incident_per_pixel(observation: Observation, capabilities: Capabilities) -> float:
    """Electrons sent at each scan point of one frame, by the instrument's own measure of the current where whole."""
    acquire = observation.command.acquire
    if acquire is None:
        return 0.0
    sent = (observation.state.optics.beam_current_pA or 0.0) * acquire.dwell_s * ELECTRONS_PER_PA_S
    expected = predict(observation.command, observation.state, capabilities).electrons
    if observation.aborted or expected <= 0.0 or observation.electrons <= 0.0:
        return sent
    return sent * observation.electrons / expected


def to_specimen(scan: Scan, centre_nm: Point, rows: Array, columns: Array) -> tuple[Array, Array]:
    """Specimen-frame x and y in nm of pixels (fractional rows and columns) of a field with this centre."""
    height, width = scan.counts.shape
    x = (columns + 0.5 - width / 2) * scan.pixel_nm
    y = (rows + 0.5 - height / 2) * scan.pixel_nm
    angle = math.radians(scan.rotation_deg)
    return (
        centre_nm[0] + math.cos(angle) * x - math.sin(angle) * y,
        centre_nm[1] + math.sin(angle) * x + math.cos(angle) * y,
    )


def to_image(scan: Scan, offset_nm: Point) -> Point:
    """A vector in the specimen frame as (rows, columns) of this image."""
    angle = math.radians(scan.rotation_deg)
    x = math.cos(angle) * offset_nm[0] + math.sin(angle) * offset_nm[1]
    y = -math.sin(angle) * offset_nm[0] + math.cos(angle) * offset_nm[1]
    return y / scan.pixel_nm, x / scan.pixel_nm


def _rebinned(counts: Array, factor: float) -> Array:
    """Sum rows in bins of a fractional number of rows, linearly inside a row, centred."""
    n = counts.shape[0]
    bins = math.floor(n / factor + 1e-9)
    edges = np.clip((n - bins * factor) / 2 + factor * np.arange(bins + 1), 0.0, n)
    summed = np.concatenate([np.zeros((1, counts.shape[1])), np.cumsum(counts, axis=0)])
    whole = np.minimum(edges.astype(np.intp), n - 1)
    at_edges = summed[whole] + (edges - whole)[:, None] * counts[whole]
    return np.asarray(np.diff(at_edges, axis=0))


def rebinned(counts: Array, pixel_nm: float, wanted_nm: float) -> tuple[Array, float, int]:
    """Counts summed over squares of as many whole pixels as stay below some width, that width, and how many."""
    factor = max(1, int(wanted_nm / pixel_nm))
    high, wide = (n // factor for n in counts.shape)
    squares = counts[: high * factor, : wide * factor].reshape(high, factor, wide, factor)
    return np.asarray(squares.sum(axis=(1, 3))), pixel_nm * factor, factor
