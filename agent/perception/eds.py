"""What one X-ray spectrum says: atoms of each element under the beam, by maximum likelihood for Poisson counts.

All lines of an element are fitted at once, each in its known place, shape and strength, so that lines which overlap
(zinc's K alpha and copper's K beta) are told apart by the others, and the few counts of every line count. What the
specimen absorbs on the way out is taken from the atoms found. Below lies a continuum that falls smoothly.

The fit begins with expectation maximisation, which keeps all numbers positive and never makes the likelihood worse
(Shepp and Vardi, IEEE Trans. Med. Imaging 1 (1982) 113).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from agent.perception.atoms import Atoms

Array = NDArray[np.float64]

MN_KA_eV = 5895.0
PAIR_eV, FANO = 3.65, 0.12
"""Energy of an electron-hole pair in silicon and its Fano factor: 5.545 F eps E is what they add to FWHM^2."""

ROUNDS = 60
"""Of expectation maximisation."""

ABSORBED_AGAIN = 3
"""How often in these rounds what is absorbed is worked out anew."""

MOST_ABSORBED = 2.0
"""In ln: a specimen that is thicker lets through what one of this thickness does."""

FROM_eV, BEYOND_eV = 200.0, 400.0
"""Fitted is from where detectors begin to see to so far beyond the last line."""

LEAST_COUNTS, LEAST_EXPECTED = 5.0, 1e-12
UNSEEN_COUNTS = 0.5
"""What an element may have without showing a single count: half of one (Jeffreys)."""


@dataclass(frozen=True)
class LineTable:
    """What is known of the lines of elements, as a standard or tables of cross-sections tell.

    Of each of L lines: ``energy_eV``, the place in ``elements`` of whose it is, ``per_atom``, counts per incident
    electron of an atom per nm^2, and ``absorbed`` (K, L), ln of what an atom per nm^2 of each of K elements absorbs.
    ``resolution_eV`` is the detector's full width at Mn K alpha.
    """

    elements: tuple[str, ...]
    energy_eV: Array
    whose: NDArray[np.intp]
    per_atom: Array
    absorbed: Array
    resolution_eV: float


class XrayReader:
    """Reads spectra on one energy axis, (E,) eV, in which some elements may be; ``efficiency`` (E,) shapes the rest.

    Elements that have no line on the axis are left out.
    """

    def __init__(self, axis_eV: Array, table: LineTable, efficiency: Array) -> None:
        self.table = table
        inside = (table.energy_eV > FROM_eV) & (table.energy_eV < axis_eV[-1])
        self._kinds = np.unique(table.whose[inside])
        last_eV = float(table.energy_eV[inside].max(initial=FROM_eV)) + BEYOND_eV
        self._use = (axis_eV > FROM_eV) & (axis_eV < last_eV)
        energy, step = axis_eV[self._use], float(axis_eV[1] - axis_eV[0])
        width = fwhm_eV(table.energy_eV, table.resolution_eV)[:, None] / math.sqrt(8 * math.log(2))
        borders = np.append(energy - step / 2, energy[-1] + step / 2)
        shapes = np.diff(0.5 * erf((borders - table.energy_eV[:, None]) / (math.sqrt(2) * width)), axis=-1)
        self._lines = table.per_atom[:, None] * shapes * inside[:, None]
        self._member = (self._kinds[:, None] == table.whose).astype(np.float64)
        seen = efficiency[self._use]
        # Kramers' continuum, and as much again at every energy: what lies between them is fitted.
        self._continuum = np.stack([seen / energy, seen])
        self._continuum /= self._continuum.sum(axis=1, keepdims=True)

    def __call__(self, counts: Array, electrons: float) -> Atoms | None:
        """Fit a spectrum (E,) taken with so many incident electrons; None with too few counts."""
        seen, kinds = counts[self._use], len(self._kinds)
        if not (seen.sum() >= LEAST_COUNTS and electrons > 0.0 and np.isfinite(seen).all() and kinds):
            return None
        at, whole = self._solved(seen, electrons)
        raised = at + UNSEEN_COUNTS / np.maximum(whole.sum(axis=1), LEAST_EXPECTED)
        information = (whole / np.maximum(raised @ whole, LEAST_EXPECTED)) @ whole.T
        scale = np.sqrt(np.maximum(np.diag(information), LEAST_EXPECTED**2))
        square = np.outer(scale, scale)
        cov = np.linalg.inv(information / square + 1e-9 * np.eye(scale.size)) / square
        model = at @ whole
        misfit = float(((seen - model) ** 2 / np.maximum(model, 1e-9)).sum()) / max(seen.size - at.size, 1)
        return Atoms(tuple(self.table.elements[k] for k in self._kinds), at[:kinds], cov[:kinds, :kinds], misfit)

    def expected(self, counts: Array, electrons: float) -> tuple[NDArray[np.bool_], Array]:
        """Which channels are fitted, (E,), and the counts that are expected there, continuum and all."""
        at, whole = self._solved(counts[self._use], electrons)
        return self._use, at @ whole

    def _solved(self, seen: Array, electrons: float) -> tuple[Array, Array]:
        """Numbers of atoms and heights of the continuum (K + 2,), and what one of each gives, (K + 2, channels)."""
        atoms = np.zeros(len(self._kinds))
        whole = np.concatenate([self._templates(atoms, electrons), self._continuum])
        at = seen.sum() / len(whole) / np.maximum(whole.sum(axis=1), LEAST_EXPECTED)
        for _ in range(ABSORBED_AGAIN):
            whole = np.concatenate([self._templates(at[: len(atoms)], electrons), self._continuum])
            total = np.maximum(whole.sum(axis=1), LEAST_EXPECTED)
            for _ in range(ROUNDS // ABSORBED_AGAIN):
                at = at * (whole @ (seen / np.maximum(at @ whole, LEAST_EXPECTED))) / total
        return at, whole

    def _templates(self, atoms: Array, electrons: float) -> Array:
        """Expected counts (K, E) of an atom per nm^2 of each element, where there are as many of all."""
        left = np.exp(-np.minimum(atoms @ self.table.absorbed[self._kinds], MOST_ABSORBED))
        return np.asarray(electrons * (self._member * left) @ self._lines)


def fwhm_eV(energy_eV: Array, resolution_eV: float) -> Array:
    """Full widths of lines, FWHM^2 = FWHM_e^2 + 5.545 F eps E; ``resolution_eV`` is that of Mn K alpha."""
    return np.sqrt(resolution_eV**2 + 5.545 * FANO * PAIR_eV * (energy_eV - MN_KA_eV))
