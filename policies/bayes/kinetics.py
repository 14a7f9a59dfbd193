"""What is known of growth rate and beam coupling, and what it will be after a last look at all cells.

Squared radii grow about as K (t + kappa X), X the exposure of the cell in seconds at unit radical level. Every look at
a cell is a measurement of the mean squared radius of its particles, which start from an unknown value: only differences
within a cell tell. The Fisher information on (K, K kappa) is the sum over cells of the weighted scatter of (t, X), so
the rate asks for looks far apart in time and the coupling for cells exposed differently: to learn how the beam acts,
one has to let it act. An exposure pays only when the cell is seen again; a last look at every cell when the run ends is
therefore taken for granted, and what is worth something is what the constants gain by then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardware_bridge.report import Card
from policies.bayes.kernel import Array

RATE, COUPLING = "growth_rate", "beam_coupling"
# Errors of radii as shares of the radius: what all particles of an image share (focus, current, background), and what
# each has for itself (no ball, merged, mistaken for another).
IMAGE_SHARE, PARTICLE_SHARE = 0.04, 0.12


@dataclass(frozen=True)
class Looks:
    """Looks at cells, broadcasting together: time and exposure in s, weight (one over the variance of r^2, nm^-4)."""

    t_s: Array
    exposure_s: Array
    weight: Array

    def sums(self) -> Array:
        """Weighted moments (..., 6): 1, t, X, tt, tX, XX."""
        t, x, w = np.broadcast_arrays(self.t_s, self.exposure_s, self.weight)
        return np.stack([w, w * t, w * x, w * t * t, w * t * x, w * x * x], axis=-1)


def weight(count: Array, radius_nm: Array, radius_sd_nm: Array) -> Array:
    """Weight of a look at cells with so many particles of such a radius, each measured with radius_sd_nm.

    Cells that probably hold less than one particle have none: what a lucky look would tell must not be averaged in.
    """
    n = np.maximum(count, 1.0)
    own = (radius_sd_nm**2 + (PARTICLE_SHARE * radius_nm) ** 2) / n
    var = (2.0 * radius_nm) ** 2 * (own + (IMAGE_SHARE * radius_nm) ** 2) + 1.0
    return np.where(count >= 1.0, 1.0 / var, 0.0)


class Kinetics:
    """The looks that were had at every cell, in sums, and the constants' standard deviations that follow from them."""

    def __init__(self, card: Card) -> None:
        self.end_s = card.duration_s
        self.targets = {t.name: t for t in card.targets if t.name in (RATE, COUPLING)}
        self._sums = np.zeros((card.cells**2, 6))

    @property
    def asked(self) -> bool:
        """Whether the world asks for both constants; nothing is predicted otherwise."""
        return len(self.targets) == 2

    def look(self, cells: NDArray[np.intp], looks: Looks) -> None:
        """Count a look at some cells."""
        self._sums[cells] += looks.sums()

    def sds(self, last: Looks) -> Array:
        """Standard deviations (2,) of rate and coupling after a last look at all cells, (N,) each."""
        return self._sds(self._information(self._sums + last.sums()).sum(axis=0))

    def sds_after(self, cells: NDArray[np.intp], look: Looks, last: Looks, then: Looks) -> Array:
        """The same, (c, 2), for candidates that look at cells (c, k) first; ``then`` is their last look, (c, k)."""
        without = self._information(self._sums + last.sums())
        with_it = self._information(self._sums[cells] + look.sums() + then.sums())
        return self._sds(without.sum(axis=0) + (with_it - without[cells]).sum(axis=1))

    def _information(self, sums: Array) -> Array:
        """Fisher information (..., 2, 2) on (K, K kappa) from weighted moments (..., 6), starts unknown."""
        w, t, x, tt, tx, xx = np.moveaxis(sums, -1, 0)
        w = np.maximum(w, 1e-300)
        cross = tx - t * x / w
        rows = [np.stack([tt - t * t / w, cross], axis=-1), np.stack([cross, xx - x * x / w], axis=-1)]
        return np.stack(rows, axis=-2)

    def _sds(self, information: Array) -> Array:
        rate, coupling = self.targets[RATE], self.targets[COUPLING]
        k, kappa = rate.prior_mean[0], coupling.prior_mean[0]
        by_constants = np.array([[1.0, 0.0], [kappa, k]])
        precision = by_constants.T @ information @ by_constants
        precision = precision + np.diag([rate.prior_sd[0] ** -2.0, coupling.prior_sd[0] ** -2.0])
        return np.asarray(np.sqrt(np.diagonal(np.linalg.inv(precision), axis1=-2, axis2=-1)))
