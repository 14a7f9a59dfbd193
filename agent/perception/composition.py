"""Spectra put to use: what they say of a place, and of the tracked features that lie under the beam."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from agent.perception.atoms import Core
from agent.perception.contrast import ContrastSettings
from agent.perception.drift import Placed
from agent.perception.eels import SpectrumFit, SpectrumReader, presence_odds
from agent.perception.scan import Array
from agent.perception.tracking import Track, Tracker
from digital_twin.spectra import energy_axis_eV
from hardware_bridge.geometry import Point
from hardware_bridge.messages import Capabilities
from hardware_bridge.observation import Observation
from hardware_bridge.report import Estimate, Particle

POINTS = 12
# Without a track: the thickness of a particle that one would expect, with its sd, in nm; and even odds.
UNTRACKED_NM = (10.0, 8.0)
# How well the expected density is known, and the least chance that the beam went beside the particle.
DENSITY_SD_SHARE = 0.3
LEAST_MISSED = 0.03
# A feature is judged by a spectrum if this share of what is expected there would be its own.
OWN_SHARE = 0.7
MOST_ODDS = 6.0
# What a nm of copper in place of water adds, at 200 kV and 20 mrad: electrons scattered past the collection aperture
# (elastic cross-section), and losses (ratio of mean free paths); oxygen that it displaces, atoms per nm^3.
MISSED_PER_NM, LOSSES_PER_NM, WATER_PER_NM3 = 0.0145, 0.0036, 33.4
# How well that is known, and where the beam may have been, in sds of its place.
UNEVEN_SHARE = 0.3
AIMS = 1.2 * np.array([(x, y) for x in (-1.0, 0.0, 1.0) for y in (-1.0, 0.0, 1.0)])

Moments = tuple[float, float]


@dataclass(frozen=True)
class Composed:
    """What a spectrum adds to a percept."""

    quality: dict[str, float]
    estimates: dict[str, Estimate]
    particles: tuple[Particle, ...]
    events: tuple[str, ...]


class Composition:
    """Reads spectra of the target material's edge and tells the tracker what they mean."""

    def __init__(self, capabilities: Capabilities, material: ContrastSettings, tracker: Tracker) -> None:
        self._capabilities = capabilities
        self._per_nm3 = material.atoms_per_nm3
        self._tracker = tracker
        self._readers: dict[tuple[float, float, int], SpectrumReader] = {}

    def read(self, observation: Observation, placed: Placed, size_nm: Point, counts: Array) -> Composed:
        """Read a spectrum image (H, W, E), in electrons, taken at a place; rows that did not arrive hold zeros."""
        axis = observation.axes[2]
        key = (axis.offset, axis.scale, axis.size)
        if key not in self._readers:
            self._readers[key] = SpectrumReader(self._capabilities, energy_axis_eV(*key))
        fit = self._readers[key].read(counts.sum(axis=(0, 1)))
        quality = {
            "electrons": fit.electrons,
            "incident_electrons": observation.electrons,
            "rows_missing_share": 1.0 - float(observation.row_seen.mean()),
            "gaps": float(observation.gaps),
            "usable": float(fit.t_over_lambda is not None),
        }
        estimates = _estimates(fit, self._unevenness_nm2(placed, size_nm), self._per_nm3)
        particles: tuple[Particle, ...] = ()
        if fit.copper is not None:
            quality["edge_misfit"] = fit.copper.misfit
            probability, particles = self._judge(fit.copper, placed, size_nm)
            estimates["copper_probability"] = Estimate(
                value=probability, sd=math.sqrt(probability * (1.0 - probability))
            )
        events = tuple(f"track {p.track} is a particle with probability {p.real:.2f}" for p in particles)
        return Composed(quality, estimates, particles, events)

    def _judge(self, copper: Core, placed: Placed, size_nm: Point) -> tuple[float, tuple[Particle, ...]]:
        """Probability that the spectrum shows the target, and the features that it judges."""
        under = [(self._thickness_nm(t, placed.centre_nm, size_nm), t) for t in self._tracker.tracks.values()]
        under = [(nm, t) for nm, t in under if nm > 0.0]
        if not under:
            expected = UNTRACKED_NM[0] * self._per_nm3
            odds = presence_odds(copper, expected, UNTRACKED_NM[1] * self._per_nm3, 0.5)
            return _probability(odds), ()
        nm, track = max(under, key=lambda pair: pair[0])
        missed = self._missed(track, placed, size_nm)
        odds = presence_odds(copper, nm * self._per_nm3, DENSITY_SD_SHARE * nm * self._per_nm3, missed)
        before = self._tracker.real(track.number)
        if nm >= OWN_SHARE * sum(n for n, _ in under):
            self._tracker.believe(track.number, min(max(odds, -MOST_ODDS), MOST_ODDS))
            real = self._tracker.real(track.number)
            return real, (_particle(track, placed, real),)
        return _probability(math.log(before / (1.0 - before)) + odds), ()

    def _thickness_nm(self, track: Track, centre_nm: Point, size_nm: Point) -> float:
        """Mean projected thickness of a feature over the field, nm."""
        return float(self._profile_nm(track, centre_nm, size_nm).mean())

    def _unevenness_nm2(self, placed: Placed, size_nm: Point) -> Moments:
        """Variance over the field of the projected thickness of all tracked features, nm^2.

        Mean and standard deviation over where the beam may have been.
        """
        found = []
        for dx, dy in placed.beside_sd_nm * AIMS:
            there = (placed.centre_nm[0] + dx, placed.centre_nm[1] + dy)
            profiles = [self._profile_nm(t, there, size_nm) for t in self._tracker.tracks.values()]
            found.append(float(np.sum(profiles, axis=0).var()) if profiles else 0.0)
        return float(np.mean(found)), float(np.std(found))

    @staticmethod
    def _profile_nm(track: Track, centre_nm: Point, size_nm: Point) -> Array:
        """Projected thickness of a feature at points over the field, (POINTS, POINTS) nm."""
        radius = track.radii_nm[-1]
        if (
            max(abs(track.x_nm - centre_nm[0]) - size_nm[0] / 2, abs(track.y_nm - centre_nm[1]) - size_nm[1] / 2)
            > radius
        ):
            return np.zeros((POINTS, POINTS))
        steps = (np.arange(POINTS) + 0.5) / POINTS - 0.5
        x = centre_nm[0] + steps * size_nm[0] - track.x_nm
        y = centre_nm[1] + steps * size_nm[1] - track.y_nm
        return np.asarray(2.0 * np.sqrt(np.maximum(radius**2 - x[None, :] ** 2 - y[:, None] ** 2, 0.0)))

    def _missed(self, track: Track, placed: Placed, size_nm: Point) -> float:
        """Chance that the beam went beside a feature: how well the field's place is known against the last image's."""
        reach = track.radii_nm[-1] + 0.5 * min(size_nm)
        return min(LEAST_MISSED + math.exp(-0.5 * (reach / max(placed.beside_sd_nm, 1e-6)) ** 2), 0.9)


def _estimates(fit: SpectrumFit, uneven_nm2: Moments, per_nm3: float) -> dict[str, Estimate]:
    """What a fit says of the mean over the field.

    Of a field that features make uneven, more electrons are collected where it is thin: to the second order what is
    seen is short by a covariance of thickness, which is put right as far as it is known.
    """
    short = {
        "thickness_t_over_lambda": LOSSES_PER_NM * MISSED_PER_NM + 0.5 * LOSSES_PER_NM**2,
        "oxygen_per_nm2": -WATER_PER_NM3 * MISSED_PER_NM,
        "copper_per_nm2": per_nm3 * MISSED_PER_NM,
    }
    found = {
        "zero_loss_eV": fit.zero_loss_eV,
        "thickness_t_over_lambda": fit.t_over_lambda,
        "oxygen_per_nm2": fit.oxygen.per_nm2 if fit.oxygen else None,
        "copper_per_nm2": fit.copper.per_nm2 if fit.copper else None,
    }
    mean, sd = uneven_nm2
    doubt = math.hypot(sd, UNEVEN_SHARE * mean)
    return {
        name: Estimate(
            value=seen.value + short.get(name, 0.0) * mean, sd=math.hypot(seen.sd, short.get(name, 0.0) * doubt)
        )
        for name, seen in found.items()
        if seen is not None
    }


def _particle(track: Track, placed: Placed, real: float) -> Particle:
    """A tracked feature as it was last seen."""
    own_sd = math.sqrt(track.position_var)
    return Particle(
        track=track.number,
        x_nm=track.x_nm,
        y_nm=track.y_nm,
        radius_nm=track.radii_nm[-1],
        x_sd_nm=math.hypot(own_sd, placed.offset_x_nm.sd),
        y_sd_nm=math.hypot(own_sd, placed.offset_y_nm.sd),
        radius_sd_nm=track.sds_nm[-1],
        snr=track.radii_nm[-1] / track.sds_nm[-1],
        real=real,
    )


def _probability(odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(max(odds, -MOST_ODDS), MOST_ODDS)))
