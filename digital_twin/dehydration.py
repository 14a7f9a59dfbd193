"""A heated film of brucite loses its water: kinetics of a phase that nucleates and grows until its regions meet.

In ticks of TICK_S on the specimen's clock:
  temperature  T lags the holder's set point; both rates go with p(T) = exp(-E / k (1 / T - 1 / T_reference))
  growth       every region is a disc that grows at v p(T) until it meets others; reach g = integral of v p(T)
  nucleation   dH_i/dt = J p(T) / n at sites i of density n; a site bears a nucleus when H_i passes its own Exp(1)
  beam         electrons that fall on a site add kappa F / n to its H_i, F their fluence: it acts where it falls
What has changed stays so. A point has changed once g passes its arrival, min over nuclei of (g at birth + distance): in
the whole film 1 - exp(-pi J v^2 t^3 / 3), and 1 - exp(-pi N v^2 t^2) where all N nuclei are there from the start
(Johnson, Mehl, Avrami, Kolmogorov).

Nucleation and growth with 148 kJ/mol: Yue et al., Acta Phys. Chim. Sin. 21 (2005) 752. It takes place at 570-770 K in
vacuum (J. Phys. Chem. B 107 (2003) 2427). The beam dehydrates brucite by itself: van Aken and Langenhorst, Eur. J.
Mineral. 13 (2001) 329. Medians of rates and densities, and that the beam makes nuclei, are assumptions of this world.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from digital_twin.film import Window, fluence_e_per_A2, nearest_image_nm, nodes_nm, pace
from digital_twin.specimen import Box

EXTENT_NM = 2048.0
INTERVALS = 128
SITES = 1024
SITES_PER_UM2 = SITES / (1e-6 * EXTENT_NM**2)
TICK_S = 1.0
TEMPERATURE_REFERENCE_K = 573.0
ACTIVATION_eV = 1.534
NEVER_NM = 1e6
"""Arrival where there is no nucleus yet: farther than anything reaches, yet a number that can be interpolated."""


@dataclass(frozen=True)
class Draw:
    """What differs from seed to seed: growth v and nucleation J at the reference temperature.

    ``start_per_um2`` are nuclei that are there from the start, ``beam_coupling`` the nuclei per um^2 and e/A^2, kappa.
    """

    growth_speed_nm_per_s: float
    nucleation_per_um2_s: float
    start_per_um2: float
    beam_coupling: float


def draw(seed: int) -> Draw:
    """Draw the parameters of one seed, with log-normal spreads."""
    z = np.random.default_rng([seed, 10]).standard_normal(4)
    return Draw(
        growth_speed_nm_per_s=0.8 * math.exp(0.3 * z[0]),
        nucleation_per_um2_s=0.03 * math.exp(0.5 * z[1]),
        start_per_um2=1.0 * math.exp(0.5 * z[2]),
        beam_coupling=1.5 * math.exp(0.5 * z[3]),
    )


class Dehydration:
    """A batch of films on one clock.

    ``arrival_nm`` (B, nodes, nodes) is the reach at which each node changes, row is y, ``reach_nm`` (B,) how far discs
    of the first moment have come, ``nucleus`` (B, N) which of the sites at ``site_nm`` (B, N, 2) bear a nucleus that
    was not overrun before. Random numbers are drawn on the host, keyed by seed and site.
    """

    def __init__(self, seeds: Sequence[int], draws: Sequence[Draw], device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        generators = [np.random.default_rng([seed, 11]) for seed in seeds]
        place = np.stack([g.uniform(-EXTENT_NM / 2, EXTENT_NM / 2, (SITES, 2)) for g in generators])
        self.site_nm = torch.from_numpy(place).to(self.device)
        self._threshold = torch.from_numpy(np.stack([g.exponential(size=SITES) for g in generators])).to(self.device)
        self.clock_s = 0.0
        self.window = Window(seeds, TEMPERATURE_REFERENCE_K, self.device)
        self._speed = self._each([d.growth_speed_nm_per_s for d in draws])
        self._nucleation = self._each([d.nucleation_per_um2_s / SITES_PER_UM2 for d in draws])[:, None]
        self._coupling = self._each([d.beam_coupling / SITES_PER_UM2 for d in draws])[:, None]
        self._hazard = self._each([d.start_per_um2 / SITES_PER_UM2 for d in draws])[:, None].repeat(1, SITES)
        self._fluence = torch.zeros_like(self._threshold)
        self._axis_nm = nodes_nm(EXTENT_NM, INTERVALS, self.device)
        self.reach_nm = torch.zeros_like(self._speed)
        self.nucleus = torch.zeros_like(self._threshold, dtype=torch.bool)
        self._spent = torch.zeros_like(self.nucleus)
        self._site_arrival_nm = torch.full_like(self._threshold, NEVER_NM)
        shape = (len(place), INTERVALS + 1, INTERVALS + 1)
        self.arrival_nm = torch.full(shape, NEVER_NM, dtype=torch.float64, device=self.device)
        self._nucleate()

    def _each(self, values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=self.device)

    def expose(self, world: int, box_nm: Box, electrons: float) -> None:
        """Spread electrons evenly over a box of one world during the running tick."""
        x0, x1, y0, y1 = box_nm
        middle = self._each([(x0 + x1) / 2, (y0 + y1) / 2])
        away = nearest_image_nm(self.site_nm[world] - middle, EXTENT_NM).abs()
        inside = (away <= self._each([(x1 - x0) / 2, (y1 - y0) / 2])).all(dim=-1)
        self._fluence[world] += fluence_e_per_A2(box_nm, electrons) * inside

    def advance_to(self, clock_s: float) -> None:
        """Run whole ticks up to a time on the specimen's clock."""
        while self.clock_s + TICK_S <= clock_s + 1e-9:
            self._tick()

    def _tick(self) -> None:
        self.window.follow(TICK_S)
        passed_s = pace(self.window.temperature_K, TEMPERATURE_REFERENCE_K, ACTIVATION_eV) * TICK_S
        self.reach_nm += self._speed * passed_s
        self._hazard += self._nucleation * passed_s
        self._hazard += self._coupling * self._fluence
        self._fluence.zero_()
        self._nucleate()
        self.clock_s += TICK_S

    def _nucleate(self) -> None:
        """Sites whose hazard has passed their threshold bear a nucleus, unless they have changed before."""
        due = (self._hazard >= self._threshold) & ~self._spent
        self._spent |= due
        for world, site in due.nonzero().tolist():
            reach, place = self.reach_nm[world], self.site_nm[world, site]
            if self._site_arrival_nm[world, site] <= reach:
                continue
            self.nucleus[world, site] = True
            x, y = (nearest_image_nm(self._axis_nm - at, EXTENT_NM).square() for at in place)
            distance = (y[:, None] + x).sqrt_()
            torch.minimum(self.arrival_nm[world], distance.add_(reach), out=self.arrival_nm[world])
            x, y = nearest_image_nm(self.site_nm[world] - place, EXTENT_NM).square().unbind(-1)
            arrival = (x + y).sqrt_().add_(reach)
            torch.minimum(self._site_arrival_nm[world], arrival, out=self._site_arrival_nm[world])

    def changed(self) -> Tensor:
        """Share of the area around each node that has changed, (B, nodes, nodes): exact where a front is straight."""
        ahead_nm = self.reach_nm[:, None, None] - self.arrival_nm
        return (ahead_nm * (INTERVALS / EXTENT_NM) + 0.5).clamp_(0.0, 1.0)
