"""Lines about images: the growth world seen by the scanning probe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from digital_twin.apparatus import START_OPTICS
from digital_twin.detectors import Column
from digital_twin.exposure import Scan
from digital_twin.imaging import expected_haadf
from digital_twin.liquid_cell import LiquidCell
from digital_twin.optics import aberrations_of
from digital_twin.specimen import Grid
from experiments.benchmarks.lines import Line
from hardware_bridge.messages import Acquire

PARTICLES = 60
BATCHES = (1, 16)
WINDOW = 9
"""Seed of a window that changes its height by some 300 nm over the field."""


def worlds(batch: int, device: str) -> LiquidCell:
    """Cells with particles of 3 to 20 nm radius spread over the middle 512 nm; their windows bulge alike."""
    cells = LiquidCell(*[WINDOW] * batch, device=device)
    random = np.random.default_rng(0)
    places, radii = random.uniform(-256.0, 256.0, (batch, PARTICLES, 2)), random.uniform(3.0, 20.0, (batch, PARTICLES))
    cells.world.position_nm[:, :PARTICLES] = torch.from_numpy(places)
    cells.world.radius_nm[:, :PARTICLES] = torch.from_numpy(radii)
    return cells


def scan(fov_nm: float, pixels: int) -> Grid:
    """A scan in the middle of the specimen, at rest."""
    acquire = Acquire(mode="HAADF", fov_nm=fov_nm, pixels_x=pixels, pixels_y=pixels, dwell_s=2e-6, max_frames=1)
    return Scan.over(acquire, np.zeros(2), 0.0, np.zeros((pixels, 2))).grid


def growth(batch: int, device: str) -> Callable[[], Tensor]:
    """Expected images of cells whose particles are drawn anew for each, in focus in the middle."""
    cells, column = worlds(batch, device), Column()
    middle = torch.zeros(batch, 1, dtype=torch.float64, device=device)
    focus = [-height for (height,) in cells.height_nm(middle, middle).tolist()]
    aberrations = [replace(aberrations_of(START_OPTICS), C10_nm=C10_nm) for C10_nm in focus]
    return lambda: expected_haadf(cells, [scan(512.0, 256)] * batch, column, aberrations)


def lines(device: str) -> list[Line]:
    """All lines about images."""
    return [
        Line(f"growth world drawn and imaged, 256x256, batch {batch}", partial(growth, batch, device), per_call=batch)
        for batch in BATCHES
    ]
