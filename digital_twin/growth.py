"""Copper particles nucleate, grow and merge on the window of a liquid cell: state tensors with a leading world axis.

Kinetics, in ticks of TICK_S on the specimen's clock:
  driver      f(t) lags the holder's set point by LAG_S; nucleation and growth scale with it
  hazard      dH_i/dt = J a_i f (1 + kappa R_i); site i bears a particle when H_i passes its own Exp(1) threshold
  growth      dr/dt = K/2 f (1 + kappa R) / (r + a): diffusion and attachment in series. Far above the radius a the
              first limits it, r^2 linear in time under a constant driver (Zener 1949), far below the second, r linear
  ripening    dr/dt = (M / r) (1 / r_c - 1 / r), volume conserved; small particles dissolve (``ripening``)
  shaking     each particle diffuses on the window with D = h kT / (6 pi eta r) (``brownian``)
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
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from digital_twin.brownian import Kicks, diffusion_nm3_per_s
from digital_twin.merging import touching
from digital_twin.optics import Array
from digital_twin.ripening import ripened

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


@dataclass(frozen=True)
class Draw:
    """What differs from seed to seed. ``growth_rate_nm2_per_s`` is K, ``beam_coupling`` kappa (dimensionless).

    Off unless it is given: ``reaction_radius_nm`` is a, below which attachment limits growth; ``ripening_nm3_per_s`` is
    M, and nuclei of radius r survive where M / r^2 < K f / 2 (r + a); ``hindrance`` is h, the share of Stokes and
    Einstein's diffusion that is left at the window. Steps of a tick longer than particles are wide miss encounters.
    ``thickening`` is the share of the window's bulge by which the liquid is thicker than at the edges.

    Raises:
        ValueError: one of them is negative or not finite.
    """

    growth_rate_nm2_per_s: float
    beam_coupling: float
    births_per_site: float
    activity_sd: float
    activity_length_nm: float
    reaction_radius_nm: float = 0.0
    ripening_nm3_per_s: float = 0.0
    hindrance: float = 0.0
    thickening: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0.0 <= value < math.inf:
                raise ValueError(f"{field.name} {value:g}: at least 0 and finite")


def draw(seed: int) -> Draw:
    """Draw the parameters of one seed: log-normal spreads of the size that repeated flow-cell runs show.

    The world that is shipped has diffusion-limited growth, merging and radicals on. Off in it are limits by attachment,
    ripening, Brownian motion, liquid that is thicker where the window bulges, and, in the column of ``LiquidCell``, the
    window ``above`` that widens the beam.
    """
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

    ``radius_nm`` (B, N) is zero where nothing is; ``position_nm`` (B, N, 2); ``spent`` (B, N) tells which particles are
    no more; ``radicals`` (B, G, G) in units of the reference dose rate. All are on ``device``, in float64, from numbers
    drawn on the host. ``expose`` adds electrons to the tick that is running; ``advance_to`` runs whole ticks. ``draws``
    are those of the seeds where none are given.
    """

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
        self._hindrance = self._column([d.hindrance for d in self.draws])
        self._ripens, self._shakes = bool(self._ripening.any()), bool(self._hindrance.any())
        self._kicks = Kicks(seeds, SITES, self.device)
        self.driver = torch.zeros(len(seeds), dtype=torch.float64, device=self.device)
        self.set_point = torch.ones(len(seeds), dtype=torch.float64, device=self.device)
        self.temperature_K = TEMPERATURE_REFERENCE_K
        cells = round((EXTENT_NM + 4 * MARGIN_NM) / RADICAL_CELL_NM)
        self._origin_nm = -(EXTENT_NM / 2 + 2 * MARGIN_NM)
        self.radicals = torch.zeros(len(seeds), cells, cells, dtype=torch.float64, device=self.device)
        self._deposit = torch.zeros_like(self.radicals)
        self._exposed = self._irradiated = False
        # Eigenvalues of the five-point Laplacian: unlike those of the continuum it keeps every level positive.
        turn = 2 * math.pi * torch.arange(cells, dtype=torch.float64, device=self.device) / cells
        k2 = (2 - 2 * torch.cos(turn)) / RADICAL_CELL_NM**2
        rate = (1 + RADICAL_LENGTH_NM**2 * (k2[:, None] + k2[None, :])) / RADICAL_LIFE_S
        self._decay = torch.exp(-rate * TICK_S)
        self._gain = (1 - self._decay) / rate / RADICAL_LIFE_S

    def _column(self, values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=self.device)[:, None]

    def set_holder(self, flow_nl_per_s: float, temperature_K: float) -> None:
        """Set the driver's set point of all worlds: proportional to the flow, Arrhenius in the temperature.

        Ripening and Brownian motion do not wait for what flows in: they follow the temperature at once.
        """
        self.temperature_K = temperature_K
        self.set_point.fill_(flow_nl_per_s / FLOW_REFERENCE_NL_PER_S * self._arrhenius())

    def _arrhenius(self) -> float:
        inverse = 1 / self.temperature_K - 1 / TEMPERATURE_REFERENCE_K
        return math.exp(-ACTIVATION_eV / BOLTZMANN_eV_PER_K * inverse)

    def expose(self, world: int, box_nm: tuple[float, float, float, float], electrons: float) -> None:
        """Spread electrons evenly over a box (x0, x1, y0, y1) of one world during the running tick."""
        x0, x1, y0, y1 = box_nm
        (first_x, wide), (first_y, high) = self._covered(x0, x1), self._covered(y0, y1)
        area = max((x1 - x0) * (y1 - y0), 1e-12)
        cell_A2 = (10 * RADICAL_CELL_NM) ** 2
        part = torch.from_numpy(electrons * high[:, None] * wide / area / cell_A2).to(self.device)
        self._deposit[world, first_y : first_y + len(high), first_x : first_x + len(wide)] += part
        self._exposed = True

    def _covered(self, low_nm: float, high_nm: float) -> tuple[int, Array]:
        """The first cell that an interval covers along one direction, and the nm it covers of it and those after it."""
        cells = self.radicals.shape[-1]
        first, last = (
            min(max(math.floor((end - self._origin_nm) / RADICAL_CELL_NM), 0), cells - 1) for end in (low_nm, high_nm)
        )
        edges = self._origin_nm + RADICAL_CELL_NM * np.arange(first, last + 2)
        covered = np.minimum(edges[1:], high_nm) - np.maximum(edges[:-1], low_nm)
        return first, np.clip(covered, 0.0, None)

    def advance_to(self, clock_s: float) -> None:
        """Run whole ticks up to a time on the specimen's clock."""
        while self.clock_s + TICK_S <= clock_s + 1e-9:
            self._tick()

    def _tick(self) -> None:
        self.driver += (self.set_point - self.driver) * (1 - math.exp(-TICK_S / LAG_S))
        self._irradiated |= self._exposed
        if self._irradiated:
            spectrum = torch.fft.fft2(self.radicals).mul_(self._decay)
            if self._exposed:
                source = self._deposit / TICK_S / DOSE_RATE_REFERENCE_E_PER_A2_S
                spectrum.add_(torch.fft.fft2(source).mul_(self._gain))
                self._deposit.zero_()
                self._exposed = False
            self.radicals = torch.fft.ifft2(spectrum).real.clamp(min=0)
            boost = 1 + self._coupling * self._radicals_at(self.position_nm)
        else:
            boost = torch.ones_like(self.radius_nm)
        drive = self.driver[:, None] * boost * TICK_S
        self._hazard += self._births * self._activity * drive
        born = (self._hazard >= self._threshold) & (self.radius_nm == 0) & ~self.spent
        grown = grown_nm(self.radius_nm, self._reaction_nm, self._rate * drive)
        self.radius_nm = torch.where(self.radius_nm > 0, grown, torch.where(born, BIRTH_RADIUS_NM, 0.0))
        if self._ripens:
            self._ripen()
        if self._shakes:
            self._shake()
        self._merge()
        self.clock_s += TICK_S

    def _ripen(self) -> None:
        before = self.radius_nm
        self.radius_nm = ripened(before, self._ripening * self._arrhenius() * TICK_S).where(self._ripening > 0, before)
        self.spent |= (before > 0) & (self.radius_nm == 0)

    def _shake(self) -> None:
        diffusion = self._hindrance * diffusion_nm3_per_s(1.0, self.temperature_K) / self.radius_nm
        step_nm = (2 * diffusion * TICK_S).sqrt().where(self.radius_nm > 0, 0.0)
        self.position_nm += step_nm[..., None] * self._kicks.next()
        # Instead of what wanders off somebody else wanders in.
        beyond_nm = (self.position_nm.abs() - (EXTENT_NM / 2 + MARGIN_NM)).clamp(min=0.0)
        self.position_nm -= 2 * beyond_nm * self.position_nm.sign()

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

    def _radicals_at(self, position_nm: Tensor) -> Tensor:
        cells = self.radicals.shape[-1]
        index = ((position_nm - self._origin_nm) / RADICAL_CELL_NM).long().clamp(0, cells - 1)
        return self.radicals.flatten(1).gather(1, index[..., 1] * cells + index[..., 0])


def grown_nm(radius_nm: Tensor, reaction_radius_nm: Tensor, way_nm2: Tensor) -> Tensor:
    """Radii after dr/dt = K/2 / (r + a) for a while, exactly; ``way_nm2`` is K times the time."""
    return torch.sqrt((radius_nm + reaction_radius_nm) ** 2 + way_nm2) - reaction_radius_nm
