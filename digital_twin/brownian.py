"""How particles shake on the window of a liquid cell: far more slowly than in bulk liquid.

Gold particles at a window of silicon nitride moved three orders of magnitude more slowly than Stokes and Einstein say,
for which neither the wall's drag nor the beam but a layer of ordered liquid was held responsible (A. Verch, M. Pfaff
and N. de Jonge, Langmuir 31 (2015) 6956, doi 10.1021/acs.langmuir.5b00150, abstract). Particles that can be followed
from image to image are slower still; how much is a parameter of the world, ``hindrance``. Their motion is taken as
Brownian; on such windows it was found anomalous (V. Jamali et al., PNAS 118 (2021) e2017616118).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

BOLTZMANN_J_PER_K = 1.380649e-23
VISCOSITY_Pa_s = 0.89e-3
"""Of water at 298 K (handbooks)."""

TICKS = 32
"""Steps that are drawn at a time."""


def diffusion_nm3_per_s(hindrance: float, temperature_K: float) -> float:
    """Diffusion coefficient times radius: hindrance x k T / (6 pi eta), eta that of water at 298 K."""
    return 1e27 * hindrance * BOLTZMANN_J_PER_K * temperature_K / (6 * math.pi * VISCOSITY_Pa_s)


class Kicks:
    """Independent normal numbers for each tick, site and direction of each world, from a stream of its own.

    Which tick a site is in decides what it gets, not what happens to it: worlds with the beam on and off stay paired.
    """

    def __init__(self, seeds: Sequence[int], sites: Sequence[int], device: torch.device) -> None:
        self._random = [np.random.default_rng([seed, 10]) for seed in seeds]
        self._sites, self._device = sites, device
        self._drawn = torch.empty(0)
        self._next = TICKS

    def next(self) -> Tensor:
        """The numbers of one more tick, float32: x and y (2,) of the sites of each world, one world after the other."""
        if self._next == TICKS:
            drawn = np.concatenate(
                [
                    each.standard_normal((TICKS, sites, 2), dtype=np.float32)
                    for each, sites in zip(self._random, self._sites, strict=True)
                ],
                axis=1,
            )
            self._drawn, self._next = torch.from_numpy(drawn).to(self._device), 0
        self._next += 1
        return self._drawn[self._next - 1]
