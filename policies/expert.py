"""An expert's rule: overview, then back to where most grows; refocus when sharpness drops; a spectrum at times."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median

from hardware_bridge.geometry import Point
from hardware_bridge.report import Particle, Percept
from hardware_bridge.words import Count, Fraction, Positive, Size, Word
from policies.baseline import Baseline, Look
from policies.commands import View
from policies.focus import FocusSettings
from policies.interface import Setup, Situation, Turn
from policies.refocusing import answers_to_focus
from policies.tiles import nearest, tiles

RECENT_IMAGES = 8


class ExpertSettings(Word, frozen=True, kw_only=True):
    """How the expert looks and when something else than an image of a growing field is due.

    An overview of ``tiles`` x ``tiles`` fields comes first; then every ``overview_every``-th turn goes to the field
    not seen for longest and the others to where the particles' area grew fastest. Below ``sharpness_share`` of the
    usual sharpness a pair of images at +-``refocus_offset_nm`` is taken, and at the latest after ``refocus_every``
    turns. Every ``spectrum_every``-th turn is a spectrum of the brightest feature of which it is not known what it
    is.
    """

    view: View = View(fov_nm=512.0, pixels=256, dwell_s=5e-6)
    spectrum: View = View(mode="EELS", fov_nm=32.0, pixels=8, dwell_s=5e-3)
    tiles: Size = 4
    overview_every: Count = 2
    spectrum_every: Count = 15
    refocus_every: Count = 12
    sharpness_share: Fraction = 0.7
    refocus_offset_nm: Positive = 400.0
    focus: FocusSettings = FocusSettings()


@dataclass
class Visit:
    """What the last visits to a tile said: when, how much area particles had, and how fast that grew."""

    clock_s: float
    area_nm2: float
    growth_nm2_per_s: float = 0.0


@dataclass
class Memory:
    """What the expert remembers between turns."""

    visits: dict[Point, Visit] = field(default_factory=dict)
    sharpness: list[float] = field(default_factory=list)
    since_refocus: int = 0
    pair_at: Point | None = None
    pair_left: int = 0
    unknown: dict[int, Particle] = field(default_factory=dict)
    asked: set[int] = field(default_factory=set)


class Expert(Baseline):
    """The rule of a microscopist who watches growth."""

    name = "expert"

    def __init__(self, settings: ExpertSettings) -> None:
        super().__init__(settings.focus)
        self.settings = settings
        self.memory = Memory()

    def begin(self, setup: Setup, seed: int) -> None:
        """Start a run, remembering nothing of an earlier one."""
        super().begin(setup, seed)
        self.memory = Memory()

    def plan(self, situation: Situation) -> Iterator[Look]:
        """Yield what the rule says now, then what it would say next."""
        memory, settings = self.memory, self.settings
        if memory.pair_left and memory.pair_at is not None:
            offset_nm = settings.refocus_offset_nm * (1.0 if memory.pair_left == 2 else -1.0)
            yield Look(memory.pair_at, settings.view, f"Refocus: an image {offset_nm:+.0f} nm off", offset_nm)
        if settings.spectrum_every and situation.turn % settings.spectrum_every == settings.spectrum_every - 1:
            yield from self._spectra()
        yield from self._fields(situation)

    def ingest(self, turn: Turn) -> None:
        """Remember growth, sharpness and what is not known, and decide whether to refocus."""
        super().ingest(turn)
        memory = self.memory
        if memory.pair_left:
            # Whatever became of it: a pair that is refused must not be asked for for ever.
            memory.pair_left -= 1
        percept = turn.percept
        if percept is None or turn.command is None:
            return
        if percept.mode == "EELS":
            memory.asked.update(self._meant(turn))
            return
        self._remember(percept)
        memory.since_refocus += 1
        if not memory.pair_left and self._should_refocus():
            memory.pair_at, memory.pair_left, memory.since_refocus = (percept.x_nm, percept.y_nm), 2, 0
            memory.sharpness.clear()

    def _fields(self, situation: Situation) -> Iterator[Look]:
        memory, view = self.memory, self.settings.view
        points = tiles(self.setup.card.extent_nm, self.settings.tiles, view.fov_nm)
        for point in (p for p in points if p not in memory.visits):
            yield Look(point, view, "Overview: a field that was not seen yet")
        seen = [p for p in points if p in memory.visits]
        oldest = sorted(seen, key=lambda p: memory.visits[p].clock_s)
        clock_s = situation.state.clock_s
        growing = sorted(seen, key=lambda p: -memory.visits[p].growth_nm2_per_s * (clock_s - memory.visits[p].clock_s))
        every = self.settings.overview_every
        if every and situation.turn % every == 0:
            yield from (Look(p, view, "Overview: the field not seen for longest") for p in oldest)
        for point in growing:
            grew = memory.visits[point].growth_nm2_per_s
            yield Look(point, view, f"Back to where particles grew by {grew:.1f} nm^2/s")

    def _spectra(self) -> Iterator[Look]:
        unknown = [p for track, p in self.memory.unknown.items() if track not in self.memory.asked]
        for particle in sorted(unknown, key=lambda p: -p.snr):
            reason = f"Spectrum: is the feature of {particle.radius_nm:.0f} nm radius a particle ({particle.real:.0%})?"
            yield Look((particle.x_nm, particle.y_nm), self.settings.spectrum, reason)

    def _meant(self, turn: Turn) -> list[int]:
        percept = turn.percept
        assert percept is not None
        unknown = self.memory.unknown
        if not unknown:
            return []
        here = (percept.x_nm, percept.y_nm)
        return [min(unknown, key=lambda t: (unknown[t].x_nm - here[0]) ** 2 + (unknown[t].y_nm - here[1]) ** 2)]

    def _remember(self, percept: Percept) -> None:
        memory = self.memory
        points = tiles(self.setup.card.extent_nm, self.settings.tiles, self.settings.view.fov_nm)
        point = nearest(points, (percept.x_nm, percept.y_nm))
        area_nm2 = sum(math.pi * p.radius_nm**2 * p.real for p in percept.particles)
        before = memory.visits.get(point)
        growth = 0.0
        if before is not None and percept.end_s > before.clock_s:
            growth = max(area_nm2 - before.area_nm2, 0.0) / (percept.end_s - before.clock_s)
        memory.visits[point] = Visit(percept.end_s, area_nm2, growth)
        for particle in percept.particles:
            memory.unknown.pop(particle.track, None)
            if 0.05 < particle.real < 0.95:
                memory.unknown[particle.track] = particle
        memory.sharpness = [*memory.sharpness, percept.quality.get("sharpness", 0.0)][-RECENT_IMAGES:]

    def _should_refocus(self) -> bool:
        memory, settings = self.memory, self.settings
        if not answers_to_focus(self.setup.capabilities, settings.view.mode):
            return False
        if memory.since_refocus >= settings.refocus_every > 0:
            return True
        return len(memory.sharpness) > 2 and memory.sharpness[-1] < settings.sharpness_share * median(memory.sharpness)
