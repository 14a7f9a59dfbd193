"""What was seen of every track over the run, and where the world was looked at: the memory of the reporter."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from agent.perception.charting import Chart
from agent.perception.kinetics import History, driver_s
from agent.perception.scan import Array
from hardware_bridge.report import Card, Particle, Percept

# A particle this much larger than the limit of an image is not overlooked.
OVERLOOKED = 1.4
LEAST_COVERED = 0.5
LEAST_SD_SHARE = 0.01


@dataclass
class Tracked:
    """One track: sightings (driver time, radical time, radius, sd, image), where it last was, and how sure it is real.

    ``missed_s`` are driver times at which it should have been seen and was not.
    """

    x_nm: float
    y_nm: float
    position_sd_nm: float
    real: float
    snr: float
    sightings: list[tuple[float, float, float, float, int]] = field(default_factory=list)
    missed_s: list[float] = field(default_factory=list)

    def history(self) -> History:
        """The sightings as arrays."""
        drive, radical, radius, sd, image = np.array(self.sightings).T
        return History(drive, radical, radius, sd, image.astype(np.intp))

    @property
    def ended_s(self) -> float:
        """Driver time from which it is gone (merged into another): between its last sighting and the miss after it."""
        last = self.sightings[-1][0]
        after = [s for s in self.missed_s if s > last]
        return 0.5 * (last + after[0]) if after else math.inf

    @property
    def trust(self) -> float:
        """Probability that there is something: noise is seen once, and then not again."""
        missed = len([s for s in self.missed_s if s > self.sightings[0][0]])
        seen = len(self.sightings)
        if missed > 1 and seen == 1:
            return 0.1
        return 1.0 - 0.5 * math.exp(-seen) if self.snr < 8.0 else 1.0


class Chronicle:
    """Percepts put in order of what they are about: tracks, looks and exposure.

    ``looked_s`` (size, size) is the driver-plus-radical time, as (F, X), up to which births in each block were seen:
    ``looked_driver_s`` and ``looked_radical_s``; minus infinity where nothing was looked at.
    """

    def __init__(self, card: Card) -> None:
        self.chart = Chart(card)
        self.tracks: dict[int, Tracked] = {}
        self.looked_driver_s: Array = np.full((self.chart.size, self.chart.size), -math.inf)
        self.looked_radical_s: Array = np.zeros((self.chart.size, self.chart.size))
        self.limit_nm: Array = np.zeros((self.chart.size, self.chart.size))
        self.begun_s: float | None = None
        self.images = 0

    def add(self, percept: Percept) -> None:
        """Take in one percept, in order of time."""
        if self.begun_s is None:
            self.begun_s = percept.start_s
        time_s = 0.5 * (percept.start_s + percept.end_s) - self.begun_s
        self.chart.advance(time_s)
        if percept.mode == "HAADF" and "detection_limit_nm" in percept.quality:
            self._image(percept, time_s)
        for particle in percept.particles:
            if particle.track in self.tracks:
                self.tracks[particle.track].real = particle.real
        self.chart.expose(percept, percept.quality.get("incident_electrons", 0.0))

    def _image(self, percept: Percept, time_s: float) -> None:
        drive = float(driver_s(time_s))
        limit = percept.quality["detection_limit_nm"]
        seen = self.chart.covered(percept) >= LEAST_COVERED
        self.looked_driver_s = np.where(seen, drive, self.looked_driver_s)
        self.looked_radical_s = np.where(seen, self.chart.radical_s, self.looked_radical_s)
        self.limit_nm = np.where(seen, limit, self.limit_nm)
        for particle in percept.particles:
            self._sight(particle, drive)
        found = {p.track for p in percept.particles}
        for number, track in self.tracks.items():
            if number not in found and self._should_show(track, percept, limit):
                track.missed_s.append(drive)
        self.images += 1

    def _sight(self, particle: Particle, drive: float) -> None:
        sd = max(particle.radius_sd_nm, LEAST_SD_SHARE * particle.radius_nm)
        radical = self.chart.at(self.chart.radical_s, particle.x_nm, particle.y_nm)
        track = self.tracks.get(particle.track)
        if track is None:
            track = Tracked(0.0, 0.0, 0.0, 0.0, 0.0)
            self.tracks[particle.track] = track
        track.x_nm, track.y_nm = particle.x_nm, particle.y_nm
        track.position_sd_nm = max(particle.x_sd_nm, particle.y_sd_nm)
        track.real, track.snr = particle.real, max(track.snr, particle.snr)
        track.sightings.append((drive, radical, particle.radius_nm, sd, self.images))

    @staticmethod
    def _should_show(track: Tracked, percept: Percept, limit_nm: float) -> bool:
        radius = track.sightings[-1][2]
        return (
            radius > OVERLOOKED * limit_nm
            and abs(track.x_nm - percept.x_nm) < percept.width_nm / 2 - radius
            and abs(track.y_nm - percept.y_nm) < percept.height_nm / 2 - radius
        )
