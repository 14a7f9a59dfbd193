"""What one energy-loss spectrum says: zero loss, thickness, and atoms under the beam from core edges.

Edges are fitted on a local power law by maximum likelihood for Poisson counts (Fisher scoring), with cross-sections of
the hydrogenic model broadened by the measured low loss (plural scattering); see Egerton, Electron Energy-Loss
Spectroscopy in the Electron Microscope, chapters 4.4 and 4.5. Thickness is ln(total / zero loss) in mean free paths.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import fft

from agent.perception.scan import Array
from digital_twin.spectra import CU_L3, O_K, Edge, edge_nm2_per_eV
from hardware_bridge.messages import Capabilities
from hardware_bridge.report import Estimate

STEPS = 8
# Windows before and after the onset, in eV.
BEFORE_eV = {"O_K": (440.0, 525.0), "Cu_L3": (760.0, 920.0)}
AFTER_eV = {"O_K": (532.0, 700.0), "Cu_L3": (931.0, 1150.0)}
# What the model of the tail below the zero loss leaves in t/lambda.
THICKNESS_FLOOR = 0.0005
# By how much a power law may miss the true background, as a share of it.
BACKGROUND_FLOOR = 0.002
LEAST_ELECTRONS = 500.0


@dataclass(frozen=True)
class Core:
    """Atoms per nm^2 of one edge, and the reduced chi-square of the fit."""

    per_nm2: Estimate
    misfit: float


@dataclass(frozen=True)
class SpectrumFit:
    """Everything read off one spectrum; None where the spectrum does not hold it."""

    electrons: float
    zero_loss_eV: Estimate | None
    t_over_lambda: Estimate | None
    oxygen: Core | None
    copper: Core | None


class SpectrumReader:
    """Reads spectra on one energy axis; cross-sections are computed once."""

    def __init__(self, capabilities: Capabilities, axis_eV: Array) -> None:
        self.axis_eV = axis_eV
        self.step_eV = float(axis_eV[1] - axis_eV[0])
        energy, collection = capabilities.beam_energy_keV, capabilities.collection_semi_angle_mrad
        self._edges = [
            (edge, self.step_eV * edge_nm2_per_eV(edge, axis_eV, energy, collection)) for edge in (O_K, CU_L3)
        ]

    def read(self, counts: Array) -> SpectrumFit:
        """Fit one spectrum, (E,) in electrons per channel."""
        total = float(counts.sum())
        peak = self._zero_loss(counts) if total >= LEAST_ELECTRONS else None
        if peak is None:
            return SpectrumFit(total, None, None, None, None)
        area, area_var, position = peak
        ratio_var = max(area_var / area**2 - 1.0 / total, 0.0)
        thickness = Estimate(value=math.log(total / area), sd=math.hypot(math.sqrt(ratio_var), THICKNESS_FLOOR))
        cores = [self._core(counts, edge, sigma, position.value) for edge, sigma in self._edges]
        return SpectrumFit(total, position, thickness, cores[0], cores[1])

    def _zero_loss(self, counts: Array) -> tuple[float, float, Estimate] | None:
        """Area of the zero-loss peak with its variance, and its position.

        A Gaussian on a tail that rises linearly from the peak's position, as plasmon losses begin; Poisson likelihood.
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
        for _ in range(2 * STEPS):
            model, slopes = self._peak(energy, at)
            weight = 1.0 / np.maximum(model, 0.5)
            information = (slopes * weight) @ slopes.T + np.diag([0.0, 0.0, 0.0, 1e-12])
            try:
                cov = np.asarray(np.linalg.inv(information))
            except np.linalg.LinAlgError:
                return None
            step = cov @ ((slopes * weight) @ (seen - model))
            at = at + np.clip(step, [-0.5, -1.0, -0.3, -math.inf], [0.5, 1.0, 0.3, math.inf])
            at[3] = max(at[3], 0.0)
        area = math.exp(at[0])
        if not (np.isfinite(at).all() and 0.0 < area < 2.0 * float(counts.sum())):
            return None
        return area, area**2 * float(cov[0, 0]), Estimate(value=float(at[1]), sd=math.sqrt(float(cov[1, 1])))

    def _peak(self, energy: Array, at: Array) -> tuple[Array, Array]:
        """Expected counts of a Gaussian peak, averaged over channels, and a linear tail, with slopes (4, n)."""
        area, width = math.exp(at[0]), math.exp(at[2])
        nodes, weights = np.polynomial.legendre.leggauss(5)
        fine = (energy[:, None] + 0.5 * self.step_eV * nodes - at[1]) / width
        shape = np.exp(-0.5 * fine**2) * weights * self.step_eV / (2.0 * width * math.sqrt(2.0 * math.pi))
        gauss = area * shape.sum(axis=1)
        to_position = area * (shape * fine).sum(axis=1) / width
        to_width = area * (shape * (fine**2 - 1.0)).sum(axis=1)
        rise = np.maximum(energy - at[1], 0.0)
        return gauss + at[3] * rise, np.stack([gauss, to_position, to_width, rise])

    def _core(self, counts: Array, edge: Edge, sigma: Array, zero_eV: float) -> Core | None:
        """Fit ln amplitude, exponent and atoms per nm^2 around one edge."""
        energy = self.axis_eV - zero_eV
        low, high = BEFORE_eV[edge.name], AFTER_eV[edge.name]
        use = ((energy > low[0]) & (energy < low[1])) | ((energy > high[0]) & (energy < high[1]))
        before = (energy > low[0]) & (energy < low[1])
        if before.sum() < 10 or use.sum() < before.sum() + 10 or counts[before].sum() < 50.0:
            return None
        shape = self._broadened(counts, sigma)[use]
        seen, ln_energy = counts[use], np.log(energy[use] / low[1])
        at = np.array([math.log(max(float(counts[before].mean()), 1e-3)), 3.0, 0.0])
        cov: Array = np.eye(3)
        for _ in range(STEPS):
            background = np.exp(np.clip(at[0] - at[1] * ln_energy, -50.0, 50.0))
            model = background + at[2] * shape
            slopes = np.stack([background, -background * ln_energy, shape])
            weight = 1.0 / np.maximum(model, 0.2 * background)
            try:
                cov = np.asarray(np.linalg.inv((slopes * weight) @ slopes.T))
            except np.linalg.LinAlgError:
                return None
            step = cov @ ((slopes * weight) @ (seen - model))
            at = at + np.clip(step, [-1.0, -1.0, -math.inf], [1.0, 1.0, math.inf])
        background = np.exp(at[0] - at[1] * ln_energy)
        model = np.maximum(background + at[2] * shape, 1e-9)
        misfit = float(((seen - model) ** 2 / model).sum()) / (seen.size - 3)
        floor = BACKGROUND_FLOOR * float(background.sum()) / max(float(shape.sum()), 1e-300)
        sd = math.hypot(math.sqrt(max(float(cov[2, 2]), 0.0) * max(misfit, 1.0)), floor)
        if not (math.isfinite(at[2]) and math.isfinite(sd) and sd > 0.0):
            return None
        return Core(per_nm2=Estimate(value=float(at[2]), sd=sd), misfit=misfit)

    def _broadened(self, counts: Array, sigma: Array) -> Array:
        """Expected counts of an edge per atom and nm^2: its cross-section convolved with the measured low loss."""
        low = np.where(self.axis_eV < 250.0, counts, 0.0)
        # Where zero loss lies on the axis, so that the convolution moves nothing.
        origin = int(np.argmin(np.abs(self.axis_eV)))
        size = fft.next_fast_len(2 * counts.size, real=True)
        smeared = fft.irfft(fft.rfft(low, size) * fft.rfft(sigma, size), size)
        return np.asarray(smeared[origin : origin + counts.size])


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
