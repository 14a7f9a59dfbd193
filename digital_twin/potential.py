"""Projected electrostatic potentials in V nm: single atoms and crystal lattices, each as fine as the pixels resolve.

For a world's ``potential_V_nm(grids)``: ``draw_atoms`` where it knows every atom, ``Lattice.volts`` times the local
thickness where it knows a crystal, ``speckle.speckle_V_nm`` for what is amorphous, ``materials.mean_potential_V_nm``
for all the rest. Potentials are sums over independent neutral atoms, h^2 / (2 pi m e) f(g) in Fourier space with the
scattering factors of ``lobato``, damped by the atoms' thermal motion, exp(-2 pi^2 u^2 g^2) with u their rms
displacement along one direction.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from scipy.special import j0
from torch import Tensor

from digital_twin.lobato import factor_nm
from digital_twin.materials import POTENTIAL_V_nm2
from digital_twin.optics import Array
from digital_twin.specimen import Grid, on_device

SHOULDER = 0.75
"""From this share of the finest frequency on, atoms fade, so that what a pixel cannot resolve does not ring about."""

REACH_nm, REACH_PIXELS = 0.42, 10.0
ENTRIES = 8192
"""Fewest entries of an atom's table, which is even in the square of the distance."""

ATOMS_AT_ONCE = 2048


def finest_per_nm(grid: Grid) -> float:
    """The highest spatial frequency that a scan's pixels resolve, 1 / (2 pixel)."""
    return 0.5 / grid.pixel_nm


def axes_nm(grid: Grid, device: torch.device) -> tuple[Tensor, Tensor]:
    """Where the rows of a scan begin, (H, 2) nm, and how far from there its columns lie, (W, 2) nm."""
    steps = np.arange(grid.columns)[:, None] * grid.across_nm
    return torch.from_numpy(grid.origin_nm).to(device), torch.from_numpy(steps).to(device)


def pixel_places_nm(grids: Sequence[Grid], device: torch.device) -> tuple[Tensor, Tensor]:
    """Where the pixels of one scan of each world are, x and y, (B, H, W) nm each; every row is where drift left it."""
    origin = on_device([grid.origin_nm for grid in grids], device)
    across = on_device([grid.across_nm for grid in grids], device)
    column = torch.arange(grids[0].columns, dtype=torch.float64, device=device)
    x, y = (origin[..., None, k] + column * across[:, None, None, k] for k in (0, 1))
    return x, y


def draw_atoms(
    grids: Sequence[Grid], scan: Tensor, places_nm: Tensor, atomic_numbers: Tensor, thermal_nm: float = 0.008
) -> Tensor:
    """Projected potential of atoms at (N, 2) nm on the scans (N,) they lie in, (B, H, W) V nm.

    ``atomic_numbers`` is (N,); ``thermal_nm`` the rms thermal displacement of all of them along one direction (8 pm is
    usual at room temperature). Each row has its own origin, so drift within the scan shears and jitters what is drawn.

    Raises:
        KeyError: there is no scattering factor for an element.
        ValueError: the thermal displacement is negative.
    """
    if thermal_nm < 0.0:
        raise ValueError(f"thermal_nm is {thermal_nm:g}, but must not be negative")
    height, width = len(grids[0].origin_nm), grids[0].columns
    drawn = torch.zeros(len(grids), height + 1, width + 1, device=places_nm.device)
    for b, grid in enumerate(grids):
        mine = (scan == b).nonzero()[:, 0]
        for z in torch.unique(atomic_numbers[mine]).tolist():
            of_kind = places_nm[mine[atomic_numbers[mine] == z]]
            profile = _profile(z, grid.pixel_nm, thermal_nm, places_nm.device)
            for first in range(0, len(of_kind), ATOMS_AT_ONCE):
                _draw(drawn[b], grid, of_kind[first : first + ATOMS_AT_ONCE], profile)
    return drawn[:, :height, :width].double()


def _draw(drawn: Tensor, grid: Grid, places_nm: Tensor, profile: tuple[float, Tensor]) -> None:
    """Add atoms of one kind to an image (H + 1, W + 1), each on a square of pixels; what is outside goes to the rim."""
    reach_nm, table = profile
    device, height, width = drawn.device, len(grid.origin_nm), grid.columns
    origin, across, down = (torch.from_numpy(a).to(device) for a in (grid.origin_nm, grid.across_nm, grid.down_nm))
    ideal = origin[height // 2] - height // 2 * down
    strayed = float((origin - ideal - torch.arange(height, device=device)[:, None] * down).abs().max())
    half = math.ceil((reach_nm + 2 * strayed) / grid.pixel_nm)
    span = torch.arange(-half, half + 1, device=device)
    row = ((places_nm - ideal) * down).sum(-1).div(grid.pixel_nm**2).round().long()[:, None] + span
    start = origin[row.clamp(0, height - 1)] - places_nm[:, None]
    # In pixels, about the foot of the atom on each row's own line.
    foot = -(start * across).sum(-1) / grid.pixel_nm**2
    beside = (start.square().sum(-1) / grid.pixel_nm**2 - foot**2).float()
    middle = foot[:, half].round().long()
    column = middle[:, None] + span
    away = (span + (middle[:, None] - foot).float()[:, :, None]).square_().add_(beside[:, :, None])
    last = len(table) - 2
    away.mul_(last * grid.pixel_nm**2 / reach_nm**2).clamp_(max=last)
    low = away.long()
    values = torch.lerp(table[low], table[low + 1], away.sub_(low))
    row = torch.where((row >= 0) & (row < height), row, height)
    column = torch.where((column >= 0) & (column < width), column, width)
    flat = (row * (width + 1))[:, :, None] + column[:, None, :]
    drawn.view(-1).index_add_(0, flat.flatten(), values.flatten())


@lru_cache(maxsize=64)
def _profile(z: int, pixel_nm: float, thermal_nm: float, device: torch.device) -> tuple[float, Tensor]:
    """How far an atom reaches and its potential, (T + 2,) float32 V nm at evenly spaced squares of the distance."""
    finest = 0.5 / pixel_nm
    reach = max(REACH_nm, REACH_PIXELS * pixel_nm)
    nodes, weights = np.polynomial.legendre.leggauss(max(256, math.ceil(4 * finest * reach)))
    g, weight = finest / 2 * (nodes + 1), finest / 2 * weights
    fade = np.cos(np.pi / 2 * np.clip((g / finest - SHOULDER) / (1 - SHOULDER), 0, 1)) ** 2
    spectrum = POTENTIAL_V_nm2 * factor_nm(z, g) * fade * np.exp(-2 * (np.pi * thermal_nm * g) ** 2)
    radius = np.linspace(0.0, reach, 1 + 16 * math.ceil(reach / pixel_nm))
    values = j0(2 * np.pi * radius[:, None] * g) @ (2 * np.pi * g * weight * spectrum)
    # The tail beyond the reach, a few percent of the whole, is laid smoothly within it.
    held = float(np.trapezoid(2 * np.pi * radius * values, radius))
    missing = POTENTIAL_V_nm2 * float(factor_nm(z, np.zeros(()))) - held
    values += 3 * missing / (np.pi * reach**2) * (1 - (radius / reach) ** 2) ** 2
    # Near the atom an entry must be less than half a pixel.
    entries = max(ENTRIES, math.ceil((4 * reach / pixel_nm) ** 2))
    table = CubicSpline(radius, values)(reach * np.sqrt(np.arange(entries + 1) / entries))
    # An atom ends where its table does.
    table[-1] = 0.0
    return reach, torch.from_numpy(np.append(table, 0.0).astype(np.float32)).to(device)


@dataclass(frozen=True)
class Lattice:
    """A crystal looked at along a zone axis, as Fourier coefficients of its potential.

    V(r) = mean_V + sum_g Re V_g exp(2 pi i g.r) over half of the reciprocal lattice (G of them): ``g_per_nm`` (G, 2) in
    an unturned crystal, ``V`` (G,) complex volts, in which both g and -g are counted.
    """

    mean_V: float
    g_per_nm: Array
    V: np.ndarray[tuple[int, ...], np.dtype[np.complex128]]

    @classmethod
    def of_cell(
        cls,
        cell_nm: Array,
        depth_nm: float,
        atoms: Sequence[tuple[int, float, float]],
        thermal_nm: float = 0.008,
        finest_per_nm: float = 10.0,
    ) -> Lattice:
        """From a cell with edges ``cell_nm`` (2, 2) across the beam and ``depth_nm`` along it.

        ``atoms`` are (atomic number, x, y) with x and y in parts of the edges. Only what lies in the zone scatters,
        perpendicular to the beam, up to ``finest_per_nm``.

        Raises:
            ValueError: the cell has no volume.
            KeyError: there is no scattering factor for an element.
        """
        volume_nm3 = abs(float(np.linalg.det(cell_nm))) * depth_nm
        if not volume_nm3 > 0.0:
            raise ValueError(f"the cell's volume is {volume_nm3:g} nm^3, but must be positive")
        reciprocal = np.linalg.inv(cell_nm).T
        most = math.ceil(finest_per_nm * max(np.hypot(*edge) for edge in cell_nm))
        h, k = (index.ravel() for index in np.mgrid[-most : most + 1, -most : most + 1])
        g = np.stack([h, k], axis=-1) @ reciprocal
        size = np.hypot(g[:, 0], g[:, 1])
        kept = ((h > 0) | ((h == 0) & (k > 0))) & (size <= finest_per_nm)
        order = np.flatnonzero(kept)[np.argsort(size[kept], kind="stable")]
        h, k, g, size = h[order], k[order], g[order], size[order]
        motion = np.exp(-2 * (np.pi * thermal_nm * size) ** 2)
        volts = sum(factor_nm(z, size) * np.exp(-2j * np.pi * (h * x + k * y)) for z, x, y in atoms)
        forward = sum(float(factor_nm(z, np.zeros(()))) for z, _, _ in atoms)
        scale = POTENTIAL_V_nm2 / volume_nm3
        # A reflection that the structure forbids costs as much to draw as any other.
        coefficients = 2 * scale * motion * volts
        there = np.abs(coefficients) > 1e-6 * scale * forward
        return cls(scale * forward, g[there], coefficients[there])

    @cached_property
    def shells(self) -> tuple[tuple[float, list[int]], ...]:
        """The lengths of the reciprocal vectors per nm, ascending, each with the indices of those that have it."""
        lengths, which = np.unique(np.hypot(*self.g_per_nm.T).round(6), return_inverse=True)
        return tuple((length, np.flatnonzero(which == n).tolist()) for n, length in enumerate(lengths.tolist()))

    def volts(
        self,
        rows_nm: Tensor,
        columns_nm: Tensor,
        finest_per_nm: float,
        turn_rad: float = 0.0,
        order: Tensor | None = None,
    ) -> Tensor:
        """Potential (H, W) in V at the places rows (H, 2) + columns (W, 2), the mean included.

        Times a thickness it is a projected potential. ``finest_per_nm`` leaves out what a pixel does not resolve;
        ``turn_rad`` turns the crystal about the origin, anti-clockwise from x to y. For a displacement u of the crystal
        give rows - u. ``order`` (S, H, W) is what is left of the amplitudes of each of the ``shells``.
        """
        turn = np.array([[math.cos(turn_rad), math.sin(turn_rad)], [-math.sin(turn_rad), math.cos(turn_rad)]])
        device = rows_nm.device
        resolved = [some for length, some in self.shells if length < finest_per_nm]
        some = list(itertools.chain(*resolved))
        g = torch.from_numpy(2 * math.pi * self.g_per_nm[some] @ turn).to(device)
        volts = torch.from_numpy(self.V[some]).to(device)
        # cos(a + b) = cos a cos b - sin a sin b: a product of two narrow matrices instead of a cosine a point.
        down, across, size = rows_nm @ g.T + volts.angle(), columns_nm @ g.T, volts.abs()
        left = torch.stack([size * down.cos(), -size * down.sin()], dim=-1).flatten(1)
        right = torch.stack([across.cos(), across.sin()], dim=-1).flatten(1).T
        drawn = torch.full((len(rows_nm), len(columns_nm)), self.mean_V, dtype=rows_nm.dtype, device=device)
        if order is None:
            return drawn.addmm_(left, right)
        # Shells that fade alike are drawn in one go.
        widths, remaining = [2 * len(each) for each in resolved], order[: len(resolved)]
        for one, other, share in zip(torch.split(left, widths, 1), torch.split(right, widths), remaining, strict=True):
            drawn.addcmul_(one @ other, share)
        return drawn
