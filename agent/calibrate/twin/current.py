"""The beam current: how strong it is, where anything says so, and how fast it falls, by the brightness of repeats."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from agent.calibrate.twin.evidence import Frame
from agent.calibrate.twin.found import Parameter, known, unknown
from agent.calibrate.twin.wander import Track
from agent.perception.scan import Array
from hardware_bridge.cost import ELECTRONS_PER_PA_S

LEAST = 8
LEAST_SHARED = 32
STEADY = 8e-4
"""Share by which drift, focus and edges between pixels change the brightness of one place, by simulation."""

HOUR_S = 3600.0


def parameters(
    track: Track | None, images: Sequence[Frame], gain: tuple[float, float] | None, level: float, share: float | None
) -> list[Parameter]:
    """Current in pA and its fall an hour.

    ``track`` places images of one place. ``share`` is the part of the incident electrons that the detector counts in
    these images (1 with the bare beam on it), where it is known; ``gain`` is counts an electron with its error.
    """
    return [_strength(images, gain, level, share), _fall(track, images, level)]


def _strength(
    images: Sequence[Frame], gain: tuple[float, float] | None, level: float, share: float | None
) -> Parameter:
    name, unit = "beam_current_pA", "pA"
    measured = np.array([frame.current_pA for frame in images if frame.current_pA is not None])
    if share is not None:
        dwells = {frame.dwell_s for frame in images}
        dwell_s = next(iter(dwells)) if len(dwells) == 1 else None
        if gain is None or dwell_s is None:
            return unknown(name, unit, "needs the gain, and one known dwell time (--dwell-s)")
        electrons = np.array([(frame.counts.mean() - level) / gain[0] for frame in images])
        current = electrons / (share * dwell_s * ELECTRONS_PER_PA_S)
        scatter = float(current.std(ddof=1)) / math.sqrt(current.size) if current.size > 1 else 0.0
        noise = math.sqrt(float(electrons.mean()) / sum(frame.counts.size for frame in images))
        sd = math.hypot(scatter, current.mean() * math.hypot(gain[1] / gain[0], noise / electrons.mean()))
        return known(name, unit, float(current.mean()), sd, f"electrons counted at a share of {share:g} (given)")
    if measured.size == 0:
        return unknown(name, unit, "no measure of it: give --share, the part of the beam that these images count")
    sd = float(measured.std(ddof=1)) / math.sqrt(measured.size) if measured.size > 1 else 0.0
    return known(name, unit, float(measured.mean()), sd, "mean over images, by the instrument's own measure")


def _fall(track: Track | None, images: Sequence[Frame], level: float) -> Parameter:
    """The fall of the current: ln brightness, over the current that is set, of what all images show, against time."""
    name, unit = "current_decay_per_h", "1/h"
    seen = _brightness(track, images, level) if track is not None else []
    if len(seen) < LEAST:
        return unknown(name, unit, f"{len(seen)} registered images of one place and focus, at least {LEAST} are needed")
    hours, ln = np.array(seen).T
    slope, sd = _line(hours, ln)
    sd = math.hypot(sd, STEADY / float(np.ptp(hours)))
    if slope + 2.0 * sd >= 0.0:
        most = max(-slope, 0.0) + 2.0 * sd
        return unknown(
            name, unit, f"no fall stands out in {hours[-1] - hours[0]:.2g} h: it is below {most:.2g} an hour"
        )
    return known(name, unit, -slope, sd, f"brightness of {len(seen)} images of one place")


def _brightness(track: Track, images: Sequence[Frame], level: float) -> list[tuple[float, float]]:
    """Time in hours and ln brightness of the part that every registered image shows."""
    by_time = {frame.mid_s: frame for frame in images}
    placed = [(by_time[t], at) for t, at in zip(track.time_s.tolist(), track.value, strict=True) if t in by_time]
    contents = [(frame, _content(frame, placed[0][0], at)) for frame, at in placed]
    margin = math.ceil(max((abs(step) for _, content in contents for step in content), default=0.0)) + 1
    result = []
    for frame, content in contents:
        down, right = (round(step) for step in content)
        height, width = frame.counts.shape
        if min(height, width) - 2 * margin < LEAST_SHARED:
            continue
        part = frame.counts[margin + down : height - margin + down, margin + right : width - margin + right]
        if part.mean() > level:
            set_pA = frame.optics.beam_current_pA or 1.0
            result.append(((frame.mid_s or 0.0) / HOUR_S, math.log((float(part.mean()) - level) / set_pA)))
    return result


def _content(frame: Frame, first: Frame, at_nm: Array) -> tuple[float, float]:
    """By how many rows and columns the content of an image lies farther on than that of the first."""
    x, y = at_nm - np.subtract(frame.nominal_nm, first.nominal_nm)
    angle, pixel_nm = math.radians(frame.rotation_deg), frame.pixel_nm or 1.0
    rows, columns = math.cos(angle) * y - math.sin(angle) * x, math.cos(angle) * x + math.sin(angle) * y
    return float(rows) / pixel_nm, float(columns) / pixel_nm


def _line(x: Array, y: Array) -> tuple[float, float]:
    """Slope with its standard error, of points whose errors wander: by means of blocks as long as they remember."""
    rest = y - np.polyval(np.polyfit(x, y, 1), x)
    r = float(np.clip((rest[1:] * rest[:-1]).mean() / (rest**2).mean(), 0.0, 0.95)) if rest.any() else 0.0
    spread = float(np.sqrt((rest**2).sum() / max(len(x) - 2, 1)))
    # Of errors that forget as r^n, as many independent ones as points times (1 - r) / (1 + r).
    sd = spread / math.sqrt(float(((x - x.mean()) ** 2).sum())) * math.sqrt((1 + r) / (1 - r))
    return float(np.polyfit(x, y, 1)[0]), sd
