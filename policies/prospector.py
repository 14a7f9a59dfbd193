"""The prospector: sees all of the specimen once, then takes a spectrum of everything that it found, largest first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from msgspec.structs import replace

from hardware_bridge.report import Particle
from hardware_bridge.words import Positive, Size, Word
from policies.baseline import Baseline, Look
from policies.commands import View
from policies.focus import FocusSettings
from policies.interface import Setup, Situation, Turn
from policies.tiles import tiles


class ProspectorSettings(Word, frozen=True, kw_only=True):
    """How to look, in how many tiles along the extent's edge, and how to take spectra.

    The field of a spectrum is no wider than ``within`` of the feature's radius. Tiles should overlap by what the
    largest feature measures, since one that a field cuts is not reported. Nothing is assumed of how focus varies.
    """

    view: View = View(fov_nm=512.0, pixels=256, dwell_s=5e-6)
    spectrum: View = View(mode="EELS", fov_nm=32.0, pixels=2, dwell_s=5e-2)
    within: Positive = 0.5
    tiles: Size = 4
    focus: FocusSettings = FocusSettings(bulge_nm=0.0)


@dataclass
class Memory:
    """How many tiles were tried, every feature found by its track, and those of which a spectrum was asked."""

    tried: int = 0
    found: dict[int, Particle] = field(default_factory=dict)
    asked: set[int] = field(default_factory=set)


class Prospector(Baseline):
    """A survey, then spectra; it has nothing left to suggest once there is one of every feature."""

    name = "prospector"

    def __init__(self, settings: ProspectorSettings) -> None:
        super().__init__(settings.focus)
        self.settings = settings
        self.memory = Memory()

    def begin(self, setup: Setup, seed: int) -> None:
        """Start a run, remembering nothing of an earlier one."""
        super().begin(setup, seed)
        self.memory = Memory()

    def plan(self, situation: Situation) -> Iterator[Look]:
        """Yield the tiles that are left, then the features that are."""
        points = tiles(self.setup.card.extent_nm, self.settings.tiles, self.settings.view.fov_nm)
        for number in range(self.memory.tried, len(points)):
            yield Look(points[number], self.settings.view, f"Survey: tile {number + 1} of {len(points)}")
        if self.memory.tried < len(points):
            return
        for particle in self._due():
            fov_nm = self._field_nm(particle)
            reason = f"Spectrum: what is feature {particle.track}, of {particle.radius_nm:.0f} nm radius?"
            yield Look((particle.x_nm, particle.y_nm), replace(self.settings.spectrum, fov_nm=fov_nm), reason)

    def ingest(self, turn: Turn) -> None:
        """Remember what was found and what was asked; what was refused is not asked for again."""
        due = self._due()
        super().ingest(turn)
        memory = self.memory
        if memory.tried < self.settings.tiles**2:
            memory.tried += 1
        elif due:
            seen = turn.percept
            # What was looked at, or what would have been.
            meant = (
                due[0] if seen is None else min(due, key=lambda p: math.dist((p.x_nm, p.y_nm), (seen.x_nm, seen.y_nm)))
            )
            memory.asked.add(meant.track)
        if turn.percept is not None:
            for particle in turn.percept.particles:
                memory.found.setdefault(particle.track, particle)

    def _field_nm(self, particle: Particle) -> float:
        """The width of a spectrum, halved until it fits: spectra of few widths are stacked in few files."""
        asked_nm, most_nm = self.settings.spectrum.fov_nm, self.settings.within * particle.radius_nm
        return asked_nm / 2.0 ** max(0, math.ceil(math.log2(asked_nm / most_nm)))

    def _due(self) -> list[Particle]:
        """Features of which no spectrum was asked, largest first."""
        left = (p for track, p in self.memory.found.items() if track not in self.memory.asked)
        return sorted(left, key=lambda p: (-p.radius_nm, p.track))
