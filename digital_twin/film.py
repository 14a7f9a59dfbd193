"""Polycrystalline films that repeat beyond their edges: grains, maps read between their nodes, and a heated window.

A film is periodic, so that its edge is like the rest of it. Everything has a leading axis B of worlds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample, pad

from digital_twin.conditions import LAG_S, ROOM_K, Conditions
from digital_twin.optics import Array
from digital_twin.potential import Lattice, axes_nm, finest_per_nm
from digital_twin.specimen import Box, Grid, worlds_of
from hardware_bridge.messages import Holder

SQUARE_A_PER_SQUARE_NM = 100.0

COLDEST_K = 1.0
BOLTZMANN_eV_PER_K = 8.617333262e-5
LIFT_NM_PER_K, LIFT_SPREAD = 4.0, 0.3
"""A heated window bulges by about a micrometre in some hundred K, drawn by the log-normal spread.

Of the size of conventional heating chips: a heater of graphene bulges by 50 nm at 920 K, two orders of magnitude less
than they do, which makes theirs 8 nm a kelvin (its makers' abstract in Nano Letters); one of carbon nanotubes by 100 nm
at 1,070 K (H. Zhao et al., ACS Appl. Mater. Interfaces 16 (2024) 25080, abstract). The spread is an assumption.
"""

SLOPE_SD = 0.02
"""How much a window leans, along x and y: 1 deg, an assumption; no source could be opened."""

HEATED = Conditions(heat_nm_per_K=0.4, heat_s=60.0)
"""A heated chip expands and carries its window off by some 100 nm in 300 K, within minutes: as much as 1.5 mm of
silicon do (2.6e-6 a kelvin) that warm up by a tenth of what the window does. That share and the time are assumptions,
for which no source could be opened: between a chip that heats nothing else and a furnace that heats all of its holder.
"""

TILE = 16
BLOCK = 256
"""Edge in pixels of what is drawn at a time; of what is less high so much more along a row."""


def nearest_image_nm(offset_nm: Tensor, extent_nm: float) -> Tensor:
    """Offsets in a film of this extent by the shortest way round."""
    return offset_nm - extent_nm * torch.round(offset_nm / extent_nm)


def nodes_nm(extent_nm: float, intervals: int, device: torch.device) -> Tensor:
    """Where the nodes of a map lie along an edge, (intervals + 1,) nm: the last is the image of the first."""
    return torch.linspace(-extent_nm / 2, extent_nm / 2, intervals + 1, dtype=torch.float64, device=device)


def read_maps(maps: Sequence[Tensor], x_nm: Tensor, y_nm: Tensor, extent_nm: float) -> tuple[Tensor, ...]:
    """Values (B, H, W) of maps (B, nodes, nodes) each at points (B, H, W), by straight lines between nodes."""
    turns = torch.stack([x_nm, y_nm]).mul_(2 / extent_nm)
    if max(each.abs().item() for each in torch.aminmax(turns)) > 1.0:
        turns.sub_(torch.round(turns / 2), alpha=2)
    # All lie inside: a border saves asking whether they do.
    read = grid_sample(torch.stack(list(maps), 1), turns.movedim(0, -1), padding_mode="border", align_corners=True)
    return read.unbind(1)


def cell_means(maps: Tensor, cells: int) -> Tensor:
    """Means over the cells of maps (B, nodes, nodes), (B, cells x cells)."""
    middle = (maps[:, 1:, 1:] + maps[:, 1:, :-1] + maps[:, :-1, 1:] + maps[:, :-1, :-1]) / 4
    each = middle.shape[-1] // cells
    return middle.view(len(maps), cells, each, cells, each).mean(dim=(2, 4)).flatten(1)


def fluence_e_per_A2(box_nm: Box, electrons: float) -> float:
    """Electrons spread evenly over a box, per square Angstrom."""
    x0, x1, y0, y1 = box_nm
    return electrons / max((x1 - x0) * (y1 - y0) * SQUARE_A_PER_SQUARE_NM, 1e-12)


def draw_grains(random: np.random.Generator, extent_nm: float, grains: int) -> Array:
    """Centres of grains x grains grains, (grains^2, 2) nm: on squares, each displaced by up to half an edge."""
    at = (np.arange(grains) + 0.5) / grains - 0.5
    centres = np.stack(np.meshgrid(at, at), axis=-1).reshape(-1, 2)
    place: Array = extent_nm * (centres + random.uniform(-0.5, 0.5, centres.shape) / grains)
    return place


def pace(temperature_K: float, reference_K: float, activation_eV: float) -> float:
    """How much faster a thermally activated process goes than at the reference temperature (Arrhenius)."""
    return math.exp(-activation_eV / BOLTZMANN_eV_PER_K * (1 / temperature_K - 1 / reference_K))


class Window:
    """The window under a film: its temperature (one for all worlds), and how it bulges and tilts.

    It starts at room temperature, and is in focus at ``reference_K``.
    """

    lag_s = LAG_S

    def __init__(self, seeds: Sequence[int], reference_K: float, device: torch.device) -> None:
        self.temperature_K = self.set_point_K = ROOM_K
        self._reference_K = reference_K
        drawn = np.stack([np.random.default_rng([seed, 13]).standard_normal(3) for seed in seeds])
        self._drawn = torch.from_numpy(drawn).to(device).T

    def set_holder(self, holder: Holder) -> None:
        """Take the set point of the temperature; None leaves it as it is."""
        if holder.temperature_K is not None:
            self.set_point_K = max(holder.temperature_K, COLDEST_K)

    def follow(self, seconds: float) -> None:
        """Let the temperature follow its set point."""
        self.temperature_K += (self.set_point_K - self.temperature_K) * -math.expm1(-seconds / self.lag_s)

    def height_nm(self, x_nm: Tensor, y_nm: Tensor, worlds: Sequence[int] | None) -> Tensor:
        """Height at points (B, ...) of some worlds, None of all."""
        drawn = self._drawn[:, worlds or slice(None)]
        lift, tilt_x, tilt_y = (each.view(-1, *(1 for _ in x_nm.shape[1:])) for each in drawn)
        warmer_K = self.temperature_K - self._reference_K
        tilted: Tensor = SLOPE_SD * (tilt_x * x_nm + tilt_y * y_nm)
        lifted: Tensor = LIFT_NM_PER_K * torch.exp(LIFT_SPREAD * lift) * warmer_K
        return tilted + lifted


class Grains:
    """The grains of films: each point belongs to the nearest centre, and each grain is turned by its own angle.

    ``centre_nm`` is (B, N, 2), ``turn_rad`` (B, N).
    """

    def __init__(self, centre_nm: Tensor, turn_rad: Tensor, extent_nm: float) -> None:
        self.centre_nm, self.turn_rad, self._extent_nm = centre_nm, turn_rad, extent_nm

    def owners(self, intervals: int) -> Tensor:
        """Which grain the nodes of maps belong to, (B, nodes, nodes); ``intervals`` is a multiple of TILE."""
        count, tiles = len(self.centre_nm), intervals // TILE
        axis = nodes_nm(self._extent_nm, intervals, self.centre_nm.device)[:-1].view(tiles, 1, TILE)
        shape = (count, tiles, tiles, TILE, TILE)
        x, y = axis[None, None].expand(shape), axis.mT[:, None].expand(shape)
        # A tile has few grains near it.
        centre, turn = (each.repeat_interleave(tiles**2, dim=0) for each in (self.centre_nm, self.turn_rad))
        repeated = Grains(centre, turn, self._extent_nm)
        owner = repeated.owner(x.reshape(-1, TILE, TILE), y.reshape(-1, TILE, TILE))
        whole = owner.view(shape).transpose(2, 3).reshape(count, 1, intervals, intervals)
        return pad(whole, (0, 1, 0, 1), mode="circular")[:, 0]

    def lattices_V(
        self, lattices: Sequence[Lattice], grids: Sequence[Grid], order: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Potentials (B, H, W) V of lattices that lie in every grain as it is turned, at the pixels of scans.

        Each scan lies in its own world, as ``Specimen.project`` has it. ``order`` (S, B, H, W) is what is left of the
        amplitudes of each of a lattice's shells.
        """
        shape = (len(grids), len(grids[0].origin_nm), grids[0].columns)
        drawn = tuple(self.centre_nm.new_zeros(shape) for _ in lattices)
        coarsest = min(lattice.shells[0][0] for lattice in lattices)
        for n, (grid, world) in enumerate(zip(grids, worlds_of(grids), strict=True)):
            finest = finest_per_nm(grid)
            if finest <= coarsest:
                for volts, lattice in zip(drawn, lattices, strict=True):
                    volts[n] = lattice.mean_V
                continue
            all_rows, all_columns = axes_nm(grid, self.centre_nm.device)
            # In blocks that fit into a processor's cache and have few grains near them.
            widest = max(1, int(self._extent_nm / 4 / grid.pixel_nm))
            high = min(BLOCK, shape[1], widest)
            wide = min(BLOCK**2 // high, widest)
            for top, left in itertools.product(range(0, shape[1], high), range(0, shape[2], wide)):
                part = (slice(top, top + high), slice(left, left + wide))
                rows, columns = all_rows[part[0]], all_columns[part[1]]
                share = None if order is None else order[:, n, *part]
                for grain, inside, mine in self._parts(rows, columns, world):
                    image = inside - nearest_image_nm(inside - self.centre_nm[world, grain], self._extent_nm)
                    turn = float(self.turn_rad[world, grain])
                    for volts, lattice in zip(drawn, lattices, strict=True):
                        volts[n, *part].addcmul_(lattice.volts(rows - image, columns, finest, turn, share), mine)
        return drawn

    def _parts(self, rows_nm: Tensor, columns_nm: Tensor, world: int) -> Iterator[tuple[int, Tensor, Tensor]]:
        """The grains at the places rows (H, 2) + columns (W, 2): each with one of its places, and 1 where it is."""
        x_nm, y_nm = (rows_nm[None, :, None, k] + columns_nm[:, k] for k in (0, 1))
        low, high = (bound(rows_nm, 0) + bound(columns_nm, 0) for bound in (torch.amin, torch.amax))
        near = self._near(low[None], high[None], [world])
        owner = self._nearest(x_nm, y_nm, near, [world])[0]
        for grain in near[0].tolist():
            mine = owner == grain
            if bool((some := mine.any(dim=1)).any()):
                row = int(some.int().argmax())
                yield grain, rows_nm[row] + columns_nm[int(mine[row].int().argmax())], mine.to(rows_nm)

    def owner(self, x_nm: Tensor, y_nm: Tensor, worlds: Sequence[int] | None = None) -> Tensor:
        """Which grain each point (B, H, W) belongs to, of some of the worlds or of all."""
        low, high = (torch.stack([bound(x_nm, (1, 2)), bound(y_nm, (1, 2))], -1) for bound in (torch.amin, torch.amax))
        return self._nearest(x_nm, y_nm, self._near(low, high, worlds), worlds)

    def _nearest(self, x_nm: Tensor, y_nm: Tensor, near: Tensor, worlds: Sequence[int] | None) -> Tensor:
        """Which of the grains ``near`` (B, n) each point (B, H, W) belongs to."""
        owner, best = near[:, :1, None].expand_as(x_nm), torch.full_like(x_nm, math.inf)
        for index in near.unbind(-1) if near.shape[1] > 1 else ():
            centre = self._centres(worlds).gather(1, index[:, None, None].expand(-1, 1, 2))
            dx, dy = (nearest_image_nm(at - centre[..., k, None], self._extent_nm) for k, at in enumerate((x_nm, y_nm)))
            square = dx.mul_(dx).add_(dy.mul_(dy))
            owner = torch.where(square < best, index[:, None, None], owner)
            best = torch.minimum(square, best)
        return owner

    def _near(self, low_nm: Tensor, high_nm: Tensor, worlds: Sequence[int] | None) -> Tensor:
        """The grains (B, n) that points of boxes from low to high (B, 2) may belong to, some others among them."""
        offset = nearest_image_nm(self._centres(worlds) - ((low_nm + high_nm) / 2)[:, None], self._extent_nm)
        away, size = torch.hypot(offset[..., 0], offset[..., 1]), high_nm - low_nm
        nearest, first = away.min(dim=-1, keepdim=True)
        # By how much the square of the distance to the first one is less, wherever in the box: at its worst corner.
        apart = (offset - offset.gather(1, first[..., None].expand(-1, 1, 2))).abs()
        beyond = away**2 - nearest**2 - (apart * size[:, None]).sum(dim=-1)
        # Into a large box other images of grains may reach.
        kept = (beyond <= 0.0) | (torch.hypot(size[:, :1], size[:, 1:]) + nearest >= self._extent_nm / 2)
        order = away.where(kept, math.inf).sort(dim=-1, stable=True).indices
        return order[:, : int(kept.sum(dim=-1).max())]

    def _centres(self, worlds: Sequence[int] | None) -> Tensor:
        return self.centre_nm if worlds is None else self.centre_nm[list(worlds)]
