"""Copper particles nucleate, grow and merge on the window of a liquid cell: state tensors with a leading world axis.

Kinetics, in ticks of TICK_S on the specimen's clock:
  driver      f(t) lags the holder's set point by LAG_S; nucleation and growth scale with it
  hazard      dH_i/dt = J a_i f (1 + kappa R_i); site i bears a particle when H_i passes its own Exp(1) threshold
  growth      dr/dt = K/2 f (1 + kappa R) / (r + a): diffusion and attachment in series. Far above the radius a the
              first limits it, r^2 linear in time under a constant driver (Zener 1949), far below the second, r linear
  ripening    dr/dt = M / (r + a) (1 / r_c - 1 / r), volume conserved; small particles dissolve (``ripening``)
  shaking     a share of the particles diffuses on the window, D = h kT / (6 pi eta r) (``brownian``)
  merging     two particles that overlap become one at their centre of mass, volume conserved
  radicals    R, what the beam leaves in the liquid, near and after its dose (``radiolysis``)
All random numbers are keyed by seed and site, so that a world with the beam on and one with it off stay paired.

The beam drives nucleation and growth of metal (M. Wang, C. Park and T. J. Woehl, Chem. Mater. 2018, doi
10.1021/acs.chemmater.8b03050); the medians of all rates are assumptions of this world.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from digital_twin.brownian import Kicks, diffusion_nm3_per_s
from digital_twin.conditions import LAG_S, ROOM_K
from digital_twin.merging import touching
from digital_twin.radiolysis import Radicals
from digital_twin.ripening import ripened
from digital_twin.specimen import Box

EXTENT_NM = 2048.0
MARGIN_NM = 256.0
SITES = 1200
TICK_S = 0.5
RIPENING_S = 1.0
"""Ripening is slow: a step every other tick is short enough."""

FLOW_REFERENCE_NL_PER_S = 5.0
ACTIVATION_eV = 0.30
BOLTZMANN_eV_PER_K = 8.617333262e-5
BIRTH_RADIUS_NM = 1.0
"""Radius at which a nucleus is called a particle."""

REVERSAL_NM = 0.2
"""Median radius of a nucleus that neither grows nor dissolves among far larger particles."""


@dataclass(frozen=True)
class Draw:
    """What differs from seed to seed. ``growth_rate_nm2_per_s`` is K, ``beam_coupling`` kappa (dimensionless).

    Off unless it is given: ``reaction_radius_nm`` is a, below which attachment limits growth; ``ripening_nm3_per_s`` is
    M, and nuclei of radius r survive where 2 M / r < K f; ``hindrance`` is h, the share of Stokes and Einstein's
    diffusion that is left at the window to a ``mobile_share`` of the particles, the others being stuck to it. Steps of
    a tick longer than particles are wide miss encounters. ``thickening`` is the share of the window's bulge by which
    the liquid is thicker than at the edges.

    Raises:
        ValueError: one of them is negative or not finite, or more than all particles are mobile.
    """

    growth_rate_nm2_per_s: float
    beam_coupling: float
    births_per_site: float
    activity_sd: float
    activity_length_nm: float
    reaction_radius_nm: float = 0.0
    ripening_nm3_per_s: float = 0.0
    hindrance: float = 0.0
    mobile_share: float = 1.0
    thickening: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0.0 <= value < math.inf:
                raise ValueError(f"{field.name} {value:g}: at least 0 and finite")
        if self.mobile_share > 1.0:
            raise ValueError(f"mobile_share {self.mobile_share:g}: at most 1")


def draw(seed: int) -> Draw:
    """Draw the parameters of one seed: log-normal spreads of the size that repeated flow-cell runs show.

    That these things happen has sources, how much of each there is is an assumption of this world. Palladium in a
    liquid cell was first limited by the reaction at its surface and later by supply (abstract at
    discovery.researcher.life/topic/dependence-of-growth-kinetics/19704069); here a is a few nm. Ripening: a nucleus of
    about REVERSAL_NM, less than what is born, neither grows nor dissolves at the full driver, so M is K / 2 times
    that. Of particles at a window most are pinned and some move (``brownian``). Windows bend under the pressure of the
    liquid, which is thicker where they do (H. Wu et al., Small Methods 5 (2021) 2001287, abstract): here by up to a
    tenth of the bulge, so that core losses are still to be seen.
    """
    g = np.random.default_rng([seed, 1])
    z = g.standard_normal(6)
    growth_rate_nm2_per_s = 1.5 * math.exp(0.35 * z[0])
    return Draw(
        growth_rate_nm2_per_s=growth_rate_nm2_per_s,
        beam_coupling=1.0 * math.exp(0.5 * z[1]),
        births_per_site=0.6 * math.exp(0.35 * z[2]),
        activity_sd=1.2,
        activity_length_nm=300.0,
        reaction_radius_nm=4.0 * math.exp(0.7 * z[3]),
        ripening_nm3_per_s=growth_rate_nm2_per_s / 2 * REVERSAL_NM * math.exp(0.5 * z[4]),
        hindrance=3e-8 * math.exp(0.7 * z[5]),
        mobile_share=g.uniform(0.0, 0.1),
        thickening=g.uniform(0.0, 0.1),
    )


def sites(seed: int, parameters: Draw) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions (N, 2) nm, relative activity (N,) and thresholds (N,) of the candidate sites of one seed."""
    g = np.random.default_rng([seed, 2])
    half = EXTENT_NM / 2 + MARGIN_NM
    positions = g.uniform(-half, half, (SITES, 2))
    thresholds = g.exponential(size=SITES)
    waves = 256
    k = g.standard_normal((waves, 2)) / parameters.activity_length_nm
    phase = g.uniform(0, 2 * math.pi, waves)
    # A Gaussian random field as a sum of plane waves (random Fourier features of a squared-exponential covariance).
    field = math.sqrt(2 / waves) * np.cos(positions @ k.T + phase).sum(axis=1)
    activity = np.exp(parameters.activity_sd * field - parameters.activity_sd**2 / 2)
    return positions, activity, thresholds


def mobile_sites(seed: int, share: float) -> np.ndarray:
    """The sites (n,) of a seed whose particles do not stick to the window; those of a larger share include them."""
    return np.flatnonzero(np.random.default_rng([seed, 11]).random(SITES) < share)


class GrowthWorld:
    """A batch of worlds on one clock.

    ``radius_nm`` (B, N) is zero where nothing is; ``position_nm`` (B, N, 2); ``spent`` (B, N) tells which particles are
    no more. All are on ``device``, in float64, from numbers drawn on the host. ``expose`` adds electrons to the tick
    that is running; ``advance_to`` runs whole ticks. ``draws`` are those of the seeds where none are given.
    """

    lag_s = LAG_S

    def __init__(
        self, seeds: Sequence[int], device: torch.device | str = "cpu", draws: Sequence[Draw] | None = None
    ) -> None:
        self.device = torch.device(device)
        self.draws = [draw(seed) for seed in seeds] if draws is None else list(draws)
        placed = [sites(seed, d) for seed, d in zip(seeds, self.draws, strict=True)]
        self.seeds = tuple(seeds)
        self.clock_s = 0.0
        self.position_nm, self._activity, self._threshold = (
            torch.from_numpy(np.stack(part)).to(self.device) for part in zip(*placed, strict=True)
        )
        self._hazard = torch.zeros_like(self._threshold)
        self.radius_nm = torch.zeros_like(self._threshold)
        self.spent = torch.zeros_like(self._threshold, dtype=torch.bool)
        self._rate = self._column([d.growth_rate_nm2_per_s for d in self.draws])
        self._coupling = self._column([d.beam_coupling for d in self.draws])
        self._births = self._column([d.births_per_site for d in self.draws]) / 600.0
        self._reaction_nm = self._column([d.reaction_radius_nm for d in self.draws])
        self._ripening = self._column([d.ripening_nm3_per_s for d in self.draws])
        self._ripens = bool(self._ripening.any())
        shares = [d.mobile_share if d.hindrance else 0.0 for d in self.draws]
        mobile = [mobile_sites(seed, share) for seed, share in zip(seeds, shares, strict=True)]
        places = [n * SITES + each for n, each in enumerate(mobile)]
        self._mobile = torch.from_numpy(np.concatenate(places)).to(self.device)
        self._hindrance = self._column([d.hindrance for d in self.draws]).take(self._mobile // SITES)
        self._kicks = Kicks(seeds, [len(each) for each in mobile], self.device)
        self.driver = torch.zeros(len(seeds), dtype=torch.float64, device=self.device)
        self.set_point = torch.ones(len(seeds), dtype=torch.float64, device=self.device)
        self.temperature_K = ROOM_K
        self.radicals = Radicals(len(seeds), EXTENT_NM + 4 * MARGIN_NM, TICK_S, self.device)

    def _column(self, values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=self.device)[:, None]

    def set_holder(self, flow_nl_per_s: float, temperature_K: float) -> None:
        """Set the driver's set point of all worlds: proportional to the flow, Arrhenius in the temperature.

        Ripening and Brownian motion do not wait for what flows in: they follow the temperature at once.
        """
        self.temperature_K = temperature_K
        self.set_point.fill_(flow_nl_per_s / FLOW_REFERENCE_NL_PER_S * self._arrhenius())

    def _arrhenius(self) -> float:
        inverse = 1 / self.temperature_K - 1 / ROOM_K
        return math.exp(-ACTIVATION_eV / BOLTZMANN_eV_PER_K * inverse)

    def expose(self, world: int, box_nm: Box, electrons: float) -> None:
        """Spread electrons evenly over a box (x0, x1, y0, y1) of one world during the running tick."""
        self.radicals.expose(world, box_nm, electrons)

    def advance_to(self, clock_s: float) -> None:
        """Run whole ticks up to a time on the specimen's clock."""
        while self.clock_s + TICK_S <= clock_s + 1e-9:
            self._tick()

    def _tick(self) -> None:
        self.driver += (self.set_point - self.driver) * (1 - math.exp(-TICK_S / self.lag_s))
        self.radicals.tick()
        boost = torch.ones_like(self.radius_nm)
        if not self.radicals.quiet:
            boost += self._coupling * self.radicals.at(*self.position_nm.unbind(-1))
        drive = self.driver[:, None] * boost * TICK_S
        self._hazard += self._births * self._activity * drive
        born = (self._hazard >= self._threshold) & (self.radius_nm == 0) & ~self.spent
        grown = grown_nm(self.radius_nm, self._reaction_nm, self._rate * drive)
        self.radius_nm = torch.where(self.radius_nm > 0, grown, torch.where(born, BIRTH_RADIUS_NM, 0.0))
        if self._ripens and self.clock_s % RIPENING_S == 0:
            self._ripen()
        if len(self._hindrance):
            self._shake()
        self._merge()
        self.clock_s += TICK_S

    def _ripen(self) -> None:
        before = self.radius_nm
        way_nm3 = self._ripening * self._arrhenius() * RIPENING_S
        self.radius_nm = ripened(before, self._reaction_nm, way_nm3).where(self._ripening > 0, before)
        self.spent |= (before > 0) & (self.radius_nm == 0)

    def _shake(self) -> None:
        place, squared_nm3 = self.position_nm.view(-1, 2), 2 * TICK_S * diffusion_nm3_per_s(1.0, self.temperature_K)
        step_nm = (squared_nm3 * self._hindrance / self.radius_nm.take(self._mobile)).sqrt().nan_to_num(posinf=0.0)
        moved = place[self._mobile] + step_nm[:, None] * self._kicks.next()
        # Instead of what wanders off somebody else wanders in.
        edge_nm = EXTENT_NM / 2 + MARGIN_NM
        place[self._mobile] = 2 * moved.clamp(-edge_nm, edge_nm) - moved

    def _merge(self) -> None:
        # In the order of the sites, which does not depend on what else is in the batch.
        for pair in sorted(touching(self.position_nm, self.radius_nm).tolist()):
            self._unite(*pair)

    def _unite(self, world: int, first: int, second: int) -> None:
        volume = self.radius_nm[world, [first, second]] ** 3
        if float(volume.min()) == 0.0:
            return
        keep, lose = (first, second) if volume[0] >= volume[1] else (second, first)
        share = volume / volume.sum()
        self.position_nm[world, keep] = (share[:, None] * self.position_nm[world, [first, second]]).sum(0)
        self.radius_nm[world, keep] = volume.sum() ** (1 / 3)
        self.radius_nm[world, lose] = 0.0
        self.spent[world, lose] = True


def grown_nm(radius_nm: Tensor, reaction_radius_nm: Tensor, way_nm2: Tensor) -> Tensor:
    """Radii after dr/dt = K/2 / (r + a) for a while, exactly; ``way_nm2`` is K times the time."""
    return torch.sqrt((radius_nm + reaction_radius_nm) ** 2 + way_nm2) - reaction_radius_nm
