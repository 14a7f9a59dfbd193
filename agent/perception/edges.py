"""What core edges of a spectrum say in closed form: how much of each known edge there is, and shares of neighbours.

Each edge is fitted on a smooth background with those whose onsets are near, by least squares with the weights of
counting, in a window about them. Shapes are cross-sections of the hydrogenic model with their white lines, ``smeared``
by the measured low loss (Egerton, Electron Energy-Loss Spectroscopy in the Electron Microscope, chapter 4.4).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from agent.perception.smeared import Smeared
from digital_twin.spectra import (
    C_K,
    CU_L3,
    FE2_L3,
    FE3_L3,
    MN2_L3,
    MN3_L3,
    MN4_L3,
    N_K,
    O_K,
    S_L3,
    SI_L3,
    ZN_L3,
    energy_axis_eV,
)
from hardware_bridge.messages import Capabilities

Array = NDArray[np.float64]

KNOWN = (SI_L3, S_L3, C_K, N_K, O_K, MN2_L3, MN3_L3, MN4_L3, FE2_L3, FE3_L3, CU_L3, ZN_L3)
TOGETHER_eV, NEIGHBOURS_eV = 50.0, 100.0
"""Edges no farther apart than the first are fitted together; of those no farther than the second, shares are told."""

BEFORE_eV, BEYOND_eV = 60.0, 60.0
POWERS = (2.0, 3.0, 4.0)
"""The background is a sum of falling powers of energy."""

LOW_LOSS_eV = 80.0
SMOOTHED = 15
"""Channels over which counts are averaged to say how much they scatter."""


class CoreLosses:
    """Reads edges on an energy axis, (E,) eV; ``numbers`` is how many numbers a spectrum gives."""

    def __init__(self, axis_eV: Array, beam_energy_keV: float, collection_mrad: float) -> None:
        self._axis_eV, step_eV = axis_eV, float(axis_eV[1] - axis_eV[0])
        holds_zero = axis_eV[0] < -2 * step_eV
        last_eV = float(self._axis_eV[-1]) - BEYOND_eV / 2
        edges = [edge for edge in KNOWN if holds_zero and edge.onset_eV < last_eV]
        self._onsets = np.array([edge.onset_eV for edge in edges])
        self._smeared = Smeared(axis_eV, edges, beam_energy_keV, collection_mrad, LOW_LOSS_eV)
        borders = np.flatnonzero(np.diff(self._onsets) > TOGETHER_eV) + 1
        self._groups = [each for each in np.split(np.arange(len(edges)), borders) if each.size]
        self._pairs = np.flatnonzero(np.diff(self._onsets) <= NEIGHBOURS_eV)
        self.numbers = 2 * len(edges) + len(self._pairs)

    @classmethod
    def of(cls, able: Capabilities) -> CoreLosses:
        """Those of an instrument; made once."""
        return _made(
            (able.energy_offset_eV, able.energy_step_eV, able.energy_channels),
            able.beam_energy_keV,
            able.collection_semi_angle_mrad,
        )

    def __call__(self, counts: Array) -> Array:
        """Numbers of a spectrum (E,) in electrons: of each edge atoms per nm^2 and how far they stand out, and shares.

        Atoms that do not stand out are told as fewer, and shares as nearer to one half.
        """
        if not self.numbers:
            return np.zeros(0)
        atoms, var = np.zeros(len(self._onsets)), np.ones(len(self._onsets))
        smeared = self._smeared(counts)
        scatter = uniform_filter1d(counts, SMOOTHED) + 1.0
        for group in self._groups:
            atoms[group], var[group] = self._fitted(counts, scatter, smeared, group)
        out = atoms / np.sqrt(var)
        whole, apart = atoms[self._pairs] + atoms[self._pairs + 1], atoms[self._pairs + 1] - atoms[self._pairs]
        noise = var[self._pairs] + var[self._pairs + 1]
        shares = 0.5 + 0.5 * np.clip(apart * np.maximum(whole, 0.0) / (whole**2 + noise), -1.0, 1.0)
        return np.concatenate([np.sign(out) * np.sqrt(np.abs(atoms * out**2 / (1 + out**2))), np.arcsinh(out), shares])

    def _fitted(self, counts: Array, scatter: Array, smeared: Array, group: NDArray[np.intp]) -> tuple[Array, Array]:
        """Atoms per nm^2 of the edges of a group, and their variances."""
        first, last = self._onsets[group[0]], self._onsets[group[-1]]
        window = (self._axis_eV > first - BEFORE_eV) & (self._axis_eV < last + BEYOND_eV)
        basis = np.stack([(first / self._axis_eV[window]) ** power for power in POWERS])
        columns = np.concatenate([basis, smeared[np.ix_(group, window)]])
        scale = np.sqrt((columns**2 / scatter[window]).sum(axis=1)) + 1e-300
        white = columns / scale[:, None] / np.sqrt(scatter[window])
        information = white @ white.T + 1e-9 * np.eye(len(white))
        inverse = np.linalg.inv(information)
        found = inverse @ (white @ (counts[window] / np.sqrt(scatter[window]))) / scale
        return found[len(POWERS) :], np.diag(inverse)[len(POWERS) :] / scale[len(POWERS) :] ** 2


@lru_cache(maxsize=8)
def _made(axis: tuple[float, float, int], beam_energy_keV: float, collection_mrad: float) -> CoreLosses:
    return CoreLosses(energy_axis_eV(*axis), beam_energy_keV, collection_mrad)
