"""What really happens in a growth world with the beam off: the values that reports are scored against.

Simulated again from the seed alone. It never crosses the bridge and never enters a record.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from digital_twin.growth import BIRTH_RADIUS_NM, EXTENT_NM, GrowthWorld
from digital_twin.optics import Array

CELLS = 8
TIMES_S = (150.0, 300.0, 450.0, 600.0)
RINGS = 8


def truths(seeds: Sequence[int]) -> dict[str, Array]:
    """Target values of worlds with the beam off, (B, values) each.

    Fields are flattened in the order (time, row, column): ``covered_fraction``, ``count`` and ``mean_radius_nm`` (of
    the particles whose centre lies in the cell; 0 where there is none). Globals: ``growth_rate``, the
    constant K of d(r^2)/dt, and ``beam_coupling``, the factor kappa by which radicals speed everything up.
    """
    world = GrowthWorld(seeds)
    fields: dict[str, list[Array]] = {"covered_fraction": [], "count": [], "mean_radius_nm": []}
    for time_s in TIMES_S:
        world.advance_to(time_s)
        for name, values in _fields(world).items():
            fields[name].append(values)
    result = {name: np.stack(values, axis=1).reshape(len(seeds), -1) for name, values in fields.items()}
    result["growth_rate"] = np.array([[d.growth_rate_nm2_per_s] for d in world.draws])
    result["beam_coupling"] = np.array([[d.beam_coupling] for d in world.draws])
    return result


def _fields(world: GrowthWorld) -> dict[str, Array]:
    """The fields as they are now, (B, cells x cells) each."""
    position, radius = world.position_nm.numpy(), world.radius_nm.numpy()
    alive = radius >= BIRTH_RADIUS_NM
    count = _binned(position, alive.astype(np.float64))
    total = _binned(position, np.where(alive, radius, 0.0))
    covered = np.zeros_like(count)
    offsets = _disc()
    for offset in offsets:
        covered += _binned(position + radius[..., None] * offset, math.pi * radius**2 * alive / len(offsets))
    cell_nm = EXTENT_NM / CELLS
    return {
        "covered_fraction": np.minimum(covered / cell_nm**2, 1.0),
        "count": count,
        "mean_radius_nm": np.divide(total, count, out=np.zeros_like(total), where=count > 0),
    }


def _disc() -> Array:
    """Points spread evenly over the unit disc, (P, 2), by which a disc is shared out among cells."""
    n = np.arange(RINGS * RINGS) + 0.5
    distance, angle = np.sqrt(n / len(n)), n * math.pi * (3 - math.sqrt(5))
    return np.stack([distance * np.cos(angle), distance * np.sin(angle)], axis=1)


def _binned(position_nm: Array, weight: Array) -> Array:
    """Sums of weights (B, N) by the cell that each position (B, N, 2) lies in, (B, cells x cells)."""
    index = np.floor((position_nm + EXTENT_NM / 2) / (EXTENT_NM / CELLS)).astype(int)
    inside: NDArray[np.bool_] = np.all((index >= 0) & (index < CELLS), axis=-1)
    flat = index[..., 1] * CELLS + index[..., 0]
    sums = np.zeros((len(weight), CELLS * CELLS))
    for world in range(len(weight)):
        ok = inside[world]
        sums[world] = np.bincount(flat[world, ok], weights=weight[world, ok], minlength=CELLS * CELLS)
    return sums
