"""Core edges of one spectrum, all fitted together: atoms under the beam with their covariance, and shares of two kinds.

Maximum likelihood for Poisson counts (Fisher scoring). Cross-sections are those of the hydrogenic model with their
white lines, broadened by the measured low loss (plural scattering; Egerton, Electron Energy-Loss Spectroscopy in the
Electron Microscope, chapters 4.4 and 4.5). Below them lies a power law that may bend, as tails of lower edges and of
plural scattering do. Edges of one element in several valences are edges of their own: what tells them apart is where
they begin and the shape of their white lines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agent.perception.atoms import Atoms
from agent.perception.smeared import Smeared
from digital_twin.spectra import Edge
from hardware_bridge.messages import Capabilities

Array = NDArray[np.float64]

STEPS = 8
# A fit has converged where nothing moves by more than this share of its standard deviation.
CONVERGED = 0.02
LEAST_BEYOND, LEAST_COUNTS = 20, 100.0
# What is fitted begins so far below the first edge and ends beyond all of them, eV.
BELOW_eV, LAST_eV = 100.0, 1150.0
# Up to so far below the first edge losses are taken to broaden edges: all that no fitted edge adds to.
LOW_LOSS_BELOW_eV = 11.0
# Prior sd of the second and third power of ln energy in ln background.
BEND_SD = 0.5
MIDDLE_eV = 600.0
# By how much a bent power law may miss the true background, as a share of it.
BACKGROUND_FLOOR = 0.0008


class CoreFit:
    """Fits edges on one energy axis, (E,) eV; cross-sections are computed once."""

    def __init__(self, axis_eV: Array, edges: Sequence[Edge], capabilities: Capabilities) -> None:
        end_eV = float(axis_eV[-1]) - LEAST_BEYOND * float(axis_eV[1] - axis_eV[0])
        self.axis_eV = axis_eV
        self.edges = tuple(sorted((e for e in edges if e.onset_eV < end_eV), key=lambda edge: edge.onset_eV))
        first_eV = self.edges[0].onset_eV if self.edges else LAST_eV
        self._window_eV = (first_eV - BELOW_eV, LAST_eV)
        energy, collection = capabilities.beam_energy_keV, capabilities.collection_semi_angle_mrad
        self._smeared = Smeared(axis_eV, self.edges, energy, collection, first_eV - LOW_LOSS_BELOW_eV)

    def __call__(self, counts: Array, zero_eV: float) -> Atoms | None:
        """Fit a spectrum (E,) in electrons whose zero loss lies at an energy of the axis; None with too few of them."""
        energy = self.axis_eV - zero_eV
        use = (energy > self._window_eV[0]) & (energy < self._window_eV[1])
        if not self.edges or counts[use].sum() < LEAST_COUNTS:
            return None
        seen, shapes = counts[use], self._smeared(counts)[:, use]
        powers = np.log(energy[use] / MIDDLE_eV) ** np.arange(4)[:, None]
        held = np.concatenate([[0.0, 0.0, BEND_SD**-2, BEND_SD**-2], np.zeros(len(shapes))])
        at = np.concatenate([[math.log(float(seen.mean())), -3.0], np.zeros(2 + len(shapes))])
        most = np.concatenate([np.ones(4), np.full(len(shapes), math.inf)])
        cov: Array = np.eye(at.size)
        for _ in range(STEPS):
            background = np.exp(np.clip(at[:4] @ powers, -50.0, 50.0))
            model = background + at[4:] @ shapes
            slopes = np.concatenate([background * powers, shapes])
            weight = 1.0 / np.maximum(model, background)
            try:
                cov = np.asarray(np.linalg.inv((slopes * weight) @ slopes.T + np.diag(held)))
            except np.linalg.LinAlgError:
                return None
            step = cov @ ((slopes * weight) @ (seen - model) - held * at)
            at = at + np.minimum(np.maximum(step, -most), most)
            if (np.abs(step) < CONVERGED * np.sqrt(np.abs(np.diag(cov)))).all():
                break
        background = np.exp(np.clip(at[:4] @ powers, -50.0, 50.0))
        model = background + at[4:] @ shapes
        misfit = float(((seen - model) ** 2 / np.maximum(model, background)).sum()) / max(seen.size - at.size, 1)
        under = (background * (shapes > 0.0)).sum(axis=1)
        floor = BACKGROUND_FLOOR * under / np.maximum(shapes.sum(axis=1), 1e-300)
        spread = cov[4:, 4:] * max(misfit, 1.0) + np.diag(floor**2)
        if not (np.isfinite(at).all() and np.isfinite(spread).all() and (np.diag(spread) > 0.0).all()):
            return None
        return Atoms(tuple(edge.name for edge in self.edges), at[4:], spread, misfit)
