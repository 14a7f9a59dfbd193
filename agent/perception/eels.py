"""What one energy-loss spectrum says: zero loss, thickness, and atoms under the beam from core edges.

All edges are fitted together, by maximum likelihood for Poisson counts (Fisher scoring): nitrogen of silicon nitride
windows lies below oxygen and oxygen below copper, so that none has a background of its own. Cross-sections are those of
the hydrogenic model broadened by the measured low loss (plural scattering); see Egerton, Electron Energy-Loss
Spectroscopy in the Electron Microscope, chapters 4.4 and 4.5. Below them lies a power law that may bend, as tails of
silicon L and of plural scattering do. Thickness is ln(total / zero loss) in mean free paths.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from agent.perception.scan import Array
from agent.perception.smeared import Smeared
from digital_twin.spectra import CU_L3, N_K, O_K
from hardware_bridge.messages import Capabilities
from hardware_bridge.report import Estimate

STEPS = 8
# A channel holds the mean over its width.
NODES, WEIGHTS = np.polynomial.legendre.leggauss(5)
EDGES = (N_K, O_K, CU_L3)
# Energies that are fitted, eV: from below the first edge, its threshold blurred, to beyond the last.
FITTED_eV = (360.0, 1150.0)
MIDDLE_eV = 600.0
# Below this energy losses are taken to broaden edges: all that no fitted edge adds to.
LOW_LOSS_eV = 390.0
# Prior sd of the second and third power of ln energy in ln background.
BEND_SD = 1.0
LEAST_BEYOND, LEAST_COUNTS = 20, 100.0
# What the model of the tail below the zero loss leaves in t/lambda, and in the position in eV.
THICKNESS_FLOOR, POSITION_FLOOR_eV = 0.0003, 0.0008
# About the plasmon energy of water, nitride and oxides, which bends that tail.
PLASMON_eV = 22.0
# By how much a bent power law may miss the true background, as a share of it.
BACKGROUND_FLOOR = 0.001
LEAST_ELECTRONS = 500.0


@dataclass(frozen=True)
class Core:
    """Atoms per nm^2 of one edge, and the reduced chi-square of the fit of all edges."""

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
        end = float(axis_eV[-1])
        self._edges = [e for e in EDGES if e.onset_eV + LEAST_BEYOND * self.step_eV < end]
        energy, collection = capabilities.beam_energy_keV, capabilities.collection_semi_angle_mrad
        self._smeared = Smeared(axis_eV, self._edges, energy, collection, LOW_LOSS_eV)

    def read(self, counts: Array) -> SpectrumFit:
        """Fit one spectrum, (E,) in electrons per channel."""
        total = float(counts.sum())
        peak = self._zero_loss(counts) if total >= LEAST_ELECTRONS else None
        if peak is None:
            return SpectrumFit(total, None, None, None, None)
        area, area_var, position = peak
        ratio_var = max(area_var / area**2 - 1.0 / total, 0.0)
        thickness = Estimate(value=math.log(total / area), sd=math.hypot(math.sqrt(ratio_var), THICKNESS_FLOOR))
        cores = self._cores(counts, position.value)
        return SpectrumFit(total, position, thickness, cores.get(O_K.name), cores.get(CU_L3.name))

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
        area, (area_var, position_var) = math.exp(at[0]), np.diag(cov)[:2].tolist()
        # Where the peak is not one of a spectrometer, the equations may be solvable in name only.
        if not (np.isfinite(at).all() and 0.0 < area < 2.0 * float(counts.sum()) and min(area_var, position_var) > 0.0):
            return None
        sd = math.hypot(math.sqrt(position_var), POSITION_FLOOR_eV)
        return area, area**2 * area_var, Estimate(value=float(at[1]), sd=sd)

    def _peak(self, energy: Array, at: Array) -> tuple[Array, Array]:
        """Expected counts of a Gaussian peak, averaged over channels, and its tail, with slopes (4, n)."""
        area, width = math.exp(at[0]), math.exp(at[2])
        fine = (energy[:, None] + 0.5 * self.step_eV * NODES - at[1]) / width
        shape = np.exp(-0.5 * fine**2) * WEIGHTS * self.step_eV / (2.0 * width * math.sqrt(2.0 * math.pi))
        gauss = area * shape.sum(axis=1)
        to_position = area * (shape * fine).sum(axis=1) / width
        to_width = area * (shape * (fine**2 - 1.0)).sum(axis=1)
        apart = (energy - at[1]) / width
        bell, above = np.exp(-0.5 * apart**2) / math.sqrt(2.0 * math.pi), ndtr(apart)
        linear, cubic = apart * above + bell, (apart**3 + 3.0 * apart) * above + (apart**2 + 2.0) * bell
        rise = width * (linear + 2.0 * (width / PLASMON_eV) ** 2 * cubic)
        return gauss + at[3] * rise, np.stack([gauss, to_position, to_width, rise])

    def _cores(self, counts: Array, zero_eV: float) -> dict[str, Core]:
        """Fit the background, as ln amplitude and powers of ln energy, and atoms per nm^2 of every edge, by name."""
        energy = self.axis_eV - zero_eV
        use = (energy > FITTED_eV[0]) & (energy < FITTED_eV[1])
        if not self._edges or counts[use].sum() < LEAST_COUNTS:
            return {}
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
            weight = 1.0 / np.maximum(model, 0.2 * background)
            try:
                cov = np.asarray(np.linalg.inv((slopes * weight) @ slopes.T + np.diag(held)))
            except np.linalg.LinAlgError:
                return {}
            at = at + np.clip(cov @ ((slopes * weight) @ (seen - model) - held * at), -most, most)
        background = np.exp(np.clip(at[:4] @ powers, -50.0, 50.0))
        model = np.maximum(background + at[4:] @ shapes, 1e-9)
        misfit = float(((seen - model) ** 2 / model).sum()) / max(seen.size - at.size, 1)
        cores = {}
        for edge, value, var, shape in zip(self._edges, at[4:], np.diag(cov)[4:], shapes, strict=True):
            above = shape > 0.0
            floor = BACKGROUND_FLOOR * float(background[above].sum()) / max(float(shape.sum()), 1e-300)
            sd = math.hypot(math.sqrt(max(float(var), 0.0) * max(misfit, 1.0)), floor)
            if math.isfinite(value) and math.isfinite(sd) and sd > 0.0:
                cores[edge.name] = Core(per_nm2=Estimate(value=float(value), sd=sd), misfit=misfit)
        return cores


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
