"""Which particle is which over the run: tracks, their growth, and what that says about what they are.

A feature seen where none was before has nucleated, and one that grows is no debris: beads were there from the start and
stay as they are. Both enter the odds that a track is a particle of the target material.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from agent.perception.contrast import Brightness
from hardware_bridge.geometry import Point
from hardware_bridge.words import Fraction, NotNegative, Positive, Word

# A match may be this many standard deviations away.
GATE = 4.0
# And what has come off the window so many.
MOVED_GATE = 3.0
FORBIDDEN = 1e6
# A feature counts as new where one of this share of its radius would have been seen.
SEEN_SHARE = 0.8
LEAST_AGE_S = 15.0
MOST_ODDS = 6.0
NEW_ODDS = 3.0
# What radii and brightness of one feature differ by from image to image beside noise.
RADIUS_FLOOR = 0.02
LOOK_FLOOR = 0.05


class TrackSettings(Word, frozen=True, kw_only=True):
    """``debris_share`` is what part of unknown features is debris; ``wander_nm`` how far one may move by itself.

    A few are not stuck: these diffuse, with ``mobility_nm3_per_s`` over their radius.

    The square of a particle's radius grows by ``rate_nm2_per_s`` +- ``rate_sd_nm2_per_s`` before anything is seen
    (more slowly while attachment limits growth); that of debris does not.
    """

    debris_share: Fraction = 0.2
    wander_nm: NotNegative = 0.5
    mobility_nm3_per_s: NotNegative = 10.0
    rate_nm2_per_s: Positive = 1.5
    rate_sd_nm2_per_s: Positive = 1.0


@dataclass(frozen=True)
class Sighting:
    """One fitted feature in the registered frame, in nm; ``look`` is its ln brightness less the target's, and variance.

    ``free_radius_nm`` is its radius whatever it is made of.
    """

    x_nm: float
    y_nm: float
    position_sd_nm: float
    radius_nm: float
    radius_sd_nm: float
    free_radius_nm: float
    look: tuple[float, float] = (0.0, math.inf)


@dataclass
class Track:
    """One feature over time; ``spectrum_odds`` is what spectra said of it, as ln odds of being a particle."""

    number: int
    x_nm: float
    y_nm: float
    position_var: float
    new: bool
    spectrum_odds: float = 0.0
    look_precision: float = 0.0
    look_sum: float = 0.0
    times_s: list[float] = field(default_factory=list)
    radii_nm: list[float] = field(default_factory=list)
    sds_nm: list[float] = field(default_factory=list)
    _growth: tuple[int, float, float] = (0, 0.0, math.inf)

    @property
    def look(self) -> tuple[float, float]:
        """Ln brightness less the target's over all sightings, with its variance."""
        if self.look_precision <= 0.0:
            return 0.0, math.inf
        return self.look_sum / self.look_precision, 1.0 / self.look_precision + LOOK_FLOOR**2

    def growth(self) -> tuple[float, float]:
        """Slope of the squared radius in nm^2/s by weighted least squares, with its sd; (0, inf) if unknown."""
        if self._growth[0] != len(self.times_s):
            self._growth = (len(self.times_s), *self._slope())
        return self._growth[1:]

    def _slope(self) -> tuple[float, float]:
        if len(self.times_s) < 2:
            return 0.0, math.inf
        t, r, sd = np.array(self.times_s), np.array(self.radii_nm), np.array(self.sds_nm)
        w = 1.0 / (2.0 * r * np.hypot(sd, RADIUS_FLOOR * r) + 0.1) ** 2
        mean_t = float((w * t).sum() / w.sum())
        spread = float((w * (t - mean_t) ** 2).sum())
        if spread <= 0.0:
            return 0.0, math.inf
        return float((w * (t - mean_t) * r**2).sum() / spread), spread**-0.5


class Tracker:
    """Links the sightings of every image to tracks."""

    def __init__(self, settings: TrackSettings, brightness: Brightness) -> None:
        self.settings = settings
        self._brightness = brightness
        self.tracks: dict[int, Track] = {}
        self._looks: list[tuple[float, Point, Point, float]] = []
        self._next = 1

    def link(
        self, sightings: list[Sighting], clock_s: float, centre_nm: Point, size_nm: Point, limit_nm: float
    ) -> tuple[list[int], list[str]]:
        """Give every sighting in a field its track number; also says in words what happened there.

        ``limit_nm`` is the radius that would just have been seen in this image.
        """
        inside = [
            t for t in self.tracks.values() if _inside(t.x_nm, t.y_nm, centre_nm, size_nm, margin_nm=t.radii_nm[-1])
        ]
        pairs = self._assign(inside, sightings)
        kept = {track.number for track in pairs.values()}
        lost = [t for t in inside if t.number not in kept]
        pairs |= self._moved(lost, [i for i in range(len(sightings)) if i not in pairs], sightings, clock_s)
        numbers, events = [], []
        for i, sighting in enumerate(sightings):
            track = pairs.get(i)
            if track is None:
                track = self._begin(sighting, clock_s)
                if track.new:
                    events.append(f"track {track.number} is new, radius {sighting.radius_nm:.1f} nm")
            self._extend(track, sighting, clock_s)
            numbers.append(track.number)
        events += self._merged(inside, set(numbers), clock_s)
        self._looks.append((clock_s, centre_nm, size_nm, limit_nm))
        return numbers, events

    def real(self, number: int) -> float:
        """Probability that a track is a particle of the target material, from looks, spectra, newness and growth."""
        return self.reals([number])[0]

    def reals(self, numbers: Sequence[int]) -> list[float]:
        """The same of several tracks."""
        rate = self.rate()
        tracks = [self.tracks[n] for n in numbers]
        odds = [self._odds(t) + _growth_odds(t, *rate) for t in tracks]
        return [1.0 / (1.0 + math.exp(-min(max(o, -MOST_ODDS), MOST_ODDS))) for o in odds]

    def believe(self, number: int, ln_factor: float) -> None:
        """Multiply a track's odds by what a spectrum said of it."""
        self.tracks[number].spectrum_odds += ln_factor

    def rate(self) -> tuple[float, float]:
        """How fast squared radii of particles grow, in nm^2/s, with the spread over particles."""
        s = self.settings
        grown = [(t.growth(), t) for t in self.tracks.values() if len(t.times_s) >= 3]
        grown = [(g, t) for g, t in grown if g[1] < s.rate_sd_nm2_per_s]
        known = np.array([g for g, t in grown if g[0] > 3.0 * g[1] or self._odds(t) > 1.0])
        if not known.size:
            return s.rate_nm2_per_s, s.rate_sd_nm2_per_s
        # One prior observation, as wide as the prior.
        prior = s.rate_sd_nm2_per_s**-2
        weights = 1.0 / (known[:, 1] ** 2 + s.rate_sd_nm2_per_s**2)
        total = prior + float(weights.sum())
        mean = (prior * s.rate_nm2_per_s + float((weights * known[:, 0]).sum())) / total
        spread = (1.0 + float((weights * (known[:, 0] - mean) ** 2).sum())) / total
        return mean, max(math.sqrt(spread), 0.25 * abs(mean))

    def _odds(self, track: Track) -> float:
        """Ln odds of being a particle by everything but growth."""
        share = min(max(self.settings.debris_share, 1e-3), 1.0 - 1e-3)
        offset, var = track.look
        look = self._brightness.odds(offset, var) if math.isfinite(var) else 0.0
        return math.log((1.0 - share) / share) + look + track.spectrum_odds + (NEW_ODDS if track.new else 0.0)

    def _assign(self, tracks: list[Track], sightings: list[Sighting]) -> dict[int, Track]:
        """Best one-to-one assignment of tracks to sightings within the gate."""
        if not tracks or not sightings:
            return {}
        there = np.array([(t.x_nm, t.y_nm, t.position_var, t.radii_nm[-1]) for t in tracks])
        here = np.array([(s.x_nm, s.y_nm, s.position_sd_nm**2, s.radius_nm) for s in sightings])
        apart = np.hypot(there[:, None, 0] - here[None, :, 0], there[:, None, 1] - here[None, :, 1])
        wander = self.settings.wander_nm**2
        sd = np.sqrt(there[:, None, 2] + here[None, :, 2] + wander)
        # Two features cannot lie within one radius of each other, so that much doubt does no harm.
        sd = np.maximum(sd, 0.15 * np.minimum(there[:, None, 3], here[None, :, 3]))
        cost = np.where(apart < GATE * sd, (apart / sd) ** 2, FORBIDDEN)
        rows, columns = linear_sum_assignment(cost)
        return {int(j): tracks[i] for i, j in zip(rows, columns, strict=True) if cost[i, j] < FORBIDDEN}

    def _moved(
        self, lost: list[Track], unknown: list[int], sightings: list[Sighting], clock_s: float
    ) -> dict[int, Track]:
        """Tracks that are not where they were and sightings of what they would have grown to, within their reach."""
        pairs: dict[int, Track] = {}
        taken: set[int] = set()
        if not lost or not unknown:
            return pairs
        rate, spread = self.rate()
        costs = []
        for track in lost:
            waited_s, radius_nm, sd_nm = clock_s - track.times_s[-1], track.radii_nm[-1], track.sds_nm[-1]
            reach_nm = math.sqrt(2.0 * self.settings.mobility_nm3_per_s / radius_nm * waited_s)
            square = radius_nm**2 + rate * waited_s
            for i in unknown:
                seen = sightings[i]
                error = np.hypot(seen.radius_nm * seen.radius_sd_nm, radius_nm * sd_nm) + RADIUS_FLOOR * square
                sizes = abs(seen.radius_nm**2 - square) / (2.0 * error + spread * waited_s)
                steps = math.hypot(seen.x_nm - track.x_nm, seen.y_nm - track.y_nm) / max(reach_nm, 1e-9)
                if sizes < MOVED_GATE and steps < MOVED_GATE:
                    costs.append((steps**2 + sizes**2, i, track.number, reach_nm))
        for _, i, number, reach_nm in sorted(costs):
            if i not in pairs and number not in taken:
                pairs[i] = self.tracks[number]
                pairs[i].position_var += reach_nm**2
                taken.add(number)
        return pairs

    def _begin(self, sighting: Sighting, clock_s: float) -> Track:
        """Open a track, new if the place was looked at before with nothing of this size there."""
        would_show = [
            look
            for look in self._looks
            if clock_s - look[0] >= LEAST_AGE_S
            and look[3] < SEEN_SHARE * sighting.radius_nm
            and _inside(sighting.x_nm, sighting.y_nm, look[1], look[2], margin_nm=-2.0 * sighting.radius_nm)
        ]
        track = Track(number=self._next, x_nm=sighting.x_nm, y_nm=sighting.y_nm, position_var=1e6, new=bool(would_show))
        self.tracks[track.number] = track
        self._next += 1
        return track

    def _extend(self, track: Track, sighting: Sighting, clock_s: float) -> None:
        prior = track.position_var + self.settings.wander_nm**2
        gain = prior / (prior + sighting.position_sd_nm**2)
        track.x_nm += gain * (sighting.x_nm - track.x_nm)
        track.y_nm += gain * (sighting.y_nm - track.y_nm)
        track.position_var = (1.0 - gain) * prior
        track.times_s.append(clock_s)
        track.radii_nm.append(sighting.radius_nm)
        track.sds_nm.append(max(sighting.radius_sd_nm, 1e-3))
        offset, var = sighting.look
        if math.isfinite(var):
            track.look_precision += 1.0 / var
            track.look_sum += offset / var

    def _merged(self, inside: list[Track], matched: set[int], clock_s: float) -> list[str]:
        """Tracks that were not found again and now lie inside another: these have merged, and end."""
        events = []
        survivors = [self.tracks[n] for n in matched]
        for track in inside:
            if track.number in matched:
                continue
            host = next(
                (
                    s
                    for s in survivors
                    if len(s.times_s) > 1
                    and math.hypot(s.x_nm - track.x_nm, s.y_nm - track.y_nm) < s.radii_nm[-1]
                    and s.radii_nm[-1] > s.radii_nm[-2] + 2.0 * s.sds_nm[-1]
                ),
                None,
            )
            if host is not None:
                events.append(f"track {track.number} merged into track {host.number}")
                del self.tracks[track.number]
        return events


def _growth_odds(track: Track, rate: float, spread: float) -> float:
    """Ln of how much better growth at the usual rate explains a track than no growth."""
    slope, sd = track.growth()
    if not math.isfinite(sd):
        return 0.0
    var_if_real, var_if_not = sd**2 + spread**2, sd**2 + (0.05 * rate) ** 2
    return 0.5 * (
        slope**2 / var_if_not - (slope - rate) ** 2 / var_if_real + math.log(var_if_not) - math.log(var_if_real)
    )


def _inside(x_nm: float, y_nm: float, centre_nm: Point, size_nm: Point, margin_nm: float) -> bool:
    return (
        abs(x_nm - centre_nm[0]) < size_nm[0] / 2 + margin_nm and abs(y_nm - centre_nm[1]) < size_nm[1] / 2 + margin_nm
    )
