"""What one energy-loss spectrum says: zero loss, thickness, and atoms under the beam from core edges.

All edges are fitted together, see ``cores``: nitrogen of silicon nitride windows lies below oxygen and oxygen below
copper, so that none has a background of its own. Thickness is ln(total / zero loss) in mean free paths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from agent.perception.atoms import Atoms, Core
from agent.perception.cores import CoreFit
from agent.perception.scan import Array
from digital_twin.spectra import CU_L3, N_K, O_K, Edge
from hardware_bridge.messages import Capabilities
from hardware_bridge.report import Estimate

STEPS = 16
STEP_MOST = np.array([0.5, 1.0, 0.3, math.inf])
# A peak is found where nothing moves by more than this share of its standard deviation.
CONVERGED = 0.02
EDGES = (N_K, O_K, CU_L3)
# What the model of the tail below the zero loss leaves in t/lambda, and in the position in eV.
THICKNESS_FLOOR, POSITION_FLOOR_eV = 0.0003, 0.00005
# About the plasmon energy of water, nitride and oxides, which bends that tail.
PLASMON_eV = 22.0
LEAST_ELECTRONS = 500.0


@dataclass(frozen=True)
class SpectrumFit:
    """Everything read off one spectrum; None where the spectrum does not hold it."""

    electrons: float
    zero_loss_eV: Estimate | None
    t_over_lambda: Estimate | None
    cores: Atoms | None

    @property
    def oxygen(self) -> Core | None:
        """Oxygen's K edge."""
        return self.cores.get(O_K.name) if self.cores else None

    @property
    def copper(self) -> Core | None:
        """Copper's L edge."""
        return self.cores.get(CU_L3.name) if self.cores else None


class SpectrumReader:
    """Reads spectra on one energy axis, in which some edges may be; cross-sections are computed once."""

    def __init__(self, capabilities: Capabilities, axis_eV: Array, edges: Sequence[Edge] = EDGES) -> None:
        self.axis_eV = axis_eV
        self.step_eV = float(axis_eV[1] - axis_eV[0])
        self._cores = CoreFit(axis_eV, edges, capabilities)

    def read(self, counts: Array) -> SpectrumFit:
        """Fit one spectrum, (E,) in electrons per channel."""
        total = float(counts.sum())
        peak = self._zero_loss(counts) if total >= LEAST_ELECTRONS else None
        if peak is None:
            return SpectrumFit(total, None, None, None)
        area, area_var, position = peak
        ratio_var = max(area_var / area**2 - 1.0 / total, 0.0)
        thickness = Estimate(value=math.log(total / area), sd=math.hypot(math.sqrt(ratio_var), THICKNESS_FLOOR))
        return SpectrumFit(total, position, thickness, self._cores(counts, position.value))

    def zero_loss_eV(self, counts: Array) -> Estimate | None:
        """Where the zero loss lies on the axis; None where there is no peak about zero that stands out."""
        near = counts[np.abs(self.axis_eV) < 30.0]
        if near.size < 8 or float(np.median(near)) > 0.5 * float(near.max()):
            return None
        peak = self._zero_loss(counts)
        return peak[2] if peak is not None else None

    def _zero_loss(self, counts: Array) -> tuple[float, float, Estimate] | None:
        """Area of the zero-loss peak with its variance, and its position.

        A Gaussian on a tail that rises from the peak's position as plasmon losses begin, E + 2 E^3 / Ep^2 (Drude), and
        is as blurred as the peak; Poisson likelihood.
        """
        window = np.flatnonzero((self.axis_eV > -30.0) & (self.axis_eV < 30.0))
        if window.size < 8:
            return None
        top = window[int(counts[window].argmax())]
        near = np.flatnonzero(np.abs(self.axis_eV - self.axis_eV[top]) <= max(5.0, 4.0 * self.step_eV))
        energy, seen = self.axis_eV[near], counts[near]
        if counts[top] < 30.0 or near.size < 6:
            return None
        centre = float((energy * seen).sum() / seen.sum())
        half = float((seen > 0.5 * seen.max()).sum()) * self.step_eV
        # ln area, position, ln width, tail.
        at = np.array([math.log(seen.sum()), centre, math.log(max(half / 2.35, 0.4 * self.step_eV)), 1e-3 * seen.max()])
        cov: Array = np.eye(4)
        for _ in range(STEPS):
            model, slopes = self._peak(energy, at)
            weight = 1.0 / np.maximum(model, 0.5)
            information = (slopes * weight) @ slopes.T + np.diag([0.0, 0.0, 0.0, 1e-12])
            try:
                cov = np.asarray(np.linalg.inv(information))
            except np.linalg.LinAlgError:
                return None
            step = cov @ ((slopes * weight) @ (seen - model))
            at = at + np.minimum(np.maximum(step, -STEP_MOST), STEP_MOST)
            at[3] = max(at[3], 0.0)
            if (np.abs(step[:3]) < CONVERGED * np.sqrt(np.abs(np.diag(cov)[:3]))).all():
                break
        area, (area_var, position_var) = math.exp(at[0]), np.diag(cov)[:2].tolist()
        # Where the peak is not one of a spectrometer, the equations may be solvable in name only.
        if not (np.isfinite(at).all() and min(area_var, position_var) > 0.0):
            return None
        if math.exp(at[2]) < self.step_eV:
            # What channels show of a narrow peak in all depends on where it lies between them.
            area = float(self._peak(energy, at)[1][0].sum())
        if not 0.0 < area < 2.0 * float(counts.sum()):
            return None
        sd = math.hypot(math.sqrt(position_var), POSITION_FLOOR_eV)
        return area, area**2 * area_var, Estimate(value=float(at[1]), sd=sd)

    def _peak(self, energy: Array, at: Array) -> tuple[Array, Array]:
        """Expected counts of a Gaussian peak and its tail, with slopes (4, n).

        The Gaussian is what channels show of a sharp line, their own width and blur included.
        """
        area, width = math.exp(at[0]), math.exp(at[2])
        apart = (energy - at[1]) / width
        bell, above = np.exp(-0.5 * apart**2) / math.sqrt(2.0 * math.pi), ndtr(apart)
        gauss = area * self.step_eV / width * bell
        linear, cubic = apart * above + bell, (apart**3 + 3.0 * apart) * above + (apart**2 + 2.0) * bell
        rise = width * (linear + 2.0 * (width / PLASMON_eV) ** 2 * cubic)
        return gauss + at[3] * rise, np.stack([gauss, gauss * apart / width, gauss * (apart**2 - 1.0), rise])


def presence_odds(copper: Core, expected_per_nm2: float, expected_sd: float, missed: float) -> float:
    """Ln of how much better a fitted density of copper is explained by a particle than by none.

    ``missed`` is the chance that the beam was beside the particle.
    """
    value, var = copper.per_nm2.value, copper.per_nm2.sd**2
    there = _normal(value - expected_per_nm2, var + expected_sd**2)
    nothing = _normal(value, var)
    with_doubt = np.logaddexp(math.log1p(-missed) + there, math.log(missed) + nothing)
    return float(with_doubt - nothing)


def _normal(offset: float, var: float) -> float:
    return -0.5 * (offset**2 / var + math.log(2.0 * math.pi * var))
