"""How the specimen drifts: images of one place registered against each other, and the process fitted to the track."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.calibrate.twin import wander
from agent.calibrate.twin.found import Parameter, factor, known, unknown
from agent.calibrate.twin.wander import DECAY, TIME, Track, Wander
from agent.perception.registration import shift_between
from agent.perception.scan import Scan, to_image

IN_FOCUS_NM = 100.0
"""Images farther than this from the usual C10 are left out."""

LEAST = 16
MOST = 240
STANDS_OUT = 3.0
"""A decaying part must make the track this much more likely (ln)."""

MOST_LN_SD = 0.8
TOO_LONG = 0.25
UNITS = {"decay_nm": "nm", "decay_s": "s", "wander_nm": "nm", "wander_s": "s"}


@dataclass(frozen=True)
class Drifted:
    """A track of the specimen in nm, and what was fitted to it: a decaying part too, whether it stands out or not."""

    track: Track
    wander: Wander


def follow(scans: Sequence[Scan]) -> Drifted | str:
    """Register images of one place and fit how they drift; a str says why not."""
    usual = float(np.median([scan.C10_nm for scan in scans])) if scans else 0.0
    near = [scan for scan in scans if abs(scan.C10_nm - usual) <= IN_FOCUS_NM]
    if len(near) < LEAST:
        return f"{len(near)} images of one place with known times and pixel size, at least {LEAST} are needed"
    near = [near[i] for i in np.unique(np.linspace(0, len(near) - 1, MOST).astype(int))]
    track = positions(near)
    if len(track.time_s) < LEAST:
        return f"{len(track.time_s)} of {len(near)} images could be registered, at least {LEAST} are needed"
    fitted = wander.fit(track, True)
    assert fitted is not None  # a track of LEAST points
    return Drifted(track, fitted)


def positions(scans: Sequence[Scan]) -> Track:
    """Where the specimen was at the middle of each scan against the first, (n, 2) nm; what does not fit is left out."""
    anchor, at = scans[0], np.zeros(2)
    last, anchor_at = at, at
    found = [(anchor.mid_s, *at, 0.02 * anchor.pixel_nm)]
    for scan in scans[1:]:
        between = np.subtract(scan.nominal_nm, anchor.nominal_nm)
        expected = last - anchor_at - between
        shift = shift_between(anchor.counts, scan.counts, to_image(scan, (float(expected[0]), float(expected[1]))))
        if shift is None:
            continue
        angle = math.radians(scan.rotation_deg)
        x = math.cos(angle) * shift.columns - math.sin(angle) * shift.rows
        y = math.sin(angle) * shift.columns + math.cos(angle) * shift.rows
        last = anchor_at + scan.pixel_nm * np.array([x, y]) + between
        found.append((scan.mid_s, *last, scan.pixel_nm * math.hypot(shift.rows_sd, shift.columns_sd) / math.sqrt(2)))
        if max(abs(shift.rows), abs(shift.columns)) > 0.4 * min(scan.counts.shape):
            anchor, anchor_at = scan, last
    table = np.array(found)
    return Track(table[:, 0], table[:, 1:3], table[:, 3])


def parameters(found: Drifted | str) -> list[Parameter]:
    """Decaying and random part of the drift, by the names of the twin's conditions."""
    if isinstance(found, str):
        return [unknown(name, unit, found) for name, unit in UNITS.items()]
    w, span_s = found.wander, float(found.track.time_s[-1] - found.track.time_s[0])
    rests = f"{len(found.track.time_s)} registered images in {span_s:.0f} s"
    result = []
    if w.evidence > STANDS_OUT:
        # The size that is told is that of this session: of one draw an axis, of a spread that one session cannot tell.
        size = math.hypot(*w.amplitude) / math.sqrt(2)
        sd = math.hypot(*(w.amplitude * w.amplitude_sd)) / (2 * size)
        result.append(known("decay_nm", "nm", size, sd, f"of this session, from its first image; {rests}"))
        result.append(_time("decay_s", w, DECAY, rests))
    else:
        why = f"no decaying part stands out of the random one in {span_s:.0f} s"
        result += [unknown(name, UNITS[name], why) for name in ("decay_nm", "decay_s")]
    return result + random_part("wander_nm", "wander_s", found.wander, rests)


def random_part(size: str, time: str, w: Wander, rests: str, unit: str = "nm") -> list[Parameter]:
    """Spread and correlation time of the random part; where these are too uncertain, what is known of their ratio."""
    if w.ln_spread[1] > MOST_LN_SD or w.too_long > TOO_LONG:
        rate = f"{math.exp(w.mean_ln[wander.RATE]):.3g} {unit}^2/s"
        why = f"{rests} span too few correlation times: only sd^2 / time = {rate} is told"
        return [unknown(size, unit, why), unknown(time, "s", why)]
    return [factor(size, unit, *w.ln_spread, rests), _time(time, w, TIME, rests)]


def _time(name: str, w: Wander, which: int, rests: str) -> Parameter:
    share = w.decay_too_long if which == DECAY else w.too_long
    if share > TOO_LONG or w.sd_ln[which] > MOST_LN_SD:
        return unknown(name, "s", f"{rests} do not bound it")
    return factor(name, "s", float(w.mean_ln[which]), float(w.sd_ln[which]), rests)
