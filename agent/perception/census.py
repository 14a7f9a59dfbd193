"""Cells counted: count, covered fraction and mean radius with the beam off, as far as tracks and looks tell them.

Every track is carried to the asked times by the growth law, from its sightings nearest in drive time. What no look
could have shown (born later, too small, outside all fields) is added as expected births, with their spread, at the
cell's own rate where births were counted and at the card's where not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from agent.perception.chronicle import Chronicle, Tracked
from agent.perception.kinetics import BIRTH_RADIUS_NM, COMMON_SHARE, Growth, driver_s
from agent.perception.scan import Array
from hardware_bridge.report import Card

# How far the law is trusted over a stretch of drive time: sd of the squared radius as a share of its growth.
LAW_SHARE = 0.15
# Part of births that still stand for themselves at the end; the others have merged.
STANDING_SHARE = 0.85
BIRTH = np.array(BIRTH_RADIUS_NM)
FIELDS = ("covered_fraction", "count", "mean_radius_nm")
DEFAULT_COUNT = (3.0, 2.3)
REAL_LEAST = 0.02
# Mergers that the beam brought forward, mix-ups of neighbours: share of what is counted, and of particles in a cell.
MIXED_SHARE, MIXED_COUNT_VAR = 0.08, 0.05
# Particles in a cell, at the end, that were in plain view and yet missed (confused with beads, misplaced fields).
OVERLOOKED_COUNT = 0.03
# And for each that was counted: neighbours hide one another or are taken for one, and what the beam merged early still
# stands alone with the beam off. Of particles 10 to 20 nm across in a cell of 256 nm some percent are so close.
CROWDED_SHARE = 0.04


@dataclass(frozen=True)
class Census:
    """Means and variances of each field, (times, cells), and the share of every cell that was looked at, (cells,)."""

    mean: dict[str, Array]
    var: dict[str, Array]
    seen: Array


@dataclass(frozen=True)
class _Carried:
    """Tracks at one time: chance to be there (n,), radius and sd in nm, and the share of each in every cell (n, C)."""

    there: Array
    radius: Array
    sd: Array
    centre: Array
    disc: Array


def take_census(chronicle: Chronicle, card: Card, growth: Growth) -> Census:
    """Count what there is in every cell at every asked time."""
    tracks = [t for t in chronicle.tracks.values() if t.real * t.trust > REAL_LEAST]
    births = _births(chronicle, card, growth, tracks)
    shares = [_shares(tracks, card, radius) for radius in (False, True)]
    mean: dict[str, list[Array]] = {name: [] for name in FIELDS}
    var: dict[str, list[Array]] = {name: [] for name in FIELDS}
    for time_s in card.times_s:
        target = float(driver_s(time_s))
        carried = _carry(tracks, target, growth, shares)
        counted = (carried.there[:, None] * carried.centre).sum(axis=0)
        unseen = _unseen(chronicle, target, growth, births, counted)
        for name, (m, v) in _fields(carried, unseen, card).items():
            mean[name].append(m)
            var[name].append(v)
    seen = np.isfinite(chronicle.chart.by_cell(chronicle.looked_driver_s)).mean(axis=1)
    return Census({n: np.array(m) for n, m in mean.items()}, {n: np.array(v) for n, v in var.items()}, seen)


def _carry(tracks: list[Tracked], target_s: float, growth: Growth, shares: list[Array]) -> _Carried:
    """Carry every track to a driver time with the beam off."""
    n = len(tracks)
    there, radius, sd = np.zeros(n), np.zeros(n), np.zeros(n)
    k, k_sd = growth.rate
    kappa, kappa_sd = growth.coupling
    for i, track in enumerate(tracks):
        h = track.history()
        ahead = target_s - (h.driver_s + kappa * h.radical_s)
        square = growth.square(h.radius_nm) + k * ahead
        wide = h.radius_nm + growth.reaction_nm
        own = (2.0 * wide * np.hypot(h.sd_nm, COMMON_SHARE * h.radius_nm)) ** 2
        var = own + (LAW_SHARE * k * ahead) ** 2 + 0.5
        weight = 1.0 / var
        value = float((weight * square).sum() / weight.sum())
        # Errors of the law are common to all sightings; those of single radii average out, but not without end.
        common = float((weight * (np.abs(ahead) * k_sd + k * kappa_sd * h.radical_s)).sum() / weight.sum())
        total = max(1.0 / float(weight.sum()), 0.1 * float(var.min())) + common**2
        spread = math.sqrt(total)
        born = float(ndtr((value - growth.square(BIRTH)) / spread))
        gone = 1.0 if target_s < track.ended_s else 0.0
        there[i] = born * gone * track.real * track.trust
        radius[i] = growth.radius_nm(np.array(value))
        sd[i] = min(spread / (2.0 * (radius[i] + growth.reaction_nm)), radius[i])
    return _Carried(there, radius, sd, shares[0], shares[1])


def _shares(tracks: list[Tracked], card: Card, with_radius: bool) -> Array:
    """Share of each track in each cell, (n, cells * cells): of its centre, or of its disc, blurred by its position."""
    edges = (np.arange(card.cells + 1) / card.cells - 0.5) * card.extent_nm
    if not tracks:
        return np.zeros((0, card.cells**2))
    place = np.array([(t.x_nm, t.y_nm, t.position_sd_nm, t.sightings[-1][2]) for t in tracks])
    # A disc seen from the side spreads by half its radius.
    blur = np.hypot(place[:, 2], 0.5 * place[:, 3] if with_radius else 0.0)
    along = [np.diff(ndtr((edges[None, :] - place[:, i, None]) / blur[:, None]), axis=1) for i in (0, 1)]
    return np.asarray((along[1][:, :, None] * along[0][:, None, :]).reshape(len(tracks), -1))


@dataclass(frozen=True)
class _Births:
    """Births per block and second of drive time in every cell: mean (cells,) and relative variance (cells,)."""

    rate: Array
    relative_var: Array


@dataclass(frozen=True)
class _Unseen:
    """Births that no look has shown: expected number (cells,), its variance from the rate, and their squared radius."""

    number: Array
    rate_var: Array
    mean_square_nm2: Array


def _births(chronicle: Chronicle, card: Card, growth: Growth, tracks: list[Tracked]) -> _Births:
    """How often particles are born in each cell: a gamma prior that has the card's moments, and what was counted."""
    target = next((t for t in card.targets if t.name == "count"), None)
    cells = card.cells**2
    mean, sd = (target.prior_mean[-1], target.prior_sd[-1]) if target else DEFAULT_COUNT
    whole = float(driver_s(card.times_s[-1]))
    shape = mean**2 / max(sd**2 - mean, 0.25 * mean)
    looked = _looked_s(chronicle, growth)
    blocks = looked.shape[1]
    exposure = np.maximum(looked, 0.0).sum(axis=1) / (blocks * whole)
    counted = np.zeros(cells)
    if tracks:
        sure = np.array([t.real * t.trust for t in tracks])
        counted = (sure[:, None] * _shares(tracks, card, False)).sum(axis=0)
    posterior_shape, posterior_rate = shape + counted, shape / mean + exposure
    return _Births(posterior_shape / posterior_rate / (blocks * whole), 1.0 / posterior_shape)


def _looked_s(chronicle: Chronicle, growth: Growth) -> Array:
    """Drive time up to which births were seen in every block, (cells, blocks); minus infinity where none was."""
    by_cell = chronicle.chart.by_cell
    drive = by_cell(chronicle.looked_driver_s) + growth.coupling[0] * by_cell(chronicle.looked_radical_s)
    missing = growth.square(by_cell(chronicle.limit_nm)) - growth.square(BIRTH)
    return np.asarray(drive - np.maximum(missing, 0.0) / growth.rate[0])


def _unseen(chronicle: Chronicle, target_s: float, growth: Growth, births: _Births, counted: Array) -> _Unseen:
    """Births up to a driver time that the looks had no chance to show, or did not show among those counted (cells,)."""
    waited = np.clip(target_s - np.maximum(_looked_s(chronicle, growth), 0.0), 0.0, None)
    total = waited.sum(axis=1)
    standing = 1.0 - (1.0 - STANDING_SHARE) * target_s / 600.0
    expected = births.rate * total * standing
    overlooked = OVERLOOKED_COUNT * target_s / 600.0 + CROWDED_SHARE * counted
    grown = (_mean_square(waited, growth) * waited).sum(axis=1) / np.maximum(total, 1e-9)
    number = expected + overlooked
    mean_square = (expected * grown + overlooked * _mean_square(np.array(target_s), growth)) / number
    return _Unseen(number, expected**2 * births.relative_var, mean_square)


def _mean_square(waited_s: Array, growth: Growth) -> Array:
    """Mean squared radius in nm^2 of particles born evenly over such times of drive.

    With u = (r + a)^2, which is evenly spread then, the mean of (u^(1/2) - a)^2 by the two points of Gauss.
    """
    start, way = growth.square(BIRTH), growth.rate[0] * waited_s
    points = [start + (0.5 + side * math.sqrt(1.0 / 12.0)) * way for side in (-1.0, 1.0)]
    return np.asarray(sum(growth.radius_nm(u) ** 2 for u in points) / 2.0)


def _fields(carried: _Carried, unseen: _Unseen, card: Card) -> dict[str, tuple[Array, Array]]:
    """Mean and variance of each field in each cell at one time."""
    area = (card.extent_nm / card.cells) ** 2
    inside = carried.there[:, None] * carried.centre
    number = inside.sum(axis=0)
    count = number + unseen.number
    count_var = (inside * (1.0 - inside)).sum(axis=0) + unseen.number + unseen.rate_var
    disc = math.pi * carried.radius**2 / area
    covered = (carried.there[:, None] * carried.disc * disc[:, None]).sum(axis=0)
    new_disc = math.pi * unseen.mean_square_nm2 / area
    doubt = carried.there * (1.0 - carried.there) + carried.there * (2.0 * carried.sd / carried.radius) ** 2
    edge = carried.disc * (1.0 - carried.disc) * 0.25
    covered_var = ((doubt[:, None] * carried.disc**2 + carried.there[:, None] * edge) * disc[:, None] ** 2).sum(axis=0)
    # Squares of evenly spread squared radii: 4/3 of the square of their mean.
    covered_var += new_disc**2 * (4.0 / 3.0 * unseen.number + unseen.rate_var)
    covered_var += ((2.0 * COMMON_SHARE + MIXED_SHARE) * covered) ** 2
    return {
        "count": (count, count_var + MIXED_COUNT_VAR + (MIXED_SHARE * count) ** 2),
        "covered_fraction": (covered + unseen.number * new_disc, covered_var + MIXED_COUNT_VAR * new_disc**2 + 1e-8),
        "mean_radius_nm": _mean_radius(carried, inside, unseen, count),
    }


def _mean_radius(carried: _Carried, inside: Array, unseen: _Unseen, count: Array) -> tuple[Array, Array]:
    """Mean radius of a cell's particles, 0 if there is none: moments of that mixture."""
    total = np.maximum(count, 1e-9)
    # Of squared radii spread evenly up to twice their mean, the mean of the root.
    new = 2.0 / 3.0 * np.sqrt(2.0 * unseen.mean_square_nm2)
    mean = ((inside * carried.radius[:, None]).sum(axis=0) + unseen.number * new) / total
    apart = carried.radius[:, None] - mean[None, :]
    var = (inside * (1.0 - inside) * apart**2 + inside**2 * carried.sd[:, None] ** 2).sum(axis=0)
    var += unseen.number * ((new - mean) ** 2 + 0.125 * new**2)
    var = var / np.maximum(total, 0.7) ** 2 + ((COMMON_SHARE + 0.5 * MIXED_SHARE) * mean) ** 2
    empty = np.exp(np.log1p(-np.minimum(inside, 1.0 - 1e-6)).sum(axis=0) - unseen.number)
    return (1.0 - empty) * mean, (1.0 - empty) * var + empty * (1.0 - empty) * mean**2 + 0.01
