"""The reporter's belief about hundreds of worlds at once, made small: for training, where each look must be cheap.

Values of a world are written z_c = A_c s + e_c: what all cells have in common in a few latent values s, and what a cell
c has of its own, cells being independent given s. A reading is of one cell, so that this stays true after any number
of them, and taking one in costs next to nothing. What the few latent values leave out are correlations between cells
that are neither world-wide nor of the largest scale. Shapes: W worlds, C cells, B values of a cell (field by field its
times, then the common errors of each), S latent values, G globals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from agent.perception.ensemble import Prior

LEAST_VAR = 1e-6


@dataclass(frozen=True)
class Small:
    """A prior made small; standardised as ``Prior`` is, in float32.

    ``shared`` (C, B, S), ``own`` (C, B, B), ``shared_globals`` (G, S), ``own_globals`` (G,) var, ``sd`` and ``mean``
    (C, B) and of globals (G,), ``worth`` (C, B) and (G,): what a standardised sd costs the score. ``times_s`` (T,),
    ``bend_var`` (F, T - 1), ``low`` and ``high`` (F,).
    """

    shared: torch.Tensor
    own: torch.Tensor
    shared_globals: torch.Tensor
    own_globals: torch.Tensor
    mean: torch.Tensor
    sd: torch.Tensor
    mean_globals: torch.Tensor
    sd_globals: torch.Tensor
    worth: torch.Tensor
    worth_globals: torch.Tensor
    times_s: torch.Tensor
    bend_var: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    common_var: torch.Tensor

    @property
    def fields(self) -> int:
        """How many fields there are."""
        return len(self.low)

    @property
    def times(self) -> int:
        """How many times each field is known at, the start among them."""
        return len(self.times_s)

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return len(self.shared)

    @classmethod
    def of(cls, prior: Prior, latent: int) -> Small:
        """A prior with so many latent values: those that explain most of its correlations."""
        cells, fields, times = prior.card.cells**2, len(prior.fields), len(prior.times_s)
        block, constants = fields * times, len(prior.globals)
        # Errors of compared globals stand last, and are left out: percepts here have none.
        kept = np.arange(prior.size + fields * cells)
        correlation = prior.correlation[np.ix_(kept, kept)].astype(np.float64)
        values, vectors = np.linalg.eigh(correlation)
        order = np.argsort(values)[::-1][:latent]
        loads = vectors[:, order] * np.sqrt(np.maximum(values[order], 0.0))
        rest = correlation - loads @ loads.T
        value = np.arange(block * cells).reshape(block, cells)
        errors = prior.size + np.arange(fields * cells).reshape(fields, cells)
        common = np.diag(correlation)[errors].mean(axis=1)
        # Where no errors are in common, nothing is kept of them: it would only make every look dearer.
        places = (np.concatenate([value, errors]) if common.any() else value).T
        own = np.stack([rest[np.ix_(row, row)] for row in places])
        at_globals = np.arange(block * cells, prior.size)
        worth, worth_globals = np.zeros(places.shape), np.zeros(constants)
        for n, target in enumerate(prior.fields):
            worth[:, n * times + 1 : (n + 1) * times] = target.weight / target.crps_scale
        for n, target in enumerate(prior.globals):
            worth_globals[n] = target.weight / target.crps_scale
        sd = prior.sd[places]
        made = (
            loads[places],
            own,
            loads[at_globals],
            np.maximum(np.diag(rest)[at_globals], 0.0),
            prior.mean[places],
            sd,
            prior.mean[at_globals],
            prior.sd[at_globals],
            worth * sd,
            worth_globals * prior.sd[at_globals],
            np.array(prior.times_s),
            prior.bend_sd**2,
            prior.low,
            prior.high,
            common,
        )
        return cls(*(torch.from_numpy(np.ascontiguousarray(each, dtype=np.float32)) for each in made))


@dataclass
class Readings:
    """What W worlds are told at once, m readings each: cell and field (W, m), value and sd (W, m) in the field's unit.

    A reading with an sd that has no end tells nothing. ``at_s`` (W,) is when.
    """

    cell: torch.Tensor
    field: torch.Tensor
    value: torch.Tensor
    sd: torch.Tensor
    at_s: torch.Tensor


class Beliefs:
    """Gaussians over the values of W worlds: s has mean (W, S) and covariance (W, S, S), e_c mean and covariance."""

    def __init__(self, small: Small, worlds: int) -> None:
        self.small = small
        self.shared = small.shared.repeat(worlds, 1, 1, 1)
        self.own = small.own.repeat(worlds, 1, 1, 1)
        self.own_mean = torch.zeros(worlds, *small.sd.shape)
        latent = small.shared.shape[-1]
        self.mean, self.cov = torch.zeros(worlds, latent), torch.eye(latent).repeat(worlds, 1, 1)
        self._each = torch.arange(worlds)

    def restart(self, which: torch.Tensor) -> None:
        """Forget what was seen in some worlds (n,)."""
        self.shared[which], self.own[which] = self.small.shared, self.small.own
        self.own_mean[which], self.mean[which] = 0.0, 0.0
        self.cov[which] = torch.eye(self.cov.shape[-1])

    def line(self, at_s: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Between which times moments (W,) lie: the later one, the share of the way to it, and the bend (W,)."""
        times = self.small.times_s
        at = at_s.clamp(times[0].item(), times[-1].item())
        after = torch.searchsorted(times, at).clamp(1, len(times) - 1)
        share = (at - times[after - 1]) / (times[after] - times[after - 1])
        return after, share, 4 * share * (1 - share)

    def take(self, told: Readings) -> torch.Tensor:
        """Take in readings one after the other; returns how surprising each was, in standard deviations (W, m)."""
        after, share, bent = self.line(told.at_s)
        surprise = [
            self._one(told.cell[:, n], told.field[:, n], told.value[:, n], told.sd[:, n], (after, share, bent))
            for n in range(told.cell.shape[1])
        ]
        return torch.stack(surprise, dim=1)

    def _one(
        self,
        cell: torch.Tensor,
        field: torch.Tensor,
        value: torch.Tensor,
        sd: torch.Tensor,
        moment: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    ) -> torch.Tensor:
        """One reading of each world, (W,)."""
        small, each, (after, share, bent) = self.small, self._each, moment
        known = torch.isfinite(sd)
        sd, value = (torch.where(known, each, torch.ones_like(each)) for each in (sd, value))
        last = field * small.times + after
        picks = torch.stack([last - 1, last], dim=1)
        on_line = torch.stack([1 - share, share], dim=1)
        weights, expected = (on_line * table[cell[:, None], picks] for table in (small.sd, small.mean))
        if self.own.shape[-1] > small.fields * small.times:
            picks = torch.cat([picks, (small.fields * small.times + field)[:, None]], dim=1)
            weights = torch.cat([weights, sd[:, None]], dim=1)
        common = small.common_var[field]
        noise = sd**2 * (1 - common) + (bent * small.bend_var[field, after - 1].sqrt()) ** 2
        shared, own = self.shared[each, cell], self.own[each, cell]
        # What the reading has of the latent values (W, S), and of the cell's own (W, B).
        of_latent = (weights[:, :, None] * torch.gather(shared, 1, _wide(picks, shared))).sum(dim=1)
        of_own = (weights[:, :, None] * torch.gather(own, 1, _wide(picks, own))).sum(dim=1)
        in_own = (weights * torch.gather(of_own, 1, picks)).sum(dim=1) + noise
        own_mean = self.own_mean[each, cell]
        left = value - expected.sum(dim=1) - (weights * torch.gather(own_mean, 1, picks)).sum(dim=1)
        gain = of_own / in_own[:, None] * known[:, None]
        of_cov = (self.cov @ of_latent[:, :, None])[:, :, 0]
        whole = (of_latent * of_cov).sum(dim=1) + in_own
        told = left - (of_latent * self.mean).sum(dim=1)
        self.own_mean[each, cell] = own_mean + gain * left[:, None]
        self.shared[each, cell] = shared - gain[:, :, None] * of_latent[:, None, :]
        self.own[each, cell] = own - gain[:, :, None] * of_own[:, None, :]
        step = of_cov / whole[:, None] * known[:, None]
        self.mean += step * told[:, None]
        self.cov -= step[:, :, None] * of_cov[:, None, :]
        return torch.where(known, told / whole.sqrt(), torch.zeros_like(told))

    def values(self) -> Values:
        """Means and variances of all values."""
        shape = self.shared.shape
        flat = self.shared.reshape(shape[0], -1, shape[-1])
        spread = torch.bmm(flat, self.cov).reshape(shape)
        var = (spread * self.shared).sum(dim=-1) + torch.diagonal(self.own, dim1=-2, dim2=-1)
        mean = torch.bmm(flat, self.mean[:, :, None]).reshape(shape[:-1]) + self.own_mean
        loads = self.small.shared_globals
        of_globals = loads @ self.cov
        return Values(
            mean=mean,
            var=var.clamp_min(LEAST_VAR),
            mean_globals=self.mean @ loads.T,
            var_globals=((of_globals * loads).sum(dim=-1) + self.small.own_globals).clamp_min(LEAST_VAR),
            spread=spread,
        )


@dataclass(frozen=True)
class Values:
    """Standardised means and variances (W, C, B) of cells and (W, G) of globals.

    ``spread`` (W, C, B, S) is what values have to do with the latent ones.
    """

    mean: torch.Tensor
    var: torch.Tensor
    mean_globals: torch.Tensor
    var_globals: torch.Tensor
    spread: torch.Tensor


def _wide(picks: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    return picks[:, :, None].expand(-1, -1, table.shape[-1])


def losses(mean: torch.Tensor, sd: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """CRPS of Gaussian claims, elementwise (Gneiting and Raftery, J. Am. Stat. Assoc. 102 (2007) 359, eq. 21)."""
    z = (truth - mean) / sd
    density = torch.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    return sd * (z * torch.erf(z / math.sqrt(2)) + 2 * density - 1 / math.sqrt(math.pi))
