"""Atomic columns of a two-dimensional crystal in a HAADF image, one by one: who sits on each site, as likelihoods.

The lattice is known from all cells together (``lattice``), the probe from how quickly the lattice's harmonics fade
(``probe_shape``), and how bright columns are from all of them. Then each site is asked alone, with its neighbours as
they are believed to be: how likely does each case (``occupancy``) make the electrons around it (Poisson)?
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from agent.perception.lattice import Lattice, coefficients, find_lattice, periodic
from agent.perception.occupancy import Occupancy, Sites
from agent.perception.probe_shape import Shape, find_shape
from agent.perception.scan import Array, rebinned

BINNED_nm = 0.065
"""Finer pixels are binned: columns are wider."""

REACH_nm, BESIDE_nm = 0.25, 0.12
"""Templates of columns reach so far; columns so far outside of an image are still believed to shine into it."""

SWAY_nm, SWAY_ROWS = 0.005, 5.0
"""A probe that shakes displaces rows by about so much, and some neighbours alike (rows of the binned image)."""

ROUNDS, LEAST_SIGNIFICANCE, MOST_MISFIT = 3, 12.0, 4.0
LEAST_MEAN, LEAST_SHARE, MOST_SATURATED = 1e-3, 0.02, 0.01
TOGETHER_PX = 5.0
"""What does not fit at a pixel does not fit at about so many around it either: it counts so many times."""

FEWEST, MOST_SITES = 12, 20_000
MOST_BLUR_nm = 0.1
"""Columns that are wider run together: out of focus light ones may even outshine heavy ones."""


@dataclass(frozen=True)
class Crystal:
    """A honeycomb of two sublattices: its edge, and what may sit on heavy (metal) and light (chalcogen) columns.

    ``ratio`` is how bright a full heavy column is relative to a full light one, about.
    """

    edge_nm: float
    ratio: float
    heavy: Occupancy
    light: Occupancy


MOS2 = Crystal(
    edge_nm=0.316,
    ratio=2.35,
    heavy=Occupancy.of(1, (1.0, 0.0, 2.03, 0.5), (1e-5, 0.013, 1e-5)),
    light=Occupancy.of(2, (1.0, 0.0, 3.59, 0.294), (0.005, 0.011, 0.005)),
)
"""A monolayer of MoS2 at 80 kV and 60-200 mrad with sulfur vacancies, selenium, oxygen and tungsten.

Brightness: cross-sections of free atoms to all orders, which go about as Z^1.7. How common: densities of the defects
world, some tenths a nm^2; metal is hardly ever missing.
"""

CRYSTALS: Mapping[str, Crystal] = {"defects": MOS2}
"""What is known beforehand of the specimens of some worlds."""

Box = tuple[int, int, int, int]
"""First row, last row + 1, first column, last column + 1."""


@dataclass(frozen=True)
class Columns:
    """Columns of one image, of both sublattices, and figures of how good it is.

    ``usable`` is 0 where nothing could be read; then there are no columns, and the figures say why. ``misfit`` is the
    mean square of what is left of the image, in units of its Poisson variance: what is far above 1 is another specimen.
    """

    crystal: Crystal
    heavy: Sites
    light: Sites
    quality: dict[str, float]

    @property
    def usable(self) -> bool:
        """Whether there is anything to rely on."""
        return self.quality["usable"] > 0.0

    def told(self, box: Box, pixel_nm: float, cell_nm: float) -> Array:
        """What a part of the image tells of a cell that it lies in, (9,): numbers, their errors, how good the image is.

        Of each kind the square root of what is expected in the cell, which is ``cell_nm`` wide; the logarithms of their
        standard deviations; then of the lattice's significance and of the blur, and the misfit. What was not seen of
        the cell is as full of defects as the rest, or as is usual.
        """
        row, column = self.light.at.T
        inside = (row > box[0] - 0.5) & (row < box[1] - 0.5) & (column > box[2] - 0.5) & (column < box[3] - 0.5)
        seen = self.light.within(inside)
        chance, mean, sd = seen.tally()
        shown = (box[1] - box[0]) * (box[3] - box[2]) * pixel_nm**2 if self.usable else 0.0
        hidden = max(cell_nm**2 - shown, 0.0) / (math.sqrt(0.75) * self.crystal.edge_nm**2)
        unseen = chance * self.light.may.atoms * hidden
        figures = (
            math.log1p(self.quality.get("lattice_significance", 0.0)),
            math.log(self.quality.get("blur_nm", 0.2)),
            self.quality.get("misfit", MOST_MISFIT),
        )
        return np.concatenate([np.sqrt(mean + unseen), np.log(np.sqrt(sd**2 + unseen)), figures])


def find_columns(image: NDArray[np.generic], pixel_nm: float, crystal: Crystal) -> Columns:
    """Find the columns of a crystal in an image of counted electrons, (H, W), and who sits there.

    Of an image that is blank, saturated, not finite, of another shape or of something else nothing is said but that.
    """
    figures = _figures(image)
    if not figures["usable"]:
        return _nothing(crystal, figures)
    counts, pixel_nm, factor = rebinned(np.asarray(image, dtype=np.float64), pixel_nm, BINNED_nm)
    lattice = find_lattice(counts, crystal.edge_nm / pixel_nm) if min(counts.shape) >= FEWEST else None
    figures["lattice_significance"] = lattice.significance if lattice else 0.0
    cells = counts.size * pixel_nm**2 / crystal.edge_nm**2
    if lattice is None or not lattice.significance > LEAST_SIGNIFICANCE or not FEWEST < cells < MOST_SITES:
        return _nothing(crystal, figures)
    shape = find_shape(counts, lattice, pixel_nm, crystal.ratio)
    both = [_Templates(counts.shape, lattice, place, shape, pixel_nm) for place in shape.places]
    asked = _Asked(counts, lattice, both, (crystal.heavy, crystal.light), shape)
    asked.answer()
    figures |= {"misfit": asked.misfit, "blur_nm": shape.sd_nm, "electrons_per_column": float(asked.height[1])}
    if not (asked.misfit < MOST_MISFIT and shape.sd_nm < MOST_BLUR_nm):
        return _nothing(crystal, figures)
    found = []
    for each, logs, may in zip(both, asked.logs, asked.may, strict=True):
        inside = ((each.at > -0.5) & (each.at < np.array(counts.shape) - 0.5)).all(axis=1)
        found.append(Sites((each.at[inside] + 0.5) * factor - 0.5, logs[inside], may))
    return Columns(crystal, found[0], found[1], figures)


def _figures(image: NDArray[np.generic]) -> dict[str, float]:
    """Whether an image can be read at all, and figures that tell why not."""
    if image.ndim != 2 or min(image.shape) < FEWEST:
        return {"usable": 0.0, "image": 0.0}
    finite = float(np.isfinite(image).mean())
    if finite < 1.0:
        return {"usable": 0.0, "finite_share": finite}
    least, mean, most = float(image.min()), float(image.mean()), float(image.max())
    saturated = float((image == most).mean()) if mean > 1.0 else 0.0
    sound = least >= 0.0 and mean > LEAST_MEAN and most > least and saturated < MOST_SATURATED
    return {"usable": float(sound), "electrons_per_pixel": mean, "saturated_share": saturated}


def _nothing(crystal: Crystal, figures: dict[str, float]) -> Columns:
    heavy, light = (
        Sites(np.zeros((0, 2)), np.zeros((0, len(may.bright))), may) for may in (crystal.heavy, crystal.light)
    )
    return Columns(crystal, heavy, light, figures | {"usable": 0.0})


class _Templates:
    """One sublattice under an image: ``at`` (n, 2) in pixels, templates (n, P) of unit sum, and their flat places."""

    def __init__(self, shape: tuple[int, ...], lattice: Lattice, place: Array, probe: Shape, pixel_nm: float) -> None:
        beside, reach = BESIDE_nm / pixel_nm, math.ceil(REACH_nm / pixel_nm)
        self.at = points(lattice, place, shape, beside)
        self._shape, self._probe, self.pixel_nm = shape, probe, pixel_nm
        span = np.arange(-reach, reach + 1)
        self._rows, self._columns = (np.round(self.at[:, k]).astype(np.intp)[:, None] + span for k in (0, 1))
        self.sway(np.zeros((shape[0], 2)))
        rows, columns = self._rows, self._columns
        flat = np.clip(rows, 0, shape[0] - 1)[:, :, None] * shape[1] + np.clip(columns, 0, shape[1] - 1)[:, None, :]
        self.flat = flat.reshape(len(self.at), -1)

    def sway(self, moved_px: Array) -> None:
        """Draw templates anew, of columns that stand off with their rows by (H, 2) pixels."""
        height, width = self._shape
        rows, columns = self._rows, self._columns
        inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
        at = self.at + moved_px[np.clip(np.round(self.at[:, 0]).astype(np.intp), 0, height - 1)]
        drawn = self._probe.drawn(rows - at[:, :1], columns - at[:, 1:], self.pixel_nm)
        self.template = np.where(inside, drawn, 0.0).reshape(len(self.at), -1)

    def drawn(self, heights: Array, pixels: int) -> Array:
        """An image (pixels,) of columns of these heights."""
        weights = (heights[:, None] * self.template).ravel()
        return np.asarray(np.bincount(self.flat.ravel(), weights, pixels), dtype=np.float64)


def points(lattice: Lattice, place: Array, shape: tuple[int, ...], beside: float) -> Array:
    """All points of a lattice through a place, in pixels, that lie in an image or at most ``beside`` it, (n, 2)."""
    corners = np.array([[r, c] for r in (-beside, shape[0] - 1 + beside) for c in (-beside, shape[1] - 1 + beside)])
    cells = (corners - place) @ lattice.reciprocal.T
    low, high = np.floor(cells.min(axis=0)).astype(int), np.ceil(cells.max(axis=0)).astype(int)
    grid = np.stack(np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(low, high, strict=True)), indexing="ij"), -1)
    at = grid.reshape(-1, 2) @ lattice.edges + place
    inside = (at > -0.5 - beside).all(axis=1) & (at < np.array(shape) - 0.5 + beside).all(axis=1)
    return np.asarray(at[inside])


class _Asked:
    """All sites of an image asked in turn, one sublattice while the other is believed."""

    def __init__(
        self, counts: Array, lattice: Lattice, both: list[_Templates], may: tuple[Occupancy, Occupancy], shape: Shape
    ) -> None:
        self.counts, self.both, self.may = counts, both, may
        self.logs: list[Array] = [np.zeros(0), np.zeros(0)]
        self.height, self.misfit = shape.heights, 1.0
        self._lattice, self._orders = lattice, lattice.harmonics()
        self._share = [np.ones(len(each.at)) for each in both]
        self._beside: Array = np.full(counts.shape, shape.background)
        self._least = LEAST_SHARE * float(counts.mean())
        self._moved: Array = np.zeros((len(counts), 2))

    def answer(self) -> None:
        """Go round until beliefs hold."""
        for _ in range(ROUNDS):
            self._follow(self._drawn())
            model = self._drawn()
            for n in (0, 1):
                believed = self._believed(n, model)
                change = self.both[n].drawn(self.height[n] * (believed - self._share[n]), model.size)
                model, self._share[n] = model + change.reshape(model.shape), believed

    def _follow(self, model: Array) -> None:
        """Move rows to where they fit the image best, weighing what they tell against how little probes shake."""
        slopes = np.stack([np.gradient(model, axis=k) for k in (0, 1)], axis=-1)
        score = -(slopes * ((self.counts - model) / model)[:, :, None]).sum(axis=1)
        told = (slopes**2 / model[:, :, None]).sum(axis=1)
        together = SWAY_ROWS * math.sqrt(2 * math.pi)
        score, told = (together * gaussian_filter1d(each, SWAY_ROWS, axis=0) for each in (score, told))
        believed = (self.both[0].pixel_nm / SWAY_nm) ** 2
        self._moved += (score - believed * self._moved) / (told + believed)
        for each in self.both:
            each.sway(self._moved)

    def _drawn(self) -> Array:
        """The image as it is believed to be (H, W).

        It holds as many electrons as there are, and all that the image repeats from cell to cell, so that a probe that
        is not quite of the shape assumed is not taken for something that sits on sites.
        """
        parts = [
            each.drawn(height * share, self.counts.size).reshape(self.counts.shape)
            for each, height, share in zip(self.both, self.height, self._share, strict=True)
        ]
        columns = np.sum(parts, axis=0)
        grown = float((self.counts - self._beside).mean() / columns.mean())
        self.height, model = grown * self.height, grown * columns + self._beside
        left = coefficients(self.counts - model, self._lattice.reciprocal, self._orders)
        repeated = periodic(left, self.counts.shape, self._lattice.reciprocal, self._orders)
        self._beside = self._beside + repeated
        model = np.maximum(model + repeated, self._least)
        self.misfit = float(((self.counts - model) ** 2 / model).mean())
        return np.asarray(model)

    def _believed(self, n: int, model: Array) -> Array:
        """Likelihoods of all cases on one sublattice; returns what share of a full column's light is expected there."""
        here, may, seen = self.both[n], self.may[n], self.counts.ravel()[self.both[n].flat]
        shine = self.height[n] * here.template
        without = np.maximum(model.ravel()[here.flat] - self._share[n][:, None] * shine, self._least)
        whole = shine.sum(axis=1)
        logs = [(seen * np.log(without + bright * shine)).sum(axis=1) - bright * whole for bright in may.bright]
        self.logs[n] = np.stack(logs, axis=1) / (1.0 + TOGETHER_PX * max(self.misfit - 1.0, 0.0))
        return np.asarray(may.chances(self.logs[n], may.usual) @ may.bright)
