"""How sulfur vacancies of a monolayer come about and wander: state tensors with a leading world axis.

Kinetics, in ticks of TICK_S on the specimen's clock:
  temperature  lags the holder's set point by LAG_S
  hops         a vacancy changes places with one of its six neighbours in its layer nu exp(-(E_m + n E_b) / k T) times a
               second, n the vacancies beside it; so selenium and oxygen move, and vacancies gather
  beam         its neighbours are knocked into a vacancy by sigma_hop(E, E_m) a fluence, and the sulfur of the exit
               layer out of the crystal by kappa sigma(E, T)
A vacancy waits for an Exp(1) hazard, and then for the next; a sulfur atom has such a threshold for being knocked out.
Random numbers are keyed by seed, site and number of the hop, so that a world with the beam on and one with it off stay
paired.

Sources, of which the abstracts were read. Knock-on from the ground state dominates above 80 kV, excitations help
below: C. Speckmann et al., arXiv 2302.10529; kappa stands for them. Which layer an atom is in decides: M. Pizzochero
and O. V. Yazyev, arXiv 1804.04599. Displacement energies: H.-P. Komsa et al., Phys. Rev. Lett. 109 (2012) 035503,
6.9 eV from memory of its table. Debye temperature of 600 K: Z. Dai et al., Surf. Sci. 660 (2017) 16. Vacancies of a hot
specimen wander and gather, with a barrier of some tenths of an eV: C. Speckmann et al., arXiv 2411.03200; above 1.9 eV
by calculation: M. G. Sensoy et al., Phys. Rev. B 95 (2017) 014106. E_m lies between these two; it, E_b, the spread of
kappa, and that oxygen and selenium stay (80 kV give selenium no more than 2.4 eV) are assumptions of this world.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from digital_twin.conditions import LAG_S
from digital_twin.growth import BOLTZMANN_eV_PER_K
from digital_twin.knock_on import (
    largest_transfer_eV,
    sideways_cross_section_barn,
    thermal_cross_section_barn,
    velocity2_m2_per_s2,
)
from digital_twin.monolayer import NOTHING, PAIRS, SULFUR, draw, grown, neighbours
from digital_twin.specimen import Box

TICK_S = 1.0
ATTEMPTS_PER_S = 1e13
BARRIER_eV, BARRIER_SD_eV = 1.31, 0.02
COUPLING_SD = 0.5
BINDING_eV = 0.06
MOST_HOPS_PER_S = 20.0
"""Where it is so hot that vacancies would hop faster, the crystal falls apart, which is not in this world."""

SULFUR_Z, SULFUR_U = 16, 32.06
DISPLACEMENT_eV = 6.9
DEBYE_K = 600.0
A2_PER_BARN = 1e-8
SPARE = 64
COLDEST_K = 1.0

GOLDEN = -7046029254386353131
MIXERS = ((30, -4658895280553007687), (27, -7723592293110705685))
"""Odd constants of SplitMix64 as signed integers: G. L. Steele et al., OOPSLA (2014) 453."""


class Vacancies:
    """A batch of crystals on one clock, whose vacancies are a list each.

    ``site`` (B, V) holds the index of the site of each vacancy, -1 where a list is over. ``expose`` acts at once, what
    it makes hops from the next tick on; ``advance_to`` runs whole ticks.
    """

    lag_s = LAG_S

    def __init__(
        self, seeds: Sequence[int], beam_energy_keV: float, temperature_K: float, device: torch.device | str = "cpu"
    ) -> None:
        self.device = torch.device(device)
        self.draws = [draw(seed, (BARRIER_eV, BARRIER_SD_eV), COUPLING_SD) for seed in seeds]
        self.atoms = grown(seeds, self.draws, self.device)
        self.clock_s = 0.0
        self.temperature_K = self.set_point_K = temperature_K
        self._beam_energy_keV = beam_energy_keV
        self._around = neighbours(self.device)
        salts = [int(np.random.default_rng([seed, 12]).integers(2**62)) for seed in seeds]
        self._salt = torch.tensor(salts, dtype=torch.int64).to(self.device)
        self._toughness = self.atoms.toughness.clone()
        self._hit = torch.zeros_like(self._toughness)
        empty = torch.zeros(len(seeds), SPARE, dtype=torch.float64, device=self.device)
        self.site = torch.full(empty.shape, -1, dtype=torch.int64, device=self.device)
        self._key, self._hops = torch.zeros_like(self.site), torch.zeros_like(self.site)
        self._hazard, self._threshold, self._bonds = empty, empty + math.inf, empty.clone()
        for world, occupants in enumerate(self.atoms.occupant):
            self._add(world, (occupants == NOTHING).nonzero()[:, 0], 0)

    def hops_per_s(self, temperature_K: float) -> Tensor:
        """How often a vacancy hops that has none beside it, (B,)."""
        kT_eV = BOLTZMANN_eV_PER_K * max(temperature_K, COLDEST_K)
        rates = [min(ATTEMPTS_PER_S * math.exp(-each.barrier_eV / kT_eV), MOST_HOPS_PER_S) for each in self.draws]
        return torch.tensor(rates, dtype=torch.float64, device=self.device)

    def displacement_barn(self, world: int, temperature_K: float) -> float:
        """Cross-section for knocking out a sulfur atom of the exit layer, kappa included."""
        return self.draws[world].coupling * _ground_state_barn(self._beam_energy_keV, round(temperature_K))

    def hop_barn(self, world: int) -> float:
        """Cross-section for making a vacancy hop: one in six of its six neighbours flies off towards it."""
        return _hop_barn(self._beam_energy_keV, self.draws[world].barrier_eV)

    def expose(self, world: int, box_nm: Box, electrons: float) -> None:
        """Spread electrons evenly over a box of one world: sulfur is knocked out, vacancies are pushed."""
        x0, x1, y0, y1 = box_nm
        fluence_e_per_A2 = electrons / max(100 * (x1 - x0) * (y1 - y0), 1e-12)
        corners = np.array([[[x0, y0], [x1, y0], [x1, y1], [x0, y1]]])
        pairs = self.atoms.under(corners, [world])[0]
        hittable = self.atoms.occupant[world, PAIRS + pairs] == SULFUR
        pairs = pairs[hittable & _inside(self.atoms.pair_nm[world, pairs], box_nm)]
        dose = A2_PER_BARN * fluence_e_per_A2
        hit = self._hit[world, pairs] + dose * self.displacement_barn(world, self.temperature_K)
        self._hit[world, pairs] = hit
        out = pairs[hit >= self._toughness[world, pairs]]
        there = self.site[world] >= 0
        pushed = there & _inside(self.atoms.pair_nm[world, self.site[world].clamp(min=0) % PAIRS], box_nm)
        self._hazard[world] += pushed * (dose * self.hop_barn(world))
        if len(out):
            # Sulfur that comes to sit there later is as tough as what was there before.
            self._toughness[world, out] = self._hit[world, out] + self.atoms.toughness[world, out]
            self.atoms.occupant[world, PAIRS + out] = NOTHING
            self._add(world, PAIRS + out, 1)

    def advance_to(self, clock_s: float) -> None:
        """Run whole ticks up to a time on the specimen's clock."""
        while self.clock_s + TICK_S <= clock_s + 1e-9:
            self._tick()

    def _tick(self) -> None:
        self.temperature_K += (self.set_point_K - self.temperature_K) * (1 - math.exp(-TICK_S / self.lag_s))
        free = self.hops_per_s(self.temperature_K)[:, None] * TICK_S
        held = torch.exp(self._bonds * (-BINDING_eV / (BOLTZMANN_eV_PER_K * max(self.temperature_K, COLDEST_K))))
        self._hazard += free * held
        if (due := self._hazard >= self._threshold).any():
            while due.any():
                self._hop(due)
                due = self._hazard >= self._threshold
            self._count_bonds()
        self.clock_s += TICK_S

    def _hop(self, due: Tensor) -> None:
        """Let those that are due try to hop; what finds a vacancy there, or comes second, stays."""
        world, which = due.nonzero().unbind(-1)
        count = self._hops[world, which]
        key, site = self._key[world, which], self.site[world, which]
        target = self._around[site, (6 * uniform(key, 2 * count)).long()]
        self._hazard[world, which] -= self._threshold[world, which]
        self._hops[world, which] = count + 1
        self._threshold[world, which] = -torch.log(uniform(key, 2 * count + 3))

        occupant = self.atoms.occupant.view(-1)
        aim, left = (world * 2 * PAIRS + place for place in (target, site))
        order = torch.arange(len(aim), device=self.device)
        _, shared = torch.unique(aim, return_inverse=True)
        first = torch.full_like(order, len(order)).scatter_reduce_(0, shared, order, "amin")[shared] == order
        goes = first & (occupant[aim] != NOTHING)
        occupant[left[goes]] = occupant[aim[goes]]
        occupant[aim[goes]] = NOTHING
        self.site[world[goes], which[goes]] = target[goes]

    def _count_bonds(self) -> None:
        around = self._around[self.site.clamp(min=0)]
        beside = self.atoms.occupant.gather(1, around.flatten(1)).view(around.shape) == NOTHING
        self._bonds = beside.sum(-1).to(self._hazard)

    def _add(self, world: int, sites: Tensor, generation: int) -> None:
        """Enter new vacancies into the list of a world, longer for all worlds where it is full."""
        begin = int((self.site[world] >= 0).sum())
        lacking = begin + len(sites) - self.site.shape[1]
        if lacking > 0:
            more = (0, lacking + SPARE)
            self.site = pad(self.site, more, value=-1)
            self._key, self._hops, self._hazard = (pad(each, more) for each in (self._key, self._hops, self._hazard))
            self._threshold = pad(self._threshold, more, value=math.inf)
        new = (world, slice(begin, begin + len(sites)))
        self.site[new] = sites
        self._hazard[new] = 0.0
        self._key[new] = _mixed(self._salt[world] + GOLDEN * (1 + sites + 2 * PAIRS * generation))
        self._threshold[new] = -torch.log(uniform(self._key[new], torch.ones_like(sites)))
        self._count_bonds()


def uniform(key: Tensor, count: Tensor) -> Tensor:
    """Numbers in (0, 1) that depend on integer keys and counts alone, float64 of their shape."""
    bits = _mixed(key + GOLDEN * (count + 1)) >> 11 & (1 << 53) - 1
    return (bits.to(torch.float64) + 0.5) * 2.0**-53


def _mixed(number: Tensor) -> Tensor:
    """SplitMix64's finalizer on signed integers, whose shifts bring in ones where the sign is negative."""
    for shift, factor in MIXERS:
        number = (number ^ (number >> shift & (1 << 64 - shift) - 1)) * factor
    return number ^ (number >> 31 & (1 << 33) - 1)


def _inside(place_nm: Tensor, box_nm: Box) -> Tensor:
    x, y = place_nm.unbind(-1)
    x0, x1, y0, y1 = box_nm
    return (x >= x0) & (x < x1) & (y >= y0) & (y < y1)


@lru_cache(maxsize=1024)
def _ground_state_barn(beam_energy_keV: float, temperature_K: int) -> float:
    velocity2 = velocity2_m2_per_s2(SULFUR_U, DEBYE_K, temperature_K)
    return thermal_cross_section_barn(SULFUR_Z, SULFUR_U, beam_energy_keV, DISPLACEMENT_eV, velocity2)


@lru_cache(maxsize=1024)
def _hop_barn(beam_energy_keV: float, barrier_eV: float) -> float:
    transfer_eV = float(largest_transfer_eV(beam_energy_keV, SULFUR_U))
    return sideways_cross_section_barn(SULFUR_Z, beam_energy_keV, transfer_eV, barrier_eV)
