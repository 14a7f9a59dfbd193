"""What spectra of a world's specimens usually say, learned from others of them, put together with what one says.

What is usual is a cloud of places of other specimens: thickness and atoms of each kind at each. A spectrum's fit weighs
these by how well they explain it, and moves each towards itself (a density of Gaussian kernels, conditioned exactly).
At low counts most of what is told of rare kinds comes from the cloud: that windows are equally thick everywhere, that
what is thick holds more of everything, that iron is mostly of one valence or the other. As counts grow the fit alone
is left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.perception.atoms import Atoms
from hardware_bridge.report import Estimate

Array = NDArray[np.float64]

FOLDER = Path(__file__).parent / "weights"
THICKNESS = "t_over_lambda"
KERNEL = 0.06
"""Width of a kernel along every direction, as a share of the cloud's."""

SURE_SHARE = 0.002
"""And along every axis at least this share of the mean: nothing is taken to be alike everywhere to more."""

LEAST_ATOMS = 1.0
"""Of two kinds together, where a share of them is told."""


@dataclass(frozen=True)
class Likely:
    """What is likely after a fit: points (P, D), of which each is a Gaussian with covariance ``left``, and weights."""

    names: tuple[str, ...]
    points: Array
    weights: Array
    left: Array

    def told(self, name: str) -> Estimate:
        """Atoms per nm^2 of one kind, never fewer than none."""
        at = self.names.index(name)
        return _estimate(self.weights, np.maximum(self.points[:, at], 0.0), self.left[at, at])

    def share(self, one: str, other: str) -> Estimate:
        """The share of one kind of atom among two."""
        at = [self.names.index(one), self.names.index(other)]
        part, rest = np.maximum(self.points[:, at], 0.0).T
        whole = np.maximum(part + rest, LEAST_ATOMS)
        share = part / whole
        slope = np.stack([1.0 - share, -share]) / whole
        var = np.einsum("ip,ij,jp->p", slope, self.left[np.ix_(at, at)], slope)
        # A kernel that holds hardly any of either has any share; and atoms say how much a place counts.
        return _estimate(self.weights * whole, share, np.minimum(var, 0.25))


@dataclass(frozen=True)
class Expectation:
    """The cloud: ``points`` (P, D) of what ``names`` say, thickness last where there is one."""

    names: tuple[str, ...]
    points: Array

    def given(self, atoms: Atoms, thickness: Estimate | None = None) -> Likely:
        """What is likely, given what a spectrum was fitted with, and its thickness if it tells one."""
        values, spread = list(atoms.per_nm2), np.zeros((len(self.names), len(self.names)))
        spread[: len(values), : len(values)] = atoms.cov
        if THICKNESS in self.names:
            known = thickness or Estimate(value=0.0, sd=1e3)
            values.append(known.value)
            spread[-1, -1] = known.sd**2
        kernel = KERNEL**2 * np.cov(self.points.T) + np.diag((SURE_SHARE * self.points.mean(axis=0)) ** 2)
        scale = np.sqrt(np.diag(kernel) + np.diag(spread))
        inverse = np.linalg.inv((kernel + spread) / np.outer(scale, scale)) / np.outer(scale, scale)
        off = np.array(values) - self.points
        ln = -0.5 * np.einsum("pi,ij,pj->p", off, inverse, off)
        weights = np.exp(ln - ln.max())
        gain = kernel @ inverse
        # In this form the covariance stays positive whatever is rounded.
        rest = np.eye(len(kernel)) - gain
        left = rest @ kernel @ rest.T + gain @ spread @ gain.T
        return Likely(self.names, self.points + off @ gain.T, weights / weights.sum(), left)


def _estimate(weights: Array, values: Array, var: Array | float) -> Estimate:
    share = weights / weights.sum()
    mean = float(share @ values)
    return Estimate(value=mean, sd=math.sqrt(float(share @ ((values - mean) ** 2 + var))))


def load_expectation(world: str, mode: str, folder: Path = FOLDER) -> Expectation:
    """Read the cloud of a world and mode.

    Raises:
        FileNotFoundError: none was made.
    """
    with np.load(folder / f"{world}.{mode}.npz", allow_pickle=False) as file:
        return Expectation(tuple(file["names"].tolist()), file["points"].astype(np.float64))


def save_expectation(world: str, mode: str, truths: Mapping[str, Array], folder: Path = FOLDER) -> None:
    """Write the cloud of truths (P,) by name, thickness last."""
    points = np.stack(list(truths.values()), axis=1).astype(np.float32)
    np.savez_compressed(folder / f"{world}.{mode}.npz", names=np.array(list(truths)), points=points)
