"""What the agent claims of the flakes, against what the simulator's specimen holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.perception.surveyor import SurveyorSettings, there
from agent.record import Record
from hardware_bridge.messages import Acquire
from hardware_bridge.report import Particle, Percept
from hardware_bridge.words import Word

ELEMENT_OF = {68.0: "Ni", 29.0: "Ge", 99.0: "Si"}
"""usim's flakes are each of one element; one of its edges tells which."""


class Flake(Word, frozen=True, kw_only=True):
    """One feature of the simulator's specimen: its box in the specimen frame, and the edges that usim gives it."""

    kind: str
    x_nm: float
    y_nm: float
    width_nm: float
    height_nm: float
    edges_eV: tuple[float, ...]

    @property
    def element(self) -> str:
        """What it is of."""
        return next(ELEMENT_OF[edge] for edge in self.edges_eV if edge in ELEMENT_OF)

    def holds(self, x_nm: float, y_nm: float, margin_nm: float = 0.0) -> bool:
        """Whether a point lies in it, or no farther beside than a margin."""
        return (
            abs(x_nm - self.x_nm) < self.width_nm / 2 + margin_nm
            and abs(y_nm - self.y_nm) < self.height_nm / 2 + margin_nm
        )

    def touches(self, other: Flake, margin_nm: float) -> bool:
        """Whether two lie on each other, or no farther apart than a margin."""
        return (
            abs(self.x_nm - other.x_nm) < (self.width_nm + other.width_nm) / 2 + margin_nm
            and abs(self.y_nm - other.y_nm) < (self.height_nm + other.height_nm) / 2 + margin_nm
        )


@dataclass(frozen=True)
class Reading:
    """One spectrum: where, the elements that it was said to show, and those of the flakes under the probe."""

    x_nm: float
    y_nm: float
    claimed: frozenset[str]
    true: frozenset[str]


@dataclass(frozen=True)
class Judgement:
    """All of a run: features found, spectra read, and the flakes that there are in the surveyed square.

    ``cut`` commands were cut short, their data with them.
    """

    features: tuple[Particle, ...]
    readings: tuple[Reading, ...]
    flakes: tuple[Flake, ...]
    pixel_nm: float
    seconds: float
    cut: int

    def seen(self, least_px: float) -> tuple[int, int]:
        """Of the flakes at least so many pixels wide and high: how many hold a feature, and how many there are."""
        wide = self._wide(least_px)
        return sum(self._holds_any(f) for f in wide), len(wide)

    def joined(self, least_px: float) -> int:
        """How many of those that hold none touch another flake."""
        return sum(self._touches_any(f) for f in self._wide(least_px) if not self._holds_any(f))

    def _wide(self, least_px: float) -> list[Flake]:
        return [f for f in self.flakes if min(f.width_nm, f.height_nm) >= least_px * self.pixel_nm]

    def _holds_any(self, flake: Flake) -> bool:
        return any(flake.holds(p.x_nm, p.y_nm) for p in self.features)

    def _touches_any(self, flake: Flake) -> bool:
        return any(flake.touches(other, 2 * self.pixel_nm) for other in self.flakes if other is not flake)

    def named(self) -> tuple[int, int]:
        """Of the flakes that a spectrum was taken on: how many of their elements it named, and how many there are."""
        met = [(f, [r for r in self.readings if f.holds(r.x_nm, r.y_nm)]) for f in self.flakes]
        met = [(f, readings) for f, readings in met if readings]
        return sum(any(f.element in r.claimed for r in readings) for f, readings in met), len(met)

    def false(self) -> int:
        """Features where no flake is."""
        return sum(not any(f.holds(p.x_nm, p.y_nm, self.pixel_nm) for f in self.flakes) for p in self.features)

    def errors_nm(self, least_px: float) -> list[tuple[float, float]]:
        """Of such flakes that touch no other and were found: by how much (x, y) the feature lies beside the middle."""
        found = []
        for flake in self._wide(least_px):
            if self._touches_any(flake):
                continue
            inside = [p for p in self.features if flake.holds(p.x_nm, p.y_nm)]
            if inside:
                p = min(inside, key=lambda p: math.dist((p.x_nm, p.y_nm), (flake.x_nm, flake.y_nm)))
                found.append((p.x_nm - flake.x_nm, p.y_nm - flake.y_nm))
        return found

    def table(self, elements: Sequence[str]) -> dict[str, tuple[int, int, int]]:
        """By element, over all spectra: how often it was rightly named, missed, and named where it is not."""
        return {
            e: (
                sum(e in r.claimed and e in r.true for r in self.readings),
                sum(e not in r.claimed and e in r.true for r in self.readings),
                sum(e in r.claimed and e not in r.true for r in self.readings),
            )
            for e in elements
        }


def judge(
    records: Sequence[Record], flakes: Sequence[Flake], extent_nm: float, settings: SurveyorSettings
) -> Judgement:
    """Compare the records of a run with the flakes that reach into the middle square of ``extent_nm``."""
    half = extent_nm / 2
    here = tuple(f for f in flakes if max(abs(f.x_nm), abs(f.y_nm)) < half)
    features: dict[int, Particle] = {}
    readings, pixel_nm = [], math.inf
    for record in records:
        percept, acquire = record.percept, _acquire(record)
        if percept is None or acquire is None:
            continue
        if percept.mode == "EELS":
            readings.append(_reading(percept, acquire, flakes, settings))
        else:
            pixel_nm = min(pixel_nm, acquire.fov_nm / acquire.pixels_x)
            for particle in percept.particles:
                features.setdefault(particle.track, particle)
    seconds = records[-1].end_s - records[0].start_s
    cut = sum(record.aborted for record in records)
    return Judgement(tuple(features.values()), tuple(readings), here, pixel_nm, seconds, cut)


def _acquire(record: Record) -> Acquire | None:
    return record.decision.command.acquire if record.decision.command is not None else None


def _reading(percept: Percept, acquire: Acquire, flakes: Sequence[Flake], settings: SurveyorSettings) -> Reading:
    """A spectrum and what is under its points; all of a raster of square pixels."""
    pixel_nm = acquire.fov_nm / acquire.pixels_x
    steps = pixel_nm * (np.arange(acquire.pixels_x) + 0.5 - acquire.pixels_x / 2)
    under = {f.element for f in flakes for dx in steps for dy in steps if f.holds(percept.x_nm + dx, percept.y_nm + dy)}
    return Reading(percept.x_nm, percept.y_nm, frozenset(there(percept.estimates, settings)), frozenset(under))
