"""A growing electrode: brass is deposited from a liquid, and its front moves. Tensors with a leading world axis.

State of each column x of the front, in ticks of TICK_S on the specimen's clock:
  bias        eta lags the holder's set point by LAG_S
  current     j = j_BV / (1 + j_BV / j_L), j_BV = j0 A(x) m(t) [exp(-ALPHA F eta/RT) - exp((2 - ALPHA) F eta/RT)],
              told as the growth that it gives, v = OMEGA j / 2F (Faraday)
  activity    da/dt = r a (1 - a) + D a_xx: growth starts at a few places of the electrode and spreads along it, at the
              Fisher-KPP speed c = 2 sqrt(D r), which is proportional to the current
  height      dh/dt = v a + kappa R + nu h_xx + noise; the noise is that of grains of GRAIN_NM2 that arrive at random:
              Edwards and Wilkinson's equation where all is active
  zinc        Z0 + s ln(v / V_ZINC) of what the current deposits; what radicals deposit is copper; it stays as laid down
A(x) varies along the electrode; m(t), by which the supply of the whole electrode varies, is a slow random process.
All random numbers are keyed by seed, so that a world with the beam on and one with it off stay paired.

Sources. A front of copper in a liquid cell that roughens as kinetic theory says: N. M. Schneider et al., Nature
Communications 8 (2017) 2174 (abstract). j0, ALPHA, OMEGA, the form of the Butler-Volmer law and the limiting current
D c 2F / delta are those of models of copper plating by NIST (D. Wheeler, extremefill2D, parameters in its scripts).
That zinc in brass grows with current density and overvoltage, up to some 30 %: J. S. Yang, S. Y. Kang and D. N. Lee, J.
Korean Inst. Met. (abstract). S. F. Edwards and D. R. Wilkinson, Proc. R. Soc. A 381 (1982) 17; fronts into an unstable
state: E. Brunet and B. Derrida, arXiv 1506.06559. How fast activity spreads, grains, smoothing, spreads from seed to
seed and the coupling to radicals are assumptions of this world.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from digital_twin.conditions import LAG_S
from digital_twin.optics import Array
from digital_twin.radiolysis import Radicals
from digital_twin.specimen import Box

EXTENT_NM = 2048.0
MARGIN_NM = 256.0
COLUMN_NM = 16.0
COLUMNS = round((EXTENT_NM + 2 * MARGIN_NM) / COLUMN_NM)
"""Columns of the front; the last is the neighbour of the first."""

ORIGIN_NM = -(EXTENT_NM / 2 + MARGIN_NM)
ELECTRODE_NM = -928.0
"""Where the electrode ends and the liquid begins, in y."""

HIGHEST_NM = -ORIGIN_NM - 2 * COLUMN_NM
TICK_S = 1.0
REFERENCE_V = -0.07
F_PER_RT = 9.6485e4 / (8.314 * 298.0)
ALPHA = 0.4
FARADAY_NM_PER_S = 1e9 * 7.1e-6 / (2 * 9.6485e4)
"""Growth in nm/s that 1 A/m^2 gives: the molar volume of copper over two Faraday constants."""

EXCHANGE_NM_PER_S = 40.0 * FARADAY_NM_PER_S
LIMIT_NM_PER_S = 2.65e-10 * 1000.0 * 2 * 9.6485e4 / 150e-6 * FARADAY_NM_PER_S

MOST_V = 1.0
"""Bias beyond which nothing changes: water is split."""

SPREAD_NM = 32.0
"""Width sqrt(D / r) of the edge of what is active."""

FASTEST_SPREAD_NM_PER_S = 7.0
"""Above this the explicit step would not be stable; the current is near its limit there."""

SMOOTHING_NM2_PER_S = 20.0
GRAIN_NM2 = 64.0
ACTIVITY_SD, ACTIVITY_LENGTH_NM = 0.25, 150.0
SUPPLY_SD, SUPPLY_S = 0.25, 120.0
ZINC_NM_PER_S = 3.3
MOST_ZINC = 0.6
BLOCK = 64


@dataclass(frozen=True)
class Draw:
    """What differs from seed to seed; ``spreading_nm_per_s`` is c at REFERENCE_V, ``beam_coupling_nm_per_s`` kappa."""

    exchange_nm_per_s: float
    spreading_nm_per_s: float
    zinc: float
    zinc_slope: float
    beam_coupling_nm_per_s: float


def draw(seed: int) -> Draw:
    """Draw the parameters of one seed."""
    z = np.random.default_rng([seed, 30]).standard_normal(5)
    return Draw(
        exchange_nm_per_s=EXCHANGE_NM_PER_S * math.exp(0.25 * z[0]),
        spreading_nm_per_s=3.5 * math.exp(0.35 * z[1]),
        zinc=0.22 + 0.04 * float(z[2]),
        zinc_slope=0.10 * math.exp(0.35 * z[3]),
        beam_coupling_nm_per_s=1.0 * math.exp(0.5 * z[4]),
    )


def places(seed: int) -> tuple[Array, Array]:
    """Relative exchange current (N,) along the electrode of one seed, and how active it is at the start (N,)."""
    random = np.random.default_rng([seed, 31])
    k = 2 * math.pi * np.fft.rfftfreq(COLUMNS, COLUMN_NM)
    shape = np.exp(-((k * ACTIVITY_LENGTH_NM) ** 2) / 4)
    shape *= math.sqrt(COLUMNS / (2 * (shape**2).sum() - shape[0] ** 2 - shape[-1] ** 2))
    field = np.fft.irfft(np.fft.rfft(random.standard_normal(COLUMNS)) * shape, COLUMNS)
    active = np.zeros(COLUMNS)
    active[random.integers(0, COLUMNS, 2 + random.poisson(2.0))] = 1.0
    return np.exp(ACTIVITY_SD * field - ACTIVITY_SD**2 / 2), active


def velocity_nm_per_s(exchange_nm_per_s: Tensor, bias_V: Tensor) -> Tensor:
    """Velocity of an active front at an overpotential, negative where metal dissolves; shapes broadcast."""
    drive = torch.exp(-ALPHA * F_PER_RT * bias_V) - torch.exp((2 - ALPHA) * F_PER_RT * bias_V)
    kinetic = exchange_nm_per_s * drive
    return kinetic / (1 + kinetic.clamp(min=0.0) / LIMIT_NM_PER_S)


class Front:
    """A batch of fronts on one clock: heights ``height_nm`` (B, N) as y in nm, ``activity`` (B, N) from 0 to 1.

    ``zinc`` (B, N, N) is the atomic fraction in each cell of the deposit, row is y; rows begin at ``bottom_nm`` (N,),
    columns lie around ``x_nm`` (N,). ``expose`` adds electrons to the tick that is running; ``advance_to`` runs whole
    ticks.
    """

    lag_s = LAG_S

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.seeds, self.draws = tuple(seeds), [draw(seed) for seed in seeds]
        self.clock_s, self._ticks = 0.0, 0
        places_, active = zip(*(places(seed) for seed in seeds), strict=True)
        self.activity = torch.from_numpy(np.stack(active)).to(self.device)
        self._exchange = self._column("exchange_nm_per_s") * torch.from_numpy(np.stack(places_)).to(self.device)
        self._spreading, self._zinc, self._slope, self._coupling = (
            self._column(name) for name in ("spreading_nm_per_s", "zinc", "zinc_slope", "beam_coupling_nm_per_s")
        )
        self.height_nm = torch.full_like(self._exchange, ELECTRODE_NM)
        self.bottom_nm = torch.arange(COLUMNS, dtype=torch.float64, device=self.device) * COLUMN_NM + ORIGIN_NM
        self.x_nm = self.bottom_nm + COLUMN_NM / 2
        self.zinc = self._zinc[..., None].expand(-1, COLUMNS, COLUMNS).clone()
        self.bias_V, self.set_point_V = torch.zeros_like(self._zinc), 0.0
        self._supply = torch.zeros_like(self._zinc)
        self.radicals = Radicals(len(seeds), EXTENT_NM + 2 * MARGIN_NM, TICK_S, self.device)
        self._reference = float(velocity_nm_per_s(*torch.tensor([EXCHANGE_NM_PER_S, REFERENCE_V], dtype=torch.float64)))

    def _column(self, name: str) -> Tensor:
        values = [getattr(each, name) for each in self.draws]
        return torch.tensor(values, dtype=torch.float64, device=self.device)[:, None]

    def advance_to(self, clock_s: float) -> None:
        """Run whole ticks up to a time on the specimen's clock."""
        while self.clock_s + TICK_S <= clock_s + 1e-9:
            self._tick()

    def expose(self, world: int, box_nm: Box, electrons: float) -> None:
        """Spread electrons evenly over a box of one world during the running tick."""
        self.radicals.expose(world, box_nm, electrons)

    def _tick(self) -> None:
        noise = self._noise()
        self.bias_V += (self.set_point_V - self.bias_V) * -math.expm1(-TICK_S / self.lag_s)
        keep = math.exp(-TICK_S / SUPPLY_S)
        self._supply = keep * self._supply + SUPPLY_SD * math.sqrt(1 - keep**2) * noise[:, :1]
        velocity = velocity_nm_per_s(self._exchange * self._supply.exp(), self.bias_V)
        plated = velocity * self.activity * TICK_S
        self._spread(velocity)
        self.radicals.tick()
        grown = self.height_nm + plated + SMOOTHING_NM2_PER_S * TICK_S * _curvature(self.height_nm)
        grown += (GRAIN_NM2 / COLUMN_NM * plated.abs()).sqrt() * noise[:, 1:]
        radiolytic = torch.zeros_like(plated)
        if not self.radicals.quiet:
            radiolytic = self._coupling * TICK_S * self.radicals.at(self.x_nm.expand_as(plated), self.height_nm)
            grown += radiolytic
        # No more than a cell in a tick: the liquid has no more to give.
        rise = (grown.clamp(ELECTRODE_NM, HIGHEST_NM) - self.height_nm).clamp(max=COLUMN_NM)
        self._lay_down(rise, velocity, plated, radiolytic)
        self.height_nm = self.height_nm + rise
        self._ticks += 1
        self.clock_s = self._ticks * TICK_S

    def _spread(self, velocity: Tensor) -> None:
        drive = velocity.mean(dim=1, keepdim=True).clamp(min=0.0) / self._reference
        speed = (self._spreading * drive).clamp(max=FASTEST_SPREAD_NM_PER_S)
        grown = torch.exp(speed / (2 * SPREAD_NM) * TICK_S)
        active = self.activity * grown / (1 + self.activity * (grown - 1))
        self.activity = active + speed * SPREAD_NM / 2 * TICK_S * _curvature(active)

    def _lay_down(self, rise: Tensor, velocity: Tensor, plated: Tensor, radiolytic: Tensor) -> None:
        """Note what the metal of this tick consists of, in the cell where the front was and in the one above."""
        share = plated.clamp(min=0.0) / (plated.clamp(min=0.0) + radiolytic).clamp(min=1e-300)
        zinc = self._zinc + self._slope * (velocity.clamp(min=1e-3) / ZINC_NM_PER_S).log()
        zinc = zinc.clamp(0.0, MOST_ZINC) * share
        above = (self.height_nm - ORIGIN_NM) / COLUMN_NM
        row = above.long()
        full = above - row
        added = torch.minimum(rise.clamp(min=0.0) / COLUMN_NM, 1 - full)
        here = self.zinc.gather(1, row[:, None])[:, 0]
        mixed = torch.where(added > 0, (here * full + zinc * added) / (full + added).clamp(min=1e-300), here)
        self.zinc.scatter_(1, row[:, None], mixed[:, None])
        # Ahead of the front too, so that what is interpolated between cells at the front is what grows there.
        self.zinc.scatter_(1, row[:, None] + 1, torch.where(added > 0, zinc, mixed)[:, None])

    def _noise(self) -> Tensor:
        """Standard normal numbers of this tick, (B, 1 + N): the first for the supply."""
        block, place = divmod(self._ticks, BLOCK)
        if place == 0:
            drawn = [np.random.default_rng([s, 32, block]).standard_normal((BLOCK, 1 + COLUMNS)) for s in self.seeds]
            self._normals = torch.from_numpy(np.stack(drawn, axis=1)).to(self.device)
        return self._normals[place]


def _curvature(values: Tensor) -> Tensor:
    """Second derivative along the last axis, which closes on itself, per nm^2."""
    return (torch.roll(values, 1, -1) - 2 * values + torch.roll(values, -1, -1)) / COLUMN_NM**2
