"""Ostwald ripening: large particles grow at the cost of small ones, through the liquid between them."""

from __future__ import annotations

from torch import Tensor


def ripened(radius_nm: Tensor, way_nm3: Tensor) -> Tensor:
    """Radii (B, N) after ripening by a rate times a time (B, 1), nm^3; particles that dissolve get 0.

    dr/dt = (K / r) (1 / r_c - 1 / r) with r_c the mean radius of all particles of a world, which keeps their volume
    (I. M. Lifshitz and V. V. Slyozov, J. Phys. Chem. Solids 19 (1961) 35; C. Wagner, Z. Elektrochem. 65 (1961) 581):
    attachment is fast, diffusion slow, and the flow mixes the liquid. In volumes d(r^3)/dt = 3 K (r / r_c - 1); a step
    must be small beside r^3 of most particles.
    """
    cubed = radius_nm**3
    number = (radius_nm > 0).sum(dim=1, keepdim=True).clamp(min=1)
    # Running sums: others may round otherwise in a batch.
    mean = radius_nm.cumsum(dim=1)[:, -1:] / number
    wanted = 3 * way_nm3 * excess(radius_nm / mean.clamp(min=1e-12))
    change = wanted.where(radius_nm > 0, 0.0).maximum(-cubed)
    # What the last of a particle cannot give is missing where it should have gone.
    gained, lost = (each.cumsum(dim=1)[:, -1:] for each in (change.clamp(min=0), -change.clamp(max=0)))
    change = change.where(change < 0, change * (lost / gained.clamp(min=1e-300)))
    left: Tensor = (cubed + change).clamp(min=0.0)
    return left ** (1 / 3)


def excess(size: Tensor) -> Tensor:
    """What attachment gains over dissolution, by r / r_c, where diffusion limits both."""
    return size - 1
