"""Atoms under a scan as points of matter: for images that a probe blurs more than an atom is wide."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from digital_twin.specimen import Grid, along, on_device, ragged, rows_reached


def draw_points(grids: Sequence[Grid], scan: Tensor, places_nm: Tensor, weights: Tensor) -> Tensor:
    """Sums of weights (N,) of points at (N, 2) nm on the scans (N,) they lie in, (B, H, W).

    A point is shared out among the four pixels around it by how near they are: their centre of mass is the point, their
    spread of up to half a pixel stands for the thermal motion that the point does not have. Every row is displaced by
    its own origin, so a point that drifts along with the rows may be seen twice or never.
    """
    height, width, device = len(grids[0].origin_nm), grids[0].columns, places_nm.device
    origin = on_device([grid.origin_nm for grid in grids], device)
    across = on_device([grid.across_nm / grid.pixel_nm**2 for grid in grids], device)
    down = on_device([grid.down_nm / grid.pixel_nm**2 for grid in grids], device)
    pixel = torch.tensor([grid.pixel_nm for grid in grids], dtype=torch.float64, device=device)

    seen, top, bottom = rows_reached(grids, scan, places_nm, pixel[scan])
    scan, places_nm, weights = scan[seen], places_nm[seen], weights[seen]
    point, line = ragged(bottom - top)
    row, on = top[point] + line, scan[point]
    offset = places_nm[point] - origin[on, row]
    nearness = 1 - along(offset, down[on]).abs()
    close = (nearness > 0).nonzero()[:, 0]
    row, on, offset = row[close], on[close], offset[close]
    weight = weights[point[close]] * nearness[close]
    x = along(offset, across[on])
    left = x.floor()
    base = (on * height + row) * width
    # The last entry takes what falls beside the image.
    drawn = torch.zeros(len(grids) * height * width + 1, dtype=torch.float64, device=device)
    for column, share in ((left, left + 1 - x), (left + 1, x - left)):
        inside = (column >= 0) & (column < width)
        drawn.index_add_(0, torch.where(inside, base + column.long(), len(drawn) - 1), weight * share)
    return drawn[:-1].view(len(grids), height, width)
