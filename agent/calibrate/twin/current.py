"""The beam current: how strong it is, where anything says so, and how fast it falls, by the brightness of repeats."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from agent.calibrate.twin.evidence import Frame
from agent.calibrate.twin.found import Parameter, known, unknown
from agent.perception.scan import Array
from hardware_bridge.cost import ELECTRONS_PER_PA_S

LEAST = 8
SAME_FOCUS_NM = 20.0
HOUR_S = 3600.0


def parameters(
    stay: Sequence[Frame], images: Sequence[Frame], gain: tuple[float, float] | None, level: float, share: float | None
) -> list[Parameter]:
    """Current in pA and its fall an hour.

    ``share`` is the part of the incident electrons that the detector counts in these images (1 with the bare beam on
    it), where it is known; ``gain`` is counts an electron with its error.
    """
    return [_strength(images, gain, level, share), _fall(stay, level)]


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


def _fall(stay: Sequence[Frame], level: float) -> Parameter:
    """The fall of the current from ln brightness over the current that is set, against time."""
    name, unit = "current_decay_per_h", "1/h"
    usual = float(np.median([frame.optics.C10_nm or 0.0 for frame in stay])) if stay else 0.0
    near = [f for f in stay if abs((f.optics.C10_nm or 0.0) - usual) <= SAME_FOCUS_NM and f.counts.mean() > level]
    if len(near) < LEAST:
        return unknown(name, unit, f"{len(near)} images of one place and focus, at least {LEAST} are needed")
    hours = np.array([(frame.start_s or 0.0) / HOUR_S for frame in near])
    ln = np.array([math.log((f.counts.mean() - level) / (f.optics.beam_current_pA or 1.0)) for f in near])
    slope, sd = _line(hours, ln)
    if slope + 2.0 * sd >= 0.0:
        most = max(-slope, 0.0) + 2.0 * sd
        return unknown(
            name, unit, f"no fall stands out in {hours[-1] - hours[0]:.2g} h: it is below {most:.2g} an hour"
        )
    return known(name, unit, -slope, sd, f"brightness of {len(near)} images of one place")


def _line(x: Array, y: Array) -> tuple[float, float]:
    """Slope with its standard error, of points whose errors wander: by means of blocks as long as they remember."""
    rest = y - np.polyval(np.polyfit(x, y, 1), x)
    r = float(np.clip((rest[1:] * rest[:-1]).mean() / (rest**2).mean(), 0.0, 0.95)) if rest.any() else 0.0
    spread = float(np.sqrt((rest**2).sum() / max(len(x) - 2, 1)))
    # Of errors that forget as r^n, as many independent ones as points times (1 - r) / (1 + r).
    sd = spread / math.sqrt(float(((x - x.mean()) ** 2).sum())) * math.sqrt((1 + r) / (1 - r))
    return float(np.polyfit(x, y, 1)[0]), sd
