"""The spectroscope: spectra and diffraction patterns of any specimen, with how good each of them is.

Of every one it gives quality figures, so that measurements can be compared, and estimates of what it knows to look for:
edges, elements' lines, a crystal's lattice. What cannot be read is not usable in its quality, an event says why, and
nothing is claimed. Figures:

  electrons, incident_electrons, rows_missing_share, gaps   as for images
  bad_share             of values that are no counts: not finite, or negative; these are left out
  saturated_share       of values at the top of their type
  snr                   of the surest thing that was looked for: edge, element, or the crystal; else of the zero loss
  zero_loss_drift_eV    how far the zero loss lies apart in the first and second half of the rows (EELS)
  beam_spread_mrad      how far the beam wanders between patterns, rms, what counting alone makes of it taken off
  contamination_per_nm2 carbon that has been added since this field was first looked at (EELS with carbon's edge)
  usable                1 where something was read
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from agent.perception.atoms import Atoms
from agent.perception.diffraction import Crystal, PatternReader
from agent.perception.eds import LineTable, XrayReader
from agent.perception.eels import SpectrumReader
from agent.perception.framed import framed
from agent.perception.quality import saturated_share
from agent.perception.virtual import VirtualDetectors
from digital_twin.optics import wavelength_nm
from digital_twin.spectra import C_K, Edge, energy_axis_eV
from hardware_bridge.geometry import field_centre_nm
from hardware_bridge.messages import Capabilities
from hardware_bridge.observation import Observation
from hardware_bridge.report import Estimate, Percept

Array = NDArray[np.float64]
Counts = NDArray[np.generic]
Told = tuple[dict[str, float], dict[str, Estimate]]
"""Quality and estimates."""

CENTRES = ("centre_mrad", "centre_sd_mrad")
DIMENSIONS = {"spectrum": 3, "pattern": 4}
LEAST_CHANNELS = 64
MOST_BAD = 0.02
"""With more of its values being no counts nothing is claimed of a spectrum or pattern."""

MOST_SATURATED = 0.001


class Spectroscope:
    """Perceives: ``spectroscope(observation)`` gives its percept and never raises; it remembers carbon by field."""

    def __init__(
        self,
        capabilities: Capabilities,
        edges: Sequence[Edge] = (),
        lines: LineTable | None = None,
        crystal: Crystal | None = None,
    ) -> None:
        self._capabilities, self._edges, self._lines, self._crystal = capabilities, tuple(edges), lines, crystal
        self._spectra: dict[tuple[float, float, int], SpectrumReader] = {}
        self._xrays: dict[tuple[float, float, int], XrayReader] = {}
        self._patterns: dict[tuple[int, float], PatternReader] = {}
        self._carbon: dict[tuple[float, ...], float] = {}

    def __call__(self, observation: Observation) -> Percept:
        """Perceive one observation."""
        acquire, centre = observation.command.acquire, field_centre_nm(observation.state.go, self._capabilities)
        quality: dict[str, float] = {}
        estimates: dict[str, Estimate] = {}
        why = ""
        if acquire is not None:
            quality = {
                "incident_electrons": observation.electrons,
                "gaps": float(observation.gaps),
                "saturated_share": saturated_share(observation),
                "usable": 0.0,
            }
            counts, why = _counts(observation, quality)
            if counts is not None:
                told, estimates = self._read(observation, counts)
                quality |= told | {"usable": float(bool(estimates))}
                why = "" if estimates else "nothing stands out of the noise"
        return replace(
            framed(observation, centre),
            quality=quality,
            estimates=estimates,
            events=(f"not usable: {why}",) if why else (),
        )

    def _read(self, observation: Observation, counts: Counts) -> Told:
        if counts.ndim == DIMENSIONS["pattern"]:
            return self._pattern(observation, counts)
        axis = observation.axes[2]
        key = (axis.offset, axis.scale, axis.size)
        mode = observation.command.acquire.mode if observation.command.acquire else None
        return self._eds(observation, counts, key) if mode == "EDS" else self._eels(observation, counts, key)

    def _eels(self, observation: Observation, counts: Counts, key: tuple[float, float, int]) -> Told:
        if key not in self._spectra:
            self._spectra[key] = SpectrumReader(self._capabilities, energy_axis_eV(*key), self._edges)
        reader = self._spectra[key]
        whole = counts.sum(axis=(0, 1), dtype=np.float64)
        if reader.zero_loss_eV(whole) is None:
            return {}, {}
        fit = reader.read(whole)
        if fit.zero_loss_eV is None or fit.t_over_lambda is None:
            return {}, {}
        told, estimates = _atoms(fit.cores)
        estimates |= {"zero_loss_eV": fit.zero_loss_eV, "thickness_t_over_lambda": fit.t_over_lambda}
        told.setdefault("snr", fit.t_over_lambda.sd**-1)
        half = len(counts) // 2
        halves = (part.sum(axis=(0, 1), dtype=np.float64) for part in (counts[:half], counts[half:]) if part.size)
        parts = [reader.zero_loss_eV(each) for each in halves]
        if len(parts) == 2 and parts[0] is not None and parts[1] is not None:
            told["zero_loss_drift_eV"] = parts[1].value - parts[0].value
        if f"{C_K.name}_per_nm2" in estimates:
            acquire, carbon = observation.command.acquire, estimates[f"{C_K.name}_per_nm2"].value
            place = (*field_centre_nm(observation.state.go, self._capabilities), acquire.fov_nm if acquire else 0.0)
            told["contamination_per_nm2"] = carbon - self._carbon.setdefault(place, carbon)
        return told, estimates

    def _eds(self, observation: Observation, counts: Counts, key: tuple[float, float, int]) -> Told:
        if self._lines is None:
            return {}, {}
        if key not in self._xrays:
            axis_eV = energy_axis_eV(*key)
            self._xrays[key] = XrayReader(axis_eV, self._lines, np.ones(axis_eV.size))
        return _atoms(self._xrays[key](counts.sum(axis=(0, 1), dtype=np.float64), observation.electrons))

    def _pattern(self, observation: Observation, counts: Counts) -> Told:
        size, step_mrad = counts.shape[-1], observation.axes[3].scale
        cone_mrad = self._capabilities.convergence_semi_angle_mrad
        detectors = VirtualDetectors(size, step_mrad, [(0.0, 1.2 * cone_mrad)], 2.0 * cone_mrad + 2.0 * step_mrad)
        images = [detectors(row) for row in counts]
        inner = float(sum(row.counts.sum() for row in images))
        centres, sds = (np.concatenate([getattr(row, name) for row in images]) for name in CENTRES)
        seen = np.isfinite(centres).all(axis=-1)
        if not seen.any() or inner < 1.0:
            return {}, {}
        whole = counts.sum(axis=(0, 1), dtype=np.float64)
        mean = detectors(whole)
        var = float(centres[seen].var(axis=0).sum() - (sds[seen] ** 2).sum(axis=-1).mean())
        told = {"beam_spread_mrad": math.sqrt(max(var, 0.0)), "snr": math.sqrt(inner)}
        found = {
            f"deflection_{name}_mrad": Estimate(
                value=float(mean.centre_mrad[k]), sd=float(mean.centre_sd_mrad[k]) or step_mrad
            )
            for k, name in enumerate("xy")
        }
        return (told, found) if self._crystal is None else self._lattice(self._crystal, whole, step_mrad, (told, found))

    def _lattice(self, crystal: Crystal, whole: Array, step_mrad: float, so_far: Told) -> Told:
        key = (len(whole), step_mrad)
        if key not in self._patterns:
            energy, cone_mrad = self._capabilities.beam_energy_keV, self._capabilities.convergence_semi_angle_mrad
            self._patterns[key] = PatternReader(len(whole), step_mrad, cone_mrad, crystal, float(wavelength_nm(energy)))
        fit = self._patterns[key].read(whole)
        if fit is None:
            return so_far
        told, estimates = so_far
        names = ("strain_xx", "strain_yy", "strain_xy")
        found = {name: fit.strain(k) for k, name in enumerate(names)}
        surest = float(fit.counts[1:].sum()) / math.sqrt(max(float(fit.counts_var[1:].sum()), 1e-12))
        ordered = fit.ordered_nm(self._patterns[key].crystal)
        return told | {"snr": surest}, estimates | found | {"turn_rad": fit.turn_rad, "ordered_nm": ordered}


def _counts(observation: Observation, quality: dict[str, float]) -> tuple[Counts | None, str]:
    """What was counted, missing rows left out, with what is no count at nought; or None and why there is nothing."""
    data, kind = observation.data, observation.kind or ""
    if data is None or data.size == 0 or not observation.row_seen.any():
        return None, "no data arrived"
    if data.ndim != DIMENSIONS.get(kind) or len(observation.axes) != data.ndim:
        return None, f"data of shape {data.shape} are no {kind or 'spectrum'}"
    if kind == "spectrum" and data.shape[-1] < LEAST_CHANNELS:
        return None, f"a spectrum of {data.shape[-1]} channels"
    if kind == "pattern" and (data.shape[-1] != data.shape[-2] or data.shape[-1] < 16):
        return None, f"a pattern of {data.shape[-2]} x {data.shape[-1]} pixels"
    if tuple(axis.size for axis in observation.axes) != data.shape or data.dtype.kind not in "iuf":
        return None, f"data of shape {data.shape} do not fit their axes"
    quality["bad_share"] = 0.0
    quality["rows_missing_share"] = 1.0 - float(observation.row_seen.mean())
    counts = data[observation.row_seen]
    # Unsigned numbers are counts; of stacks of patterns no copy is made that is not needed.
    if counts.dtype.kind != "u":
        numbers = np.asarray(counts, dtype=np.float64)
        good = np.isfinite(numbers) & (numbers >= 0.0) & (numbers < 1e15)
        quality["bad_share"] = 1.0 - float(good.mean())
        if quality["bad_share"] > MOST_BAD:
            return None, f"{100 * quality['bad_share']:.0f} % of the values are no counts"
        counts = np.where(good, numbers, 0.0)
    quality["electrons"] = float(counts.sum(dtype=np.float64))
    if quality["electrons"] <= 0.0:
        return None, "it is blank"
    if float(counts.max()) == float(counts.min()):
        return None, "all values are the same"
    if quality["saturated_share"] > MOST_SATURATED:
        return None, f"{100 * quality['saturated_share']:.1f} % of the values are saturated"
    return counts, ""


def _atoms(atoms: Atoms | None) -> Told:
    if atoms is None:
        return {}, {}
    told = {f"{name}_per_nm2": atoms.told(name) for name in atoms.names}
    return {"snr": max(each.value / each.sd for each in told.values()), "misfit": atoms.misfit}, told
