"""Raster: tile after tile in a serpentine over the specimen, and again. The baseline that is hard to beat."""

from __future__ import annotations

from collections.abc import Iterator

from hardware_bridge.words import Count, Fraction, Positive, Size, Word
from policies.baseline import Baseline, Look
from policies.commands import View
from policies.focus import FocusSettings
from policies.interface import Situation
from policies.refocusing import images_before, pair_offset_nm
from policies.tiles import tiles

ALTERNATIVES = 8


class RasterSettings(Word, frozen=True, kw_only=True):
    """Which part of the specimen to tile, how, and when to come back.

    ``share`` is the part of the extent's edge that the tiles cover, around its centre; ``tiles`` how many there are
    along it; every tile is looked at ``repeats`` times before the next one and all of them again and again
    (``repeats`` = 1 revisits most evenly). Every ``refocus_every`` turns two images are taken off focus.
    """

    view: View = View(fov_nm=512.0, pixels=128, dwell_s=2e-6)
    tiles: Size = 5
    share: Fraction = 1.0
    repeats: Size = 1
    refocus_every: Count = 8
    refocus_offset_nm: Positive = 400.0
    focus: FocusSettings = FocusSettings()


class Raster(Baseline):
    """A serpentine over tiles, repeated until the budget ends."""

    name = "raster"

    def __init__(self, settings: RasterSettings) -> None:
        super().__init__(settings.focus)
        self.settings = settings

    def plan(self, situation: Situation) -> Iterator[Look]:
        """Yield the tile that is due, then those after it."""
        points = tiles(self.setup.card.extent_nm, self.settings.tiles, self.settings.view.fov_nm, self.settings.share)
        every = self.pairs_every(self.settings.refocus_every, self.settings.view)
        offset_nm = pair_offset_nm(situation.turn, every, self.settings.refocus_offset_nm)
        # The two images of a pair and the in-focus one after them look at the same tile.
        due = images_before(situation.turn, every) // self.settings.repeats
        for ahead in range(min(ALTERNATIVES, len(points))):
            index = (due + ahead) % len(points)
            reason = f"Raster: tile {index + 1} of {len(points)}, round {(due + ahead) // len(points) + 1}"
            if offset_nm:
                reason += f", {offset_nm:+.0f} nm from the best C10 to refocus"
            yield Look(points[index], self.settings.view, reason, offset_nm)
