"""Uniform: fields drawn at random over the specimen. What any choice of place must beat."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hardware_bridge.words import Count, Positive, Word
from policies.baseline import Baseline, Look
from policies.commands import View
from policies.focus import FocusSettings
from policies.interface import Situation
from policies.refocusing import pair_offset_nm

ALTERNATIVES = 8


class UniformSettings(Word, frozen=True, kw_only=True):
    """How to look at each random place, and every how many turns to take a pair off focus."""

    view: View = View(fov_nm=512.0, pixels=256, dwell_s=5e-6)
    refocus_every: Count = 0
    refocus_offset_nm: Positive = 400.0
    focus: FocusSettings = FocusSettings()


class Uniform(Baseline):
    """Places drawn uniformly over the extent; the draw follows from seed and turn."""

    name = "random"

    def __init__(self, settings: UniformSettings) -> None:
        super().__init__(settings.focus)
        self.settings = settings

    def plan(self, situation: Situation) -> Iterator[Look]:
        """Yield random places; the two images of a pair share theirs."""
        every = self.pairs_every(self.settings.refocus_every, self.settings.view)
        offset_nm = pair_offset_nm(situation.turn, every, self.settings.refocus_offset_nm)
        drawn_at = situation.turn - 1 if offset_nm < 0 else situation.turn
        reach_nm = (self.setup.card.extent_nm - self.settings.view.fov_nm) / 2
        rng = np.random.default_rng([self.seed, drawn_at])
        for _ in range(ALTERNATIVES):
            x, y = rng.uniform(-reach_nm, reach_nm, 2)
            reason = f"A place drawn at random: ({x:.0f}, {y:.0f}) nm"
            if offset_nm:
                reason += f", {offset_nm:+.0f} nm from the best C10 to refocus"
            yield Look((float(x), float(y)), self.settings.view, reason, offset_nm)
