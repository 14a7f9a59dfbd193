"""Maps over a square of the specimen, as scans see them: for worlds whose state lies on a grid."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from digital_twin.potential import pixel_places_nm
from digital_twin.specimen import Grid


def places_nm(grids: Sequence[Grid], device: torch.device) -> tuple[Tensor, Tensor]:
    """Where the pixels of one scan of each world are, (B, H, W, 2) nm as x and y, and their edges, (B, 1, 1) nm."""
    edges = torch.tensor([grid.pixel_nm for grid in grids], dtype=torch.float64, device=device)
    return torch.stack(pixel_places_nm(grids, device), dim=-1), edges[:, None, None]


def sampled(maps: Tensor, at: Tensor) -> Tensor:
    """Maps (B, h, w), row is y, at points (B, H, W, 2) that run from -1 to 1 across them, (B, H, W).

    Linear between the centres of cells; beyond the edge as at the edge.
    """
    return grid_sample(maps[:, None], at, padding_mode="border", align_corners=False)[:, 0]
