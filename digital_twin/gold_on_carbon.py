"""Gold on carbon, to tune on: single atoms and small clusters on a thin amorphous film. It stands still and is flat."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from digital_twin.materials import CARBON, GOLD, mean_potential_V_nm
from digital_twin.points import draw_points
from digital_twin.potential import draw_atoms
from digital_twin.specimen import Grid, Still
from digital_twin.speckle import speckle_V_nm

EXTENT_NM = 64.0
FILM_NM = 3.0
ATOMS_PER_NM2, CLUSTERS_PER_NM2 = 0.08, 0.02
CLUSTER_ATOMS = 40.0
"""Mean number of atoms of a cluster; they are spread as in a flat drop of as many atoms as gold has per area."""

APART_NM = 0.288
"""Distance of neighbours in gold."""


class GoldOnCarbon(Still):
    """Gold atoms at random places, (N, 2) nm, on a carbon film; a batch of one. How many there are is an assumption."""

    extent_nm = EXTENT_NM
    materials = (GOLD, CARBON)

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.device, self._seed = torch.device(device), seed
        random = np.random.default_rng([seed, 14])
        area_nm2 = EXTENT_NM**2
        single = random.uniform(-EXTENT_NM / 2, EXTENT_NM / 2, (random.poisson(ATOMS_PER_NM2 * area_nm2), 2))
        middles = random.uniform(-EXTENT_NM / 2, EXTENT_NM / 2, (random.poisson(CLUSTERS_PER_NM2 * area_nm2), 2))
        clusters = [_cluster(random, middle) for middle in middles]
        self.place_nm = torch.from_numpy(np.concatenate([single, *clusters])).to(self.device)

    def project(self, grids: Sequence[Grid]) -> Tensor:
        """Projected gold and carbon, (1, 2, H, W) nm."""
        scan = torch.zeros(len(self.place_nm), dtype=torch.long, device=self.device)
        volume_nm = 1 / GOLD.formula_per_nm3 / grids[0].pixel_nm ** 2
        gold = draw_points(grids, scan, self.place_nm, torch.full_like(self.place_nm[:, 0], volume_nm))
        return torch.stack([gold, torch.full_like(gold, FILM_NM)], dim=1)

    def potential_V_nm(self, grids: Sequence[Grid]) -> Tensor:
        """Projected potential of the atoms and of the film with its grain, (1, H, W) V nm."""
        scan = torch.zeros(len(self.place_nm), dtype=torch.long, device=self.device)
        gold = draw_atoms(grids, scan, self.place_nm, torch.full_like(scan, 79))
        film = torch.full_like(gold, FILM_NM)
        grain = speckle_V_nm(grids, [self._seed], CARBON, film)
        return gold + grain + mean_potential_V_nm(film[:, None], (CARBON,))


def _cluster(random: np.random.Generator, middle_nm: np.ndarray) -> np.ndarray:
    """Atoms of one flat cluster, (n, 2) nm: a turned triangular lattice within a disc, each a little off its site."""
    number = 3 + random.geometric(1 / CLUSTER_ATOMS)
    radius = APART_NM * math.sqrt(number * math.sqrt(3) / 2 / math.pi)
    steps = np.arange(-math.ceil(2 * radius / APART_NM), math.ceil(2 * radius / APART_NM) + 1)
    a, b = (each.ravel() for each in np.meshgrid(steps, steps))
    sites = APART_NM * np.column_stack([a + b / 2, b * math.sqrt(3) / 2])
    turn = random.uniform(0.0, 2 * math.pi)
    sites = sites[np.hypot(*sites.T) <= radius] @ [[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]]
    scattered: np.ndarray = middle_nm + sites + random.normal(0.0, 0.02, sites.shape)
    return scattered
