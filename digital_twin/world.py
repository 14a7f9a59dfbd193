"""What a world is beyond a specimen: its public facts, and the hidden truth that reports are scored against.

A world is a specimen that can say at any time what its targets are. Its truth is the same world run again from its seed
with the beam off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from digital_twin.apparatus import START_OPTICS, Apparatus
from digital_twin.conditions import Conditions
from digital_twin.detectors import Column
from digital_twin.drift import DEFAULT
from digital_twin.misalignment import Misalignment
from digital_twin.shortcuts import Shortcuts
from digital_twin.specimen import Specimen
from hardware_bridge.messages import Holder, Optics

LEARNING = Shortcuts(largest_patch=4, sharp_patch=1, focus_parts=4)
"""Of worlds with atoms in them."""

LEARNING_CRYSTALS = replace(LEARNING, largest_patch=2)
"""Of worlds with crystals under a near parallel probe: a tenth of the electrons of a pattern lie elsewhere."""

LEARNING_SMOOTH = replace(LEARNING, matter_px=4)
"""Of worlds in which nothing scatters coherently but mean potentials."""


@dataclass(frozen=True)
class Facts:
    """What is public about a world, but for the prior of its targets, which is on its card.

    ``extent_nm`` is the edge of the square specimen area, ``cells`` the number of grid cells along it. ``fields`` and
    ``globals`` map the targets to their units; fields are asked for at ``times_s`` on the specimen's clock. ``holder``
    holds the set points from the start, ``column`` the microscope, ``conditions`` how it drifts and ``optics`` what it
    is set to. ``sources`` say where extents, time scales and budgets come from. ``rows_alike`` is False where cells of
    different rows are not alike before anything is seen. ``shortcuts`` is what environments leave out of its physics.
    """

    name: str
    extent_nm: float
    cells: int
    times_s: tuple[float, ...]
    fields: Mapping[str, str]
    globals: Mapping[str, str]
    budget_electrons: float
    max_fluence_e_per_A2: float
    column: Column
    holder: Holder
    sources: tuple[str, ...]
    conditions: Conditions = DEFAULT
    optics: Optics = START_OPTICS
    rows_alike: bool = True
    shortcuts: Shortcuts = LEARNING


def apparatus_of(facts: Facts) -> Apparatus:
    """The microscope that a world is looked at with, with nothing hidden but its stage's backlash."""
    backlash_nm = facts.conditions.backlash_nm
    return Apparatus(
        column=facts.column,
        holder=facts.holder,
        hidden=Misalignment(backlash_nm=(backlash_nm, backlash_nm)),
        conditions=facts.conditions,
        optics=facts.optics,
    )


class World(Specimen, Protocol):
    """A batch of worlds, one a seed; all that is random in one is keyed by its seed, whatever else is in the batch."""

    facts: ClassVar[Facts]

    def __init__(self, *seeds: int, device: torch.device | str = "cpu") -> None: ...

    def fields(self) -> dict[str, Tensor]:
        """The fields as they are now, (B, cells x cells) each, row is y."""
        ...

    def globals(self) -> dict[str, Tensor]:
        """The hidden constants, (B,) each."""
        ...


def truths(world: type[World], seeds: Sequence[int], times_s: Sequence[float] = ()) -> dict[str, np.ndarray]:
    """Target values of worlds with the beam off, (B, values) each; fields in the order (time, row, column).

    Fields are those at ``times_s``, rising; left out, at the times that they are asked for. Simulated from the seeds
    alone. The truth never crosses the bridge and never enters a record.
    """
    facts, worlds = world.facts, world(*seeds)
    worlds.set_holder(facts.holder)
    seen: dict[str, list[Tensor]] = {name: [] for name in facts.fields}
    for time_s in times_s or facts.times_s:
        worlds.advance_to(time_s)
        for name, values in worlds.fields().items():
            seen[name].append(values)
    fields = {name: torch.stack(values, dim=1).flatten(1).cpu().numpy() for name, values in seen.items()}
    return fields | {name: values[:, None].cpu().numpy() for name, values in worlds.globals().items()}


def binned(position_nm: Tensor, weight: Tensor, extent_nm: float, cells: int) -> Tensor:
    """Sums of weights (B, N) by the cell that each position (B, N, 2) lies in, (B, cells x cells)."""
    index = torch.floor((position_nm + extent_nm / 2) / (extent_nm / cells)).long()
    inside = ((index >= 0) & (index < cells)).all(dim=-1)
    flat = index[..., 1] * cells + index[..., 0]
    sums = weight.new_zeros(len(weight), cells * cells)
    return sums.scatter_add_(1, torch.where(inside, flat, 0), torch.where(inside, weight, 0.0))


def disc_points(rings: int) -> Tensor:
    """Points spread evenly over the unit disc, (rings^2, 2), by which a disc is shared out among cells."""
    n = torch.arange(rings * rings, dtype=torch.float64) + 0.5
    distance, angle = (n / len(n)).sqrt(), n * math.pi * (3 - math.sqrt(5))
    return torch.stack([distance * angle.cos(), distance * angle.sin()], dim=1)
