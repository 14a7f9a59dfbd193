"""Raster: tile after tile in a serpentine over the specimen, and again. The baseline that is hard to beat."""

from __future__ import annotations

from collections.abc import Iterator

from hardware_bridge.geometry import Point
from hardware_bridge.words import Count, Fraction, Positive, Size, Word
from policies.baseline import Baseline, Look
from policies.commands import View
from policies.focus import FocusSettings
from policies.interface import Situation
from policies.staring import refocus_offset_nm

ALTERNATIVES = 8


class RasterSettings(Word, frozen=True, kw_only=True):
    """Which part of the specimen to tile, how, and when to come back.

    ``share`` is the part of the extent's edge that the tiles cover, around its centre; ``tiles`` how many there are
    along it; every tile is looked at ``repeats`` times before the next one and all of them again and again
    (``repeats`` = 1 revisits most evenly). Every ``refocus_every`` turns two images are taken off focus.
    """

    view: View = View(fov_nm=512.0, pixels=256, dwell_s=20e-6)
    tiles: Size = 4
    share: Fraction = 1.0
    repeats: Size = 1
    refocus_every: Count = 8
    refocus_offset_nm: Positive = 200.0
    focus: FocusSettings = FocusSettings()


class Raster(Baseline):
    """A serpentine over tiles, repeated until the budget ends."""

    name = "raster"

    def __init__(self, settings: RasterSettings) -> None:
        super().__init__(settings.focus)
        self.settings = settings

    def plan(self, situation: Situation) -> Iterator[Look]:
        """Yield the tile that is due, then those after it."""
        tiles = self._tiles()
        every = self.settings.refocus_every
        offset_nm = refocus_offset_nm(situation.turn, every, self.settings.refocus_offset_nm)
        # The two images of a pair and the in-focus one after them look at the same tile.
        visit = (
            situation.turn
            if every < 2
            else situation.turn - 2 * (situation.turn // every) - min(situation.turn % every, 2)
        )
        due = visit // self.settings.repeats
        for ahead in range(min(ALTERNATIVES, len(tiles))):
            index = (due + ahead) % len(tiles)
            reason = f"Raster: tile {index + 1} of {len(tiles)}, round {(due + ahead) // len(tiles) + 1}"
            if offset_nm:
                reason += f", {offset_nm:+.0f} nm from the best C10 to refocus"
            yield Look(tiles[index], self.settings.view, reason, offset_nm)

    def _tiles(self) -> list[Point]:
        extent_nm, n = self.setup.card.extent_nm * self.settings.share, self.settings.tiles
        along = [((i + 0.5) / n - 0.5) * extent_nm for i in range(n)]
        # A field must stay on the charted specimen.
        reach = (self.setup.card.extent_nm - self.settings.view.fov_nm) / 2
        along = [min(max(a, -reach), reach) for a in along]
        return [(x, y) for row, y in enumerate(along) for x in (along if row % 2 == 0 else along[::-1])]
