"""Ostwald ripening: large particles grow at the cost of small ones, through the liquid between them."""

from __future__ import annotations

import torch
from torch import Tensor


def ripened(radius_nm: Tensor, reaction_radius_nm: Tensor, way_nm3: Tensor) -> Tensor:
    """Radii (B, N) after ripening by a rate times a time (B, 1), nm^3; particles that dissolve get 0.

    dr/dt = K / (r + a) (1 / r_c - 1 / r): through the liquid and across the surface in series. The first limits it
    where r is far above the radius a (B, 1) (I. M. Lifshitz and V. V. Slyozov, J. Phys. Chem. Solids 19 (1961) 35), the
    second far below (C. Wagner, Z. Elektrochem. 65 (1961) 581). r_c is such that volume is kept, and the same for all
    particles of a world, since the flow mixes the liquid. In volumes d(r^3)/dt = 3 K r / (r + a) (r / r_c - 1); a step
    must be small beside r^3 of most particles.
    """
    index = radius_nm.flatten().nonzero()[:, 0]
    radius, world = radius_nm.take(index), index // radius_nm.shape[1]
    ease = radius / (radius + reaction_radius_nm.take(world))
    critical = _sums(ease * radius, world, radius_nm) / _sums(ease, world, radius_nm)
    cubed = radius**3
    change = (3 * way_nm3.take(world) * ease * excess(radius / critical.take(world))).maximum(-cubed)
    # What the last of a particle cannot give is missing where it should have gone.
    gained, lost = (_sums(each, world, radius_nm) for each in (change.clamp(min=0), -change.clamp(max=0)))
    change = change.where(change < 0, change * (lost / gained.clamp(min=1e-300)).take(world))
    left = torch.zeros_like(radius_nm).put_(index, (cubed + change).clamp(min=0.0))
    # Powers of rows that are whole: of some elements of a row they may round otherwise in a batch.
    return left ** (1 / 3)


def excess(size: Tensor) -> Tensor:
    """What attachment gains over dissolution, by r / r_c, where diffusion limits both."""
    return size - 1


def _sums(values: Tensor, world: Tensor, like: Tensor) -> Tensor:
    """Sums over the particles of each world, (B,), in their order whatever else is in the batch."""
    return like.new_zeros(len(like)).index_add_(0, world, values)
