"""Copper particles nucleate, grow and merge on the window of a liquid cell: state tensors with a leading world axis.

Kinetics, in ticks of TICK_S on the specimen's clock:
  driver      f(t) lags the holder's set point by LAG_S; all rates scale with it
  hazard      dH_i/dt = J a_i f (1 + kappa R_i); site i bears a particle when H_i passes its own Exp(1) threshold
  growth      d(r^2)/dt = K f (1 + kappa R): diffusion-limited, r^2 linear in time under a constant driver (Zener 1949)
  merging     two particles that overlap become one at their centre of mass, volume conserved
  radicals    dR/dt = (S - R)/tau + (L^2/tau) lap R, S the dose rate averaged over a tick in units of R_REFERENCE
All random numbers are keyed by seed and site, so that a world with the beam on and one with it off stay paired.

Beam effects: what counts is how the electrons are spread over time and place, and radicals reach beyond the field
(J. Lee et al., Phys. Chem. Chem. Phys. 2021, doi 10.1039/d0cp06369j); the beam drives nucleation and growth of metal
(M. Wang, C. Park and T. J. Woehl, Chem. Mater. 2018, doi 10.1021/acs.chemmater.8b03050). Real radicals live for
microseconds; ``radicals`` stands for longer-lived products, one effective species whose life and length are assumptions
of this world, as are the medians of its rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

EXTENT_NM = 2048.0
MARGIN_NM = 256.0
SITES = 1200
TICK_S = 0.5
LAG_S = 20.0
FLOW_REFERENCE_NL_PER_S = 5.0
TEMPERATURE_REFERENCE_K = 298.0
ACTIVATION_eV = 0.30
BOLTZMANN_eV_PER_K = 8.617333262e-5
RADICAL_LIFE_S = 4.0
RADICAL_LENGTH_NM = 120.0
DOSE_RATE_REFERENCE_E_PER_A2_S = 0.05
RADICAL_CELL_NM = 64.0
BIRTH_RADIUS_NM = 1.0
"""Radius at which a nucleus is called a particle."""

REACH_NM = 300.0
"""Sites farther apart than this never meet: particles stay below 100 nm and move less in merging."""


@dataclass(frozen=True)
class Draw:
    """What differs from seed to seed. ``growth_rate_nm2_per_s`` is K, ``beam_coupling`` kappa (dimensionless)."""

    growth_rate_nm2_per_s: float
    beam_coupling: float
    births_per_site: float
    activity_sd: float
    activity_length_nm: float


def draw(seed: int) -> Draw:
    """Draw the parameters of one seed: log-normal spreads of the size that repeated flow-cell runs show."""
    g = np.random.default_rng([seed, 1])
    z = g.standard_normal(5)
    return Draw(
        growth_rate_nm2_per_s=1.5 * math.exp(0.35 * z[0]),
        beam_coupling=1.0 * math.exp(0.5 * z[1]),
        births_per_site=0.6 * math.exp(0.35 * z[2]),
        activity_sd=1.2,
        activity_length_nm=300.0,
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


class GrowthWorld:
    """A batch of worlds on one clock.

    ``radius_nm`` (B, N) is zero where nothing is; ``position_nm`` (B, N, 2); ``radicals`` (B, G, G) in units of the
    reference dose rate. All are on ``device``, in float64, from numbers drawn on the host. ``expose`` adds electrons to
    the tick that is running; ``advance_to`` runs whole ticks.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        draws = [draw(seed) for seed in seeds]
        placed = [sites(seed, d) for seed, d in zip(seeds, draws, strict=True)]
        self.seeds = tuple(seeds)
        self.draws = draws
        self.clock_s = 0.0
        self.position_nm, self._activity, self._threshold = (
            torch.from_numpy(np.stack(part)).to(self.device) for part in zip(*placed, strict=True)
        )
        self._hazard = torch.zeros_like(self._threshold)
        self.radius_nm = torch.zeros_like(self._threshold)
        self.absorbed = torch.zeros_like(self._threshold, dtype=torch.bool)
        self._rate = self._column([d.growth_rate_nm2_per_s for d in draws])
        self._coupling = self._column([d.beam_coupling for d in draws])
        self._births = self._column([d.births_per_site for d in draws]) / 600.0
        self.driver = torch.zeros(len(seeds), dtype=torch.float64, device=self.device)
        self.set_point = torch.ones(len(seeds), dtype=torch.float64, device=self.device)
        cells = round((EXTENT_NM + 4 * MARGIN_NM) / RADICAL_CELL_NM)
        self._origin_nm = -(EXTENT_NM / 2 + 2 * MARGIN_NM)
        self.radicals = torch.zeros(len(seeds), cells, cells, dtype=torch.float64, device=self.device)
        self._deposit = torch.zeros_like(self.radicals)
        # Eigenvalues of the five-point Laplacian: unlike those of the continuum it keeps every level positive.
        turn = 2 * math.pi * torch.arange(cells, dtype=torch.float64, device=self.device) / cells
        k2 = (2 - 2 * torch.cos(turn)) / RADICAL_CELL_NM**2
        rate = (1 + RADICAL_LENGTH_NM**2 * (k2[:, None] + k2[None, :])) / RADICAL_LIFE_S
        self._decay = torch.exp(-rate * TICK_S)
        self._site_nm = self.position_nm.clone()
        self._apart_nm, self._pairs = _neighbours(self.position_nm)
        self._flat = self._pairs[0] * SITES + self._pairs[1:]
        self._moved_nm = torch.zeros_like(self._threshold)

    def _column(self, values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=self.device)[:, None]

    def set_holder(self, flow_nl_per_s: float, temperature_K: float) -> None:
        """Set the driver's set point of all worlds: proportional to the flow, Arrhenius in the temperature."""
        inverse = 1 / temperature_K - 1 / TEMPERATURE_REFERENCE_K
        factor = flow_nl_per_s / FLOW_REFERENCE_NL_PER_S * math.exp(-ACTIVATION_eV / BOLTZMANN_eV_PER_K * inverse)
        self.set_point.fill_(factor)

    def expose(self, world: int, box_nm: tuple[float, float, float, float], electrons: float) -> None:
        """Spread electrons evenly over a box (x0, x1, y0, y1) of one world during the running tick."""
        x0, x1, y0, y1 = box_nm
        cells = self.radicals.shape[-1]
        edges = self._origin_nm + RADICAL_CELL_NM * torch.arange(cells + 1, dtype=torch.float64, device=self.device)
        wx = (torch.clamp(edges[1:], max=x1) - torch.clamp(edges[:-1], min=x0)).clamp(min=0)
        wy = (torch.clamp(edges[1:], max=y1) - torch.clamp(edges[:-1], min=y0)).clamp(min=0)
        area = max((x1 - x0) * (y1 - y0), 1e-12)
        cell_A2 = (10 * RADICAL_CELL_NM) ** 2
        self._deposit[world] += electrons * wy[:, None] * wx[None, :] / area / cell_A2

    def advance_to(self, clock_s: float) -> None:
        """Run whole ticks up to a time on the specimen's clock."""
        while self.clock_s + TICK_S <= clock_s + 1e-9:
            self._tick()

    def _tick(self) -> None:
        self.driver += (self.set_point - self.driver) * (1 - math.exp(-TICK_S / LAG_S))
        beam = self.radicals.any() or self._deposit.any()
        if beam:
            source = self._deposit / TICK_S / DOSE_RATE_REFERENCE_E_PER_A2_S
            spectrum = torch.fft.fft2(self.radicals) * self._decay
            k0 = (1 - self._decay) / (-torch.log(self._decay) / TICK_S) / RADICAL_LIFE_S
            spectrum = spectrum + torch.fft.fft2(source) * k0
            self.radicals = torch.fft.ifft2(spectrum).real.clamp(min=0)
            self._deposit.zero_()
            boost = 1 + self._coupling * self._radicals_at(self.position_nm)
        else:
            boost = torch.ones_like(self.radius_nm)
        drive = self.driver[:, None] * boost * TICK_S
        self._hazard += self._births * self._activity * drive
        born = (self._hazard >= self._threshold) & (self.radius_nm == 0) & ~self.absorbed
        grown = torch.sqrt(self.radius_nm**2 + self._rate * drive)
        self.radius_nm = torch.where(self.radius_nm > 0, grown, torch.where(born, BIRTH_RADIUS_NM, 0.0))
        self._merge()
        self.clock_s += TICK_S

    def _merge(self) -> None:
        # Pairs are sorted by how far apart their sites are, so only the first of them can be touching yet.
        reach_nm = 2 * float((self.radius_nm + self._moved_nm).max())
        near = int(torch.searchsorted(self._apart_nm, reach_nm))
        alive = (self.radius_nm > 0).flatten()
        first, second = self._flat[:, :near]
        living = (alive[first] & alive[second]).nonzero()[:, 0]
        first, second = first[living], second[living]
        radii, places = self.radius_nm.flatten(), self.position_nm.flatten(0, 1)
        x, y = (places[first] - places[second]).unbind(-1)
        touching = living[x * x + y * y < (radii[first] + radii[second]) ** 2]
        # In the order of the sites, which does not depend on what else is in the batch.
        for pair in sorted(self._pairs[:, touching].T.tolist()):
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
        self.absorbed[world, lose] = True
        self._moved_nm[world, keep] = (self.position_nm[world, keep] - self._site_nm[world, keep]).norm()

    def _radicals_at(self, position_nm: Tensor) -> Tensor:
        cells = self.radicals.shape[-1]
        index = ((position_nm - self._origin_nm) / RADICAL_CELL_NM).long().clamp(0, cells - 1)
        worlds = torch.arange(len(self.seeds), device=self.device)[:, None]
        return self.radicals[worlds, index[..., 1], index[..., 0]]


def _neighbours(position_nm: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs of sites that can ever touch: their distances (P,), ascending, and (world, first, second) as (3, P)."""
    found, distances = [], []
    for world, points in enumerate(position_nm):
        apart = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
        near = (apart < REACH_NM).triu(1).nonzero()
        found.append(torch.cat([torch.full((len(near), 1), world, device=near.device), near], dim=1))
        distances.append(apart[near[:, 0], near[:, 1]])
    ascending, order = torch.cat(distances).sort(stable=True)
    return ascending, torch.cat(found)[order].T.contiguous()
