"""Atoms under a scan as points of matter: for images that a probe blurs more than an atom is wide."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from digital_twin.imaging import widened
from digital_twin.specimen import Grid, along, on_device, ragged, rows_reached


def draw_points(grids: Sequence[Grid], scan: Tensor, places_nm: Tensor, weights: Tensor) -> Tensor:
    """Sums of weights (N,) of points at (N, 2) nm on the scans (N,) they lie in, (B, H, W).

    A point is shared out among the four pixels around it by how near they are: their centre of mass is the point, their
    spread of up to half a pixel stands for the thermal motion that the point does not have. Every row is displaced by
    its own origin. Where rows shake so much that they leave gaps, a point is shared out among rows from farther off: it
    is seen by a probe that is wider than such gaps, and does not vanish in them. Rows that drift closer together by and
    by see a point more often.
    """
    gaps, pitches = np.array([_row_gaps(grid) for grid in grids]).T
    rim = math.ceil(gaps.max())
    inner_height, inner_width = len(grids[0].origin_nm), grids[0].columns
    grids = [widened(grid, rim) for grid in grids]
    height, width, device = inner_height + 2 * rim, inner_width + 2 * rim, places_nm.device
    origin = on_device([grid.origin_nm for grid in grids], device)
    across = on_device([grid.across_nm / grid.pixel_nm**2 for grid in grids], device)
    down = on_device([grid.down_nm / grid.pixel_nm**2 for grid in grids], device)
    reach_nm = torch.tensor([grid.pixel_nm * gap for grid, gap in zip(grids, gaps, strict=True)]).to(places_nm)
    gap, pitch = (torch.from_numpy(each.copy()).to(places_nm) for each in (gaps, pitches))

    seen, top, bottom = rows_reached(grids, scan, places_nm, reach_nm[scan])
    scan, places_nm, weights = scan[seen], places_nm[seen], weights[seen]
    point, line = ragged(bottom - top)
    row, on = top[point] + line, scan[point]
    offset = places_nm[point] - origin[on, row]
    nearness = 1 - along(offset, down[on]).abs() / gap[on]
    close = (nearness > 0).nonzero()[:, 0]
    row, on, offset, point, nearness = row[close], on[close], offset[close], point[close], nearness[close]
    whole = torch.zeros_like(weights).index_add_(0, point, nearness)
    weight = weights[point] * nearness / (whole[point] * pitch[on])
    x = along(offset, across[on])
    left = x.floor()
    base = (on * height + row) * width
    # The last entry takes what falls beside the image.
    drawn = torch.zeros(len(grids) * height * width + 1, dtype=torch.float64, device=device)
    for column, share in ((left, left + 1 - x), (left + 1, x - left)):
        inside = (column >= 0) & (column < width)
        drawn.index_add_(0, torch.where(inside, base + column.long(), len(drawn) - 1), weight * share)
    image = drawn[:-1].view(len(grids), height, width)
    return image[:, rim : rim + inner_height, rim : rim + inner_width]


def _row_gaps(grid: Grid) -> tuple[float, float]:
    """Largest distance of neighbouring rows across their direction, at least 1, and their mean distance, in pixels."""
    places = grid.origin_nm @ grid.down_nm / grid.pixel_nm**2
    if len(places) == 1:
        return 1.0, 1.0
    steps = np.abs(np.diff(places))
    # Rows that are where they should be differ from 1 by rounding alone.
    largest = max(1.0, round(float(steps.max()), 9))
    return largest, max(abs(float(places[-1] - places[0])) / len(steps), 0.1)
