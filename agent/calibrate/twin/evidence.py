"""What was recorded, in the words of the fits: images as the detector gave them, and what is known of each.

From a run of `adaptem run` everything is known. Files hold images; what they do not say is given beside them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agent.perception.scan import Array, Scan, incident_per_pixel
from agent.reading import Run
from hardware_bridge.cost import ELECTRONS_PER_PA_S
from hardware_bridge.geometry import Point, field_centre_nm, pixel_nm
from hardware_bridge.messages import Capabilities, Optics
from hardware_bridge.observation import Observation

LEAST_EDGE = 32
UNKNOWN = Optics()
FACTS = ("pixel_nm", "dwell_s", "every_s")


@dataclass(frozen=True)
class Frame:
    """One image as the detector gave it: ``counts`` (H, W) float64; None stands for what is not known of it.

    ``full_counts`` is the largest number that the file's type can hold, ``is_whole`` says that counts are whole
    numbers. ``current_pA`` is the beam current by the instrument's own measure. ``place`` tells stage and field: images
    of one place and ``optics`` can be compared.
    """

    counts: Array
    full_counts: float
    is_whole: bool
    blanked: bool = False
    pixel_nm: float | None = None
    dwell_s: float | None = None
    start_s: float | None = None
    end_s: float | None = None
    current_pA: float | None = None
    optics: Optics = UNKNOWN
    nominal_nm: Point = (0.0, 0.0)
    rotation_deg: float = 0.0
    place: tuple[float, ...] = ()

    @property
    def mid_s(self) -> float | None:
        """The middle of the acquisition."""
        return None if self.start_s is None or self.end_s is None else 0.5 * (self.start_s + self.end_s)

    def in_electrons(self, gain: float, level: float, pedestal: float) -> Scan:
        """The image in electrons, less the dark level; ``pedestal`` (electrons) is the read noise's variance."""
        start_s, end_s = self.start_s or 0.0, self.end_s or 0.0
        return Scan(
            counts=(self.counts - level) / gain + pedestal,
            row_seen=np.ones(len(self.counts), dtype=bool),
            pixel_nm=self.pixel_nm or 1.0,
            incident=(self.current_pA or 0.0) * (self.dwell_s or 0.0) * ELECTRONS_PER_PA_S,
            rotation_deg=self.rotation_deg,
            nominal_nm=self.nominal_nm,
            stage_nm=(0.0, 0.0, 0.0),
            C10_nm=self.optics.C10_nm or 0.0,
            start_s=start_s,
            end_s=end_s,
        )


@dataclass(frozen=True)
class Evidence:
    """Images in the order of time and dark references; ``column`` says what is known of the instrument, if anything."""

    images: tuple[Frame, ...]
    darks: tuple[Frame, ...]
    column: Capabilities | None = None

    def repeats(self) -> list[tuple[Frame, ...]]:
        """Runs of images that follow each other at one place with one setting of everything, longest first."""
        found = [tuple(group) for _, group in groupby(self.images, _setting)]
        return sorted(found, key=len, reverse=True)

    def stay(self) -> tuple[Frame, ...]:
        """The images of the place that was looked at most, with a known time, the stage at rest; focus may differ."""
        timed = [frame for frame in self.images if frame.start_s is not None and frame.pixel_nm is not None]
        found = [tuple(group) for _, group in groupby(timed, lambda frame: frame.place)]
        return max(found, key=len, default=())


def _setting(frame: Frame) -> tuple[object, ...]:
    C10_nm = frame.optics.C10_nm
    # Focus is trimmed by a few nm from image to image, and the current follows what is left of the budget.
    near = (None if C10_nm is None else round(C10_nm / 20.0), frame.dwell_s)
    return frame.place, frame.counts.shape, near


def of_run(run: Run) -> Evidence:
    """The scanned images of a recorded run.

    Raises:
        RecordError: its arrays are missing or altered.
        ValueError: the record has lost its header, or holds no image.
    """
    if run.header is None:
        raise ValueError(f"{run.folder}: the record has lost its header, nothing is known of the instrument")
    column = run.header.capabilities
    frames = []
    for record in run.records:
        if (observation := run.observation(record)) is not None:
            frames += [frame for frame in [of_observation(observation, column)] if frame is not None]
    if not any(not frame.blanked for frame in frames):
        raise ValueError(f"{run.folder}: holds no scanned image of at least {LEAST_EDGE} x {LEAST_EDGE} pixels")
    return of_frames(frames, column)


def of_frames(frames: Sequence[Frame], column: Capabilities | None = None) -> Evidence:
    """Images and dark references apart."""
    return Evidence(tuple(f for f in frames if not f.blanked), tuple(f for f in frames if f.blanked), column)


def of_observation(observation: Observation, column: Capabilities) -> Frame | None:
    """The newest image of an observation, None where it holds no whole one."""
    acquire, data = observation.command.acquire, observation.data
    if acquire is None or data is None or data.ndim != 2 or not observation.row_seen.all():
        return None
    if min(data.shape) < LEAST_EDGE and not acquire.blanked:
        return None
    go, times_s = observation.state.go, observation.row_start_s
    stage = (go.stage_x_nm, go.stage_y_nm, go.stage_z_nm, go.tilt_alpha_deg, go.tilt_beta_deg)
    fixed = (acquire.fov_nm, acquire.pixels_x, acquire.pixels_y, go.scan_rotation_deg)
    sent = incident_per_pixel(observation, column)
    return replace(
        _raw(data),
        blanked=acquire.blanked,
        pixel_nm=pixel_nm(acquire),
        dwell_s=acquire.dwell_s,
        start_s=float(times_s[0]),
        end_s=observation.end_s,
        current_pA=sent / (acquire.dwell_s * ELECTRONS_PER_PA_S),
        optics=observation.state.optics,
        nominal_nm=field_centre_nm(go, column),
        rotation_deg=go.scan_rotation_deg or 0.0,
        place=tuple(value or 0.0 for value in (*stage, *fixed)),
    )


def _raw(data: NDArray[Any]) -> Frame:
    whole = data.dtype.kind in "ui"
    full = float(np.iinfo(data.dtype).max) if whole else math.inf
    return Frame(np.asarray(data, dtype=np.float64), full, whole)


class Images(Protocol):
    """Images of one file, (N, H, W), with what the file says of them."""

    @property
    def counts(self) -> NDArray[Any]:
        """The numbers as they were stored."""
        ...

    @property
    def pixel_nm(self) -> float | None:
        """Edge of a pixel."""
        ...

    @property
    def facts(self) -> Mapping[str, float]:
        """Other numbers by their names."""
        ...


def of_files(images: Sequence[Images], darks: Sequence[Images], given: Mapping[str, float]) -> Evidence:
    """Images of files, each file a series at one place; ``given`` (pixel_nm, dwell_s, every_s) counts before a file.

    ``every_s`` is the time from the start of one image to that of the next.
    """
    frames: list[Frame] = []
    for place, (blanked, file) in enumerate([*((False, f) for f in images), *((True, f) for f in darks)]):
        known = {**file.facts, **({} if file.pixel_nm is None else {"pixel_nm": file.pixel_nm}), **given}
        every_s, dwell_s = known.get("every_s"), known.get("dwell_s")
        for n, counts in enumerate(file.counts):
            start_s = None if every_s is None else n * every_s
            frames.append(
                replace(
                    _raw(counts),
                    blanked=blanked,
                    pixel_nm=known.get("pixel_nm"),
                    dwell_s=dwell_s,
                    start_s=start_s,
                    end_s=None if start_s is None else start_s + (dwell_s or 0.0) * counts.size,
                    place=(float(place),),
                )
            )
    return of_frames(frames)
