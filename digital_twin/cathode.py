"""Iron phosphate that gives up its lithium, particle by particle: Fe2+ becomes Fe3+. Tensors with a leading world axis.

State of each particle i, in ticks of TICK_S on the specimen's clock; f is the drive, s_i = R0 / R_i its surface:
  drive       f lags the holder's set point by LAG_S; sinh(F eta / 2RT) over its value at REFERENCE_V (Butler-Volmer,
              alpha 1/2), times an Arrhenius factor; nothing comes back at negative bias
  waking      dH_i/dt = f s_i (J + S sum_j x_j) over the particles j in contact; i wakes when H_i passes its own Exp(1)
  conversion  dx_i/dt = k f s_i (1 - x_i) once it is awake: x_i = 1 - exp(-k f s_i t) under a constant drive
The converted part of a particle begins at one side and goes through it as a wave.
All random numbers are keyed by seed and particle, so that a world with the beam on and one with it off stay paired.

Sources (abstracts). Few particles are active at a time, each by an activation rate and a filling speed: P. Bai and G.
Tian, arXiv 1210.7199. Nucleation is slow, then a wave goes through the crystal: C. Delmas et al. (domino cascade),
Nature Materials 7 (2008). Small particles go first, pathways run through agglomerates, sizes of 50 to 300 nm: G.
Brunetti et al., Chem. Mater. 23 (2011). Activation energy of the anodic reaction, 40 kJ/mol: G. Oyama et al., J. Phys.
Chem. C (2012). Tafel plots bend at large bias (P. Bai and M. Z. Bazant, Nat. Commun. 5 (2014) 3585), so that the bias
counts up to MOST_V. Medians of the rates and their spreads are assumptions of this world.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from digital_twin.conditions import LAG_S
from digital_twin.mosaic import CONTACT, RADIUS_NM, neighbours, particles
from digital_twin.optics import Array

TICK_S = 1.0
REFERENCE_V, REFERENCE_K = 0.05, 298.0
MOST_V = 0.2
HALF_F_PER_RT = 9.6485e4 / (2 * 8.314 * REFERENCE_K)
ACTIVATION_K = 40e3 / 8.314


@dataclass(frozen=True)
class Draw:
    """What differs from seed to seed: k, J and S for a particle of RADIUS_NM, and the fluence that reduces to 1/e."""

    conversion_per_s: float
    waking_per_s: float
    spreading_per_s: float
    reduction_e_per_A2: float


def draw(seed: int) -> Draw:
    """Draw the parameters of one seed."""
    z = np.random.default_rng([seed, 40]).standard_normal(4)
    return Draw(
        conversion_per_s=math.exp(0.35 * z[0]) / 60.0,
        waking_per_s=3e-4 * math.exp(0.5 * z[1]),
        spreading_per_s=math.exp(0.4 * z[2]) / 55.0,
        reduction_e_per_A2=750.0 * math.exp(0.5 * z[3]),
    )


def drive(bias_V: float, temperature_K: float) -> float:
    """How fast everything goes at an overpotential and a temperature, as a multiple of the reference conditions."""
    charge = math.sinh(HALF_F_PER_RT * min(max(bias_V, 0.0), MOST_V)) / math.sinh(HALF_F_PER_RT * REFERENCE_V)
    return charge * math.exp(-ACTIVATION_K * (1 / max(temperature_K, 1.0) - 1 / REFERENCE_K))


class Cathode:
    """A batch of cathodes on one clock: ``converted`` (B, N) is x, ``awake`` (B, N) bool.

    ``placed`` holds what was drawn for each seed; ``advance_to`` runs whole ticks. The beam does not act here: what it
    reduces is not a matter of whole particles.
    """

    lag_s = LAG_S

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.draws = [draw(seed) for seed in seeds]
        self.placed = [particles(seed) for seed in seeds]
        self.clock_s, self._ticks = 0.0, 0
        self.drive, self.set_point = 0.0, 0.0
        self._threshold = self._stacked([each.threshold for each in self.placed])
        radius = np.stack([each.radius_nm for each in self.placed])
        position = np.stack([each.position_nm for each in self.placed])
        index, there = neighbours()
        apart = np.linalg.norm(position[:, index] - position[:, :, None], axis=-1)
        touching = there & (apart <= CONTACT * (radius[:, index] + radius[:, :, None]))
        self._index = torch.from_numpy(index).to(self.device)
        self._touching = torch.from_numpy(touching.astype(np.float64)).to(self.device)
        surface = torch.from_numpy(RADIUS_NM / radius).to(self.device)
        self._conversion, self._waking, self._spreading = (
            surface * torch.tensor([[getattr(each, name)] for each in self.draws], dtype=torch.float64).to(self.device)
            for name in ("conversion_per_s", "waking_per_s", "spreading_per_s")
        )
        self.converted, self._hazard = torch.zeros_like(surface), torch.zeros_like(surface)
        self.awake = torch.zeros_like(surface, dtype=torch.bool)

    def _stacked(self, arrays: Sequence[Array]) -> Tensor:
        return torch.from_numpy(np.stack(arrays)).to(self.device)

    def advance_to(self, clock_s: float) -> None:
        """Run whole ticks up to a time on the specimen's clock."""
        while self.clock_s + TICK_S <= clock_s + 1e-9:
            self._tick()

    def _tick(self) -> None:
        self.drive += (self.set_point - self.drive) * -math.expm1(-TICK_S / self.lag_s)
        speed, before = self.drive * self._conversion, self.converted
        after = torch.where(self.awake, 1 - (1 - before) * torch.exp(-speed * TICK_S), before)
        contact = ((before + after)[:, self._index] * self._touching).sum(dim=-1) / 2
        hazard = self.drive * (self._waking + self._spreading * contact)
        self._hazard += hazard * TICK_S
        woken = (self._hazard >= self._threshold) & ~self.awake
        # Since when in this tick: that time they have been converted already.
        since = ((self._hazard - self._threshold) / hazard.clamp(min=1e-300)).clamp(0.0, TICK_S)
        self.converted = torch.where(woken, 1 - torch.exp(-speed * since), after)
        self.awake |= woken
        self._ticks += 1
        self.clock_s = self._ticks * TICK_S
