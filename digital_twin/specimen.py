"""What every specimen offers the instrument: matter under each pixel, and a clock that it changes by.

A specimen is a batch of worlds on one clock and one device; a scan is laid over each. Scans are short tables on the
host, matter is float64 in torch with a leading axis B of worlds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from digital_twin.materials import Material, mean_potential_V_nm
from digital_twin.optics import Array
from hardware_bridge.messages import Holder

MOST_SAMPLES = 6
SAMPLES_PER_RADIUS = 4.0
"""How finely the inside of a sphere is sampled at least, along each direction, up to MOST_SAMPLES a pixel."""

Box = tuple[float, float, float, float]
"""x0, x1, y0, y1 in nm."""


@dataclass(frozen=True)
class Grid:
    """The probe positions of a scan in the specimen frame.

    Pixel (row, column) lies at ``origin_nm[row]`` + column x ``across_nm``: ``origin_nm`` is (H, 2), so that each row
    has the drift of its own time in it, and ``across_nm`` (2,). ``columns`` is W. ``world`` says which of a batch it
    lies in; None leaves that to its place in a list of scans.
    """

    origin_nm: Array
    across_nm: Array
    down_nm: Array
    columns: int
    world: int | None = None

    @property
    def pixel_nm(self) -> float:
        """Edge of a pixel in nm."""
        return float(np.hypot(*self.across_nm))

    def corners(self) -> Array:
        """The four outer pixel centres, (4, 2) nm."""
        span = (self.columns - 1) * self.across_nm
        first, last = self.origin_nm[0], self.origin_nm[-1]
        return np.array([first, first + span, last, last + span])


class Specimen(Protocol):
    """A batch of worlds to look at, on the instrument's clock; a served instrument looks at a batch of one."""

    @property
    def extent_nm(self) -> float:
        """Edge of the square specimen area."""
        ...

    @property
    def device(self) -> torch.device:
        """Where its tensors are."""
        ...

    @property
    def materials(self) -> tuple[Material, ...]:
        """What it is made of, in the order of ``project``."""
        ...

    def set_holder(self, holder: Holder) -> None:
        """Take the holder's set points; the specimen lags behind them."""
        ...

    def advance_to(self, clock_s: float) -> None:
        """Let time pass up to a time on the instrument's clock."""
        ...

    def expose(self, world: int, box_nm: Box, electrons: float) -> None:
        """Take electrons spread evenly over a box of one world."""
        ...

    def project(self, grids: Sequence[Grid]) -> Tensor:
        """Projected thickness of each material under one scan of each world as it is now, (B, M, H, W) nm.

        Scans are all of one size, at most one of each world. Each pixel holds the mean over its area.
        """
        ...

    def potential_V_nm(self, grids: Sequence[Grid]) -> Tensor:
        """Projected electrostatic potential at the pixels of one scan of each world as it is now, (B, H, W) V nm.

        Lattices and atoms are in it where pixels resolve them; what is finer than a pixel is left out.
        """
        ...

    def height_nm(self, x_nm: Tensor, y_nm: Tensor, worlds: Sequence[int] | None = None) -> Tensor:
        """Height of each world above the eucentric plane at points (B, ...) of it; adds to C10.

        ``worlds`` (B,) says which of the batch the points lie in; None is all of them in order.
        """
        ...


class Still(ABC):
    """What specimens have in common in which nothing happens: they do not answer to the holder, time or dose."""

    materials: tuple[Material, ...]

    def set_holder(self, holder: Holder) -> None:
        """Nothing answers to the holder."""
        return

    def advance_to(self, clock_s: float) -> None:
        """Nothing changes with time."""
        return

    def expose(self, world: int, box_nm: Box, electrons: float) -> None:
        """Nothing changes with dose."""
        return

    def height_nm(self, x_nm: Tensor, y_nm: Tensor, worlds: Sequence[int] | None = None) -> Tensor:
        """Everything lies in one plane."""
        return torch.zeros_like(x_nm)

    @abstractmethod
    def project(self, grids: Sequence[Grid]) -> Tensor:
        """Projected thickness of each material, (B, M, H, W) nm."""

    def potential_V_nm(self, grids: Sequence[Grid]) -> Tensor:
        """Mean inner potentials times thickness, (B, H, W) V nm: no structure finer than that."""
        return mean_potential_V_nm(self.project(grids), self.materials)


class Around:
    """A specimen around another: what is not overridden is the inner one's own."""

    def __init__(self, inner: Specimen) -> None:
        self._inner = inner
        self.extent_nm, self.device = inner.extent_nm, inner.device
        self.materials: tuple[Material, ...] = inner.materials

    def set_holder(self, holder: Holder) -> None:
        """Take the holder's set points."""
        self._inner.set_holder(holder)

    def advance_to(self, clock_s: float) -> None:
        """Let time pass."""
        self._inner.advance_to(clock_s)

    def expose(self, world: int, box_nm: Box, electrons: float) -> None:
        """Take electrons spread evenly over a box."""
        self._inner.expose(world, box_nm, electrons)

    def project(self, grids: Sequence[Grid]) -> Tensor:
        """What the inner one projects, (B, M, H, W) nm."""
        return self._inner.project(grids)

    def potential_V_nm(self, grids: Sequence[Grid]) -> Tensor:
        """The inner one's potential, (B, H, W) V nm."""
        return self._inner.potential_V_nm(grids)

    def height_nm(self, x_nm: Tensor, y_nm: Tensor, worlds: Sequence[int] | None = None) -> Tensor:
        """The height of the inner one."""
        return self._inner.height_nm(x_nm, y_nm, worlds)


def worlds_of(grids: Sequence[Grid]) -> list[int]:
    """Which world of a batch each scan lies in: the one it names, or that of its place."""
    return [place if grid.world is None else grid.world for place, grid in enumerate(grids)]


def on_device(arrays: Sequence[Array], device: torch.device) -> Tensor:
    """Arrays of one shape as one tensor with a leading axis."""
    return torch.from_numpy(np.stack(arrays)).to(device)


def draw_spheres(grids: Sequence[Grid], scan: Tensor, centres_nm: Tensor, radii_nm: Tensor) -> Tensor:
    """Projected thickness 2 sqrt(r^2 - d^2) of spheres (N, 2) nm and (N,) nm on the scans (N,) they lie in, (B, H, W).

    Every row is displaced by its own origin, so drift within the scan shears and jitters what is drawn. Pixels hold
    means over their area, since the probe is scanned evenly within one: small spheres are sampled more finely, rims
    are softened over a sample, and the volume stays that of the sphere.

    Spheres are cut into lines of samples and all samples summed in one go. On the CPU the sum runs in the order of the
    spheres, so it is the same to the last bit each time; on a GPU the order, and with it the last bit, may differ.
    """
    height, width, device = len(grids[0].origin_nm), grids[0].columns, centres_nm.device
    origin = on_device([grid.origin_nm for grid in grids], device)
    pixel = torch.tensor([grid.pixel_nm for grid in grids], dtype=torch.float64, device=device)
    across = on_device([grid.across_nm / grid.pixel_nm**2 for grid in grids], device)
    down = on_device([grid.down_nm / grid.pixel_nm**2 for grid in grids], device)

    seen, top, bottom = rows_reached(grids, scan, centres_nm, radii_nm)
    scan, centres_nm, radii_nm = scan[seen], centres_nm[seen], radii_nm[seen]
    samples = torch.ceil(SAMPLES_PER_RADIUS * pixel[scan] / radii_nm).clamp(1, MOST_SAMPLES)
    rim = (1 / samples) ** 2 / 4
    radius2 = (radii_nm / pixel[scan]) ** 2
    weight = 2 * pixel[scan] * (1 + rim / radius2) ** -1.5 / samples**2

    sphere, line = ragged((bottom - top) * samples.long())
    per_line = torch.stack([samples, radius2 + rim, weight])[:, sphere]
    each, room, weight = per_line
    row = top[sphere] + torch.div(line, each, rounding_mode="floor").long()
    on = scan[sphere]
    offset = centres_nm[sphere] - origin[on, row]
    middle = along(offset, across[on])
    # In pixels: a sample at (x, y) from the centre counts where x^2 + y^2 <= r^2 + rim, which leaves a room for x^2.
    room = room - (along(offset, down[on]) - (torch.remainder(line, each) + 0.5) / each + 0.5) ** 2
    half = room.clamp(min=0.0).sqrt()
    first = torch.floor(each * (middle - half + 0.5) - 0.5).clamp(min=0.0)
    last = torch.ceil(each * (middle + half + 0.5) - 0.5).minimum(each * width - 1)
    count = torch.where(room > 0, last - first + 1, 0.0).clamp(min=0.0).long()
    base = ((on * height + row) * width).to(torch.float64)

    at, place = ragged(count)
    middle, first, each, room, weight, base = torch.stack([middle, first, each, room, weight, base])[:, at]
    column = (place + first + 0.5) / each
    ball = weight * (room - (middle - column + 0.5) ** 2).clamp(min=0.0).sqrt()
    drawn = torch.zeros(len(grids) * height * width, dtype=torch.float64, device=device)
    drawn.index_add_(0, (base + column.floor()).long(), ball)
    return drawn.view(len(grids), height, width)


def rows_reached(
    grids: Sequence[Grid], scan: Tensor, centres_nm: Tensor, radii_nm: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Which of N spheres may be seen (S,), and the first row (S,) each reaches and the one after its last (S,)."""
    height, width = len(grids[0].origin_nm), grids[0].columns
    tables = []
    for grid in grids:
        mid = grid.origin_nm[height // 2] - height // 2 * grid.down_nm
        strayed = np.abs(grid.origin_nm - mid - np.arange(height)[:, None] * grid.down_nm).max()
        pixel = grid.pixel_nm
        tables.append(
            np.array([*mid, *grid.across_nm / pixel**2, *grid.down_nm / pixel**2, pixel, strayed / pixel + 1.5])
        )
    table = on_device(tables, centres_nm.device)[scan]
    offset = centres_nm - table[:, :2]
    x, y = along(offset, table[:, 2:4]), along(offset, table[:, 4:6])
    size = radii_nm / table[:, 6] + table[:, 7]
    seen = ((x > -size) & (x < width + size) & (y > -size) & (y < height + size)).nonzero()[:, 0]
    y, size = y[seen], size[seen]
    top = (y - size).long().clamp(0, height)
    return seen, top, ((y + size).long() + 2).clamp(max=height).maximum(top)


def along(offset: Tensor, direction: Tensor) -> Tensor:
    """Scalar products (N,) of vectors (N, 2), each by itself: a matrix product may round otherwise in a batch."""
    return offset[:, 0] * direction[:, 0] + offset[:, 1] * direction[:, 1]


def ragged(counts: Tensor) -> tuple[Tensor, Tensor]:
    """For lists of these lengths laid end to end: which list each item is in, and its place in it."""
    which = torch.repeat_interleave(counts)
    ends = counts.cumsum(0)
    return which, torch.arange(len(which), device=counts.device) - (ends - counts)[which]
