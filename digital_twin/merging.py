"""Which of many particles touch: all pairs of all worlds at once, without a list that must be kept up to date."""

from __future__ import annotations

import torch
from torch import Tensor

from digital_twin.specimen import ragged

SMALLEST_CELL_NM = 64.0
"""Smaller cells would be more than there are particles."""


def touching(position_nm: Tensor, radius_nm: Tensor) -> Tensor:
    """Pairs that overlap, (P, 3) as world, first, second; positions (B, N, 2), radii (B, N), 0 where nothing is.

    Space is cut into cells as wide as the two largest particles together, numbered row by row. A particle can only
    touch what follows it in its own cell, lies in the next one, or in one of three neighbours in the next row.
    """
    world, site = (radius_nm > 0).nonzero().unbind(-1)
    if len(world) < 2:
        return world.new_empty(0, 3)
    (x, y), radius = position_nm[world, site].unbind(-1), radius_nm[world, site]
    cell_nm = max(2.001 * float(radius.max()), SMALLEST_CELL_NM)
    column, row = (((each - each.min()) / cell_nm).long() for each in (x, y))
    # One empty column after each row, and one row after each world: what is next to an edge must be empty.
    columns, rows = int(column.max()) + 2, int(row.max()) + 2
    cell, order = ((world * rows + row) * columns + column).sort()
    world, site, x, y, radius = (each[order] for each in (world, site, x, y, radius))
    last = torch.bincount(cell, minlength=int(cell[-1]) + columns + 2).cumsum(0)
    here = torch.arange(len(cell), device=cell.device)
    start = torch.cat([here + 1, last[(cell + columns - 2).clamp(min=0)]])
    stop = torch.cat([last[cell + 1], last[cell + columns + 1]])
    first, place = ragged(stop - start)
    second = start[first] + place
    first = first % len(here)
    x, y, radius = x[first] - x[second], y[first] - y[second], radius[first] + radius[second]
    near = x * x + y * y < radius * radius
    first, second = first[near], second[near]
    sites = torch.stack([site[first], site[second]])
    return torch.stack([world[first], sites.amin(0), sites.amax(0)], dim=1)
