"""Staring: one field, again and again. What a person does who has found something."""

from __future__ import annotations

from collections.abc import Iterator

from hardware_bridge.words import Count, Number, Positive, Word
from policies.baseline import Baseline, Look
from policies.commands import View
from policies.focus import FocusSettings
from policies.interface import Situation
from policies.refocusing import pair_offset_nm


class StaringSettings(Word, frozen=True, kw_only=True):
    """Where to stare (specimen frame), how to look, and how often to refocus by a pair of images off focus."""

    x_nm: Number = 0.0
    y_nm: Number = 0.0
    view: View = View(fov_nm=512.0, pixels=256, dwell_s=5e-6)
    refocus_every: Count = 20
    refocus_offset_nm: Positive = 400.0
    focus: FocusSettings = FocusSettings()


class Staring(Baseline):
    """One field for the whole run."""

    name = "staring"

    def __init__(self, settings: StaringSettings) -> None:
        super().__init__(settings.focus)
        self.settings = settings

    def plan(self, situation: Situation) -> Iterator[Look]:
        """Yield the field, at times as one of a pair off focus."""
        every = self.pairs_every(self.settings.refocus_every, self.settings.view)
        offset_nm = pair_offset_nm(situation.turn, every, self.settings.refocus_offset_nm)
        reason = "Stare at one field" if not offset_nm else f"Refocus: an image {offset_nm:+.0f} nm from the best C10"
        yield Look((self.settings.x_nm, self.settings.y_nm), self.settings.view, reason, offset_nm)
