"""What an ensemble of worlds says of one that was not seen yet: a Gaussian over all its targets, in units of their sd.

The values of a world stand in one row: its fields at the start and at the asked times, (field, time, cell), then its
globals, then for each field or global that is read, and each cell, the error that its readings there have in common.
Correlations are those of the ensemble, averaged over all pairs of cells that are as far apart (and in the same rows,
where rows are not alike), which makes of 200 worlds enough to tell them; globals follow from the fields' means over all
cells, as far as they do.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardware_bridge.report import Card, Estimate, Target

Array = NDArray[np.float64]
Single = NDArray[np.float32]

LEAST_VAR = 1e-4
"""Least eigenvalue kept of the correlations, which averages over pairs of cells can make negative."""

RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)
"""Shares of the largest variance of means by which regressions to globals are held."""


@dataclass(frozen=True)
class Kept:
    """What the errors of the readings of one field, or global, have in common: shares of their variance.

    ``cell`` with other readings of the same cell, ``world`` with those of any cell.
    """

    cell: float
    world: float


@dataclass(frozen=True)
class Row:
    """One reading: the sum of standardised values at ``places`` (3,), times ``weights`` (3,), and an error of its own.

    ``value`` counts from what the prior expects; it and ``var`` of the error are in units of the largest sd there is.
    """

    places: NDArray[np.intp]
    weights: Array
    var: float
    value: float


@dataclass(frozen=True)
class Prior:
    """A Gaussian over the D values of a world: ``mean`` and ``sd`` (D,) in the targets' units, ``correlation`` (D, D).

    ``bend_sd`` (fields, times) is how far a field is off the line between two of its times half-way between them, in
    its unit. ``low`` and ``high`` (fields,) are the extremes that the ensemble holds. ``compared`` are the globals of
    which there are readings.
    """

    card: Card
    fields: tuple[Target, ...]
    globals: tuple[Target, ...]
    times_s: tuple[float, ...]
    mean: Array
    sd: Array
    correlation: Single
    bend_sd: Array
    low: Array
    high: Array
    compared: tuple[str, ...]

    @classmethod
    def of(cls, card: Card, ensemble: Mapping[str, Array], kept: Mapping[str, Kept]) -> Prior:
        """The prior of a card with its ensemble: fields (seeds, times, cells^2), the start first, and globals (seeds,).

        At the asked times its mean and sd are the card's own. A field without an entry in ``kept`` has errors that are
        new at every reading.
        """
        fields = tuple(target for target in card.targets if target.kind == "field")
        constants = tuple(target for target in card.targets if target.kind == "global")
        values = [ensemble[target.name] for target in fields]
        means, sds = zip(*(_moments(target, part) for target, part in zip(fields, values, strict=True)), strict=True)
        z = np.stack([(v - m) / np.where(s > 0, s, 1.0) for v, m, s in zip(values, means, sds, strict=True)], axis=1)
        told = np.array([ensemble[target.name] for target in constants]).reshape(len(constants), len(z)).T
        own = (told - told.mean(axis=0)) / np.where(told.std(axis=0) > 0, told.std(axis=0), 1.0)
        alike = all(np.ptp(np.asarray(m), axis=1).max() < 1e-9 * np.abs(m).max() + 1e-12 for m in means)
        compared = tuple(target.name for target in constants if target.name in kept)
        shares = [kept.get(name, Kept(0, 0)) for name in (*(t.name for t in fields), *compared)]
        errors = np.ones(len(shares) * card.cells**2)
        return cls(
            card=card,
            fields=fields,
            globals=constants,
            times_s=(0.0, *card.times_s),
            mean=np.concatenate([*map(np.ravel, means), *(t.prior_mean for t in constants), 0 * errors]),
            sd=np.concatenate([*map(np.ravel, sds), *(t.prior_sd for t in constants), errors]),
            correlation=_correlation(z, own, card.cells, alike, shares),
            bend_sd=np.array([_bend_sd(part) for part in values]),
            low=np.array([part.min() for part in values]),
            high=np.array([part.max() for part in values]),
            compared=compared,
        )

    @property
    def size(self) -> int:
        """How many values stand in front of the errors."""
        return len(self.mean) - (len(self.fields) + len(self.compared)) * self.card.cells**2

    def place(self, field: int, time: int, cell: int) -> int:
        """Where a value of a field stands."""
        return (field * len(self.times_s) + time) * self.card.cells**2 + cell

    def row(self, field: int, cell: int, time_s: float, estimate: Estimate) -> Row:
        """What a reading of a field with its whole error measures."""
        rows = self.rows(field, np.array([cell]), time_s, np.array([estimate.value]), estimate.sd)
        places, weights, var, value = (each[0] for each in rows)
        return Row(places=places, weights=weights, var=float(var), value=float(value))

    def rows(
        self, field: int, cells: NDArray[np.intp], time_s: float, values: Array, sd: float
    ) -> tuple[NDArray[np.intp], Array, Array, Array]:
        """What readings of a field in cells (n,), of one sd, measure: places and weights (n, 3), var and value (n,).

        Between two times a field is on the line between them, give or take how much it bends.
        """
        at = min(max(time_s, self.times_s[0]), self.times_s[-1])
        after = min(max(bisect_left(self.times_s, at), 1), len(self.times_s) - 1)
        share = (at - self.times_s[after - 1]) / (self.times_s[after] - self.times_s[after - 1])
        before, apart = self.place(field, after - 1, 0), self.card.cells**2
        places = cells[:, None] + np.array([before, before + apart, self.size + field * apart])
        line, spread = np.array([1 - share, share]), self.sd[places[:, :2]]
        unit = np.maximum(spread.max(axis=1), max(sd, 1e-12))
        common = self.correlation[places[:, 2], places[:, 2]]
        bend = 4 * share * (1 - share) * self.bend_sd[field, after - 1]
        return (
            places,
            np.column_stack([line * spread, np.full(len(cells), sd)]) / unit[:, None],
            (sd**2 * (1 - common.astype(np.float64)) + bend**2) / unit**2,
            (values - self.mean[places[:, :2]] @ line) / unit,
        )

    def row_of_global(self, name: str, cell: int, estimate: Estimate) -> Row:
        """What a reading of a compared global at some cell measures, with its whole error."""
        constants, cells = [target.name for target in self.globals], self.card.cells**2
        place = self.size - len(constants) + constants.index(name)
        error = self.size + (len(self.fields) + self.compared.index(name)) * cells + cell
        unit = max(float(self.sd[place]), estimate.sd)
        return Row(
            places=np.array([place, place, error]),
            weights=np.array([self.sd[place], 0.0, estimate.sd]) / unit,
            var=estimate.sd**2 * (1 - float(self.correlation[error, error])) / unit**2,
            value=(estimate.value - float(self.mean[place])) / unit,
        )


def _moments(target: Target, values: Array) -> tuple[Array, Array]:
    """Mean and sd (times, cells^2) of a field: the card's, and at the start the ensemble's."""
    asked = (values.shape[1] - 1, values.shape[2])
    mean, sd = np.reshape(target.prior_mean, asked), np.reshape(target.prior_sd, asked)
    start = values[:, :1]
    return (
        np.concatenate([np.broadcast_to(start.mean(), (1, asked[1])), mean]),
        np.concatenate([np.broadcast_to(start.std(), (1, asked[1])), sd]),
    )


def _correlation(z: Array, own: Array, cells: int, alike: bool, kept: Sequence[Kept]) -> Single:
    """Correlations (D, D) from standardised fields z (seeds, fields, times, cells^2) and globals (seeds, globals)."""
    seeds, layers = len(z), z.shape[1] * z.shape[2]
    flat = z.reshape(seeds, -1)
    place = np.arange(cells**2)
    row, column = np.divmod(place, cells)
    aside = np.abs(column[:, None] - column)
    kind = aside + cells * (np.abs(row[:, None] - row) if alike else row[:, None] * cells + row)
    pairs = (flat.T @ flat / seeds).reshape(layers, cells**2, layers, cells**2).swapaxes(1, 2)
    group = np.bincount(kind.ravel())
    averaged = np.zeros_like(pairs)
    for a in range(layers):
        for b in range(layers):
            sums = np.bincount(kind.ravel(), pairs[a, b].ravel(), len(group))
            averaged[a, b] = (sums / np.maximum(group, 1))[kind]
    fields = averaged.swapaxes(1, 2).reshape(layers * cells**2, -1)
    means = flat.reshape(seeds, layers, -1).mean(axis=2)
    told = _slopes(means, own) @ fields.reshape(layers, cells**2, -1).mean(axis=1)
    whole = np.block([[fields, told.T], [told, np.eye(len(told))]])
    values, vectors = np.linalg.eigh((whole + whole.T) / 2)
    whole = (vectors * np.maximum(values, LEAST_VAR)) @ vectors.T
    scale = np.sqrt(np.diag(whole))
    errors = np.zeros((len(kept) * cells**2, len(kept) * cells**2))
    for n, each in enumerate(kept):
        block = slice(n * cells**2, (n + 1) * cells**2)
        errors[block, block] = each.world + (each.cell - each.world) * np.eye(cells**2)
    none = np.zeros((len(whole), len(errors)))
    return np.block([[whole / scale / scale[:, None], none], [none.T, errors]]).astype(np.float32)


def _bend_sd(values: Array) -> Array:
    """How far values (seeds, times, cells) are off the line between two times half-way, (times - 1,): rms.

    For a parabola an eighth of the second difference; its mean over both ends of the interval.
    """
    second = np.sqrt(((values[:, 2:] - 2 * values[:, 1:-1] + values[:, :-2]) ** 2).mean(axis=(0, 2))) / 8
    return np.asarray((np.concatenate([second[:1], second]) + np.concatenate([second, second[-1:]])) / 2)


def _slopes(means: Array, own: Array) -> Array:
    """How globals (seeds, G) follow from the means of fields over all cells (seeds, layers): (G, layers).

    Ridge regressions, each with the ridge that tells seeds best that it has not seen (by leaving one out in closed
    form), or none that does: a global is a sum of means and of what no field tells. Regressions to all values of all
    cells would take what hangs together by chance in an ensemble for what it is.
    """
    centred = means - means.mean(axis=0)
    left, spread, right = np.linalg.svd(centred, full_matrices=False)
    found, best = np.zeros((own.shape[1], means.shape[1])), np.full(own.shape[1], math.inf)
    for ridge in RIDGES:
        weight = spread**2 / (spread**2 + ridge * spread[0] ** 2)
        leverage = (left**2 * weight).sum(axis=1) + 1 / len(own)
        misfit = (((own - left * weight @ (left.T @ own)) / (1 - leverage)[:, None]) ** 2).mean(axis=0)
        slopes = (right.T * (weight / np.maximum(spread, 1e-12)) @ (left.T @ own)).T
        better = misfit < best
        found[better], best[better] = slopes[better], misfit[better]
    return np.where(best[:, None] < 1.0, found, 0.0)
