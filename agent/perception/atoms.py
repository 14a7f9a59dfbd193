"""How many atoms of which kinds a spectrum was fitted with, with their covariance; and shares of two kinds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from hardware_bridge.report import Estimate

Array = NDArray[np.float64]

# Shares that are weighed: sin^2 of even angles are equally likely, as Jeffreys has it, and so often it is all or none.
SHARES = np.sin(0.5 * np.pi * np.linspace(0.0, 1.0, 201)) ** 2
ALL_OR_NONE = 0.5
WEIGHTS = np.full(SHARES.size, (1.0 - ALL_OR_NONE) / (SHARES.size - 2))
WEIGHTS[[0, -1]] = ALL_OR_NONE / 2


@dataclass(frozen=True)
class Core:
    """Atoms per nm^2 of one kind, and the reduced chi-square of the fit of all."""

    per_nm2: Estimate
    misfit: float


@dataclass(frozen=True)
class Atoms:
    """Atoms per nm^2 of each kind, (K,), their covariance (K, K), and the reduced chi-square of the fit.

    They may be fewer than none, by as much as noise has it, so that means over many spectra are right.
    """

    names: tuple[str, ...]
    per_nm2: Array
    cov: Array
    misfit: float

    def get(self, name: str) -> Core | None:
        """One kind; None where it was not fitted."""
        if name not in self.names:
            return None
        at = self.names.index(name)
        sd = math.sqrt(float(self.cov[at, at]))
        return Core(per_nm2=Estimate(value=float(self.per_nm2[at]), sd=sd), misfit=self.misfit)

    def told(self, name: str) -> Estimate:
        """Atoms of one kind as they are told of one spectrum: never fewer than none."""
        at = self.names.index(name)
        return Estimate(value=max(float(self.per_nm2[at]), 0.0), sd=math.sqrt(float(self.cov[at, at])))

    def share(self, one: str, other: str) -> Estimate:
        """The share of one kind of atom among two: with few counts one half, give or take 0.43.

        Mean and sd of the share s where s N and (1 - s) N atoms explain the fit, all N > 0 being as likely. Of the s
        half are all or none beforehand: what is converted is mostly so throughout, or not yet.

        Raises:
            ValueError: one of them was not fitted.
        """
        at = [self.names.index(one), self.names.index(other)]
        inverse = np.linalg.inv(self.cov[np.ix_(at, at)])
        along = np.stack([SHARES, 1.0 - SHARES])
        # Of ln likelihood as a quadratic in N: its curvature, and where its top lies.
        curved = np.einsum("is,ij,js->s", along, inverse, along)
        pull = along.T @ inverse @ self.per_nm2[at]
        top = pull / np.sqrt(curved)
        ln = 0.5 * top**2 - 0.5 * np.log(curved) + np.log(np.maximum(ndtr(top), 1e-300))
        weight = WEIGHTS * np.exp(ln - ln.max())
        weight /= weight.sum()
        mean = float(weight @ SHARES)
        return Estimate(value=mean, sd=math.sqrt(float(weight @ (SHARES - mean) ** 2)))
