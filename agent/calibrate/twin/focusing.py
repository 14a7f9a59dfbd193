"""How focus drifts: the C10 that is sharp, from every pair of images that differ in C10, and the process behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.calibrate.twin import wander
from agent.calibrate.twin.found import Parameter, unknown
from agent.calibrate.twin.track import random_part
from agent.calibrate.twin.wander import Track, Wander
from agent.perception.focus import Lens, Shot, in_focus
from agent.perception.registration import shift_between
from agent.perception.scan import Scan

APART_NM = 150.0
"""Two images of a pair differ by at least this in C10."""

WITHIN = 2
LEAST = 10
NOT_READ = 1e3
"""Standard deviation of ln blur where no particle was looked at: the spectra of the pair decide alone."""


@dataclass(frozen=True)
class Focus:
    """Set values of C10 that were sharp, in nm, and what was fitted to them."""

    track: Track
    wander: Wander


def follow(scans: Sequence[Scan], lens: Lens | None) -> Focus | str:
    """Find focus in every pair and fit how it drifts; a str says why not."""
    if lens is None:
        return "the convergence angle is not known of files"
    found, pairs, used = [], 0, -1
    for i, first in enumerate(scans):
        later = [k for k in range(i + 1, min(i + 1 + WITHIN, len(scans))) if _apart(first, scans[k])]
        if i <= used or not later:
            continue
        second, used = scans[later[0]], later[0]
        pairs += 1
        shift = shift_between(first.counts, second.counts)
        if shift is None:
            continue
        shots = (Shot(first, 0.0, NOT_READ), Shot(second, 0.0, NOT_READ))
        told = in_focus(*shots, (shift.rows, shift.columns), lens)
        if told is not None:
            found.append((0.5 * (first.mid_s + second.mid_s), told.value, told.sd))
    if len(found) < LEAST:
        return f"{pairs} pairs of images differ in C10, {len(found)} of them tell focus, at least {LEAST} are needed"
    table = np.array(found)
    track = Track(table[:, 0], table[:, 1:2], table[:, 2])
    fitted = wander.fit(track, False)
    assert fitted is not None  # a track of LEAST points
    return Focus(track, fitted)


def _apart(a: Scan, b: Scan) -> bool:
    return abs(a.C10_nm - b.C10_nm) >= APART_NM and a.counts.shape == b.counts.shape and a.pixel_nm == b.pixel_nm


def parameters(found: Focus | str) -> list[Parameter]:
    """Spread and correlation time of C10, by the names of the twin's conditions."""
    if isinstance(found, str):
        return [unknown("C10_wander_nm", "nm", found), unknown("focus_s", "s", found)]
    time_s = found.track.time_s
    rests = f"{len(time_s)} focus pairs in {time_s[-1] - time_s[0]:.0f} s"
    return random_part("C10_wander_nm", "focus_s", found.wander, rests)
