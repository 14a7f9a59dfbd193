"""Energy-dispersive X-ray spectra: expected counts per incident electron and channel of a thin specimen.

A line of element A gives N_A sigma omega a epsilon Omega / 4 pi counts per incident electron (N_A atoms per area,
ionisation cross-section, fluorescence yield, share of the line, detector efficiency, solid angle), so that Cliff and
Lorimer's C_A / C_B = k_AB I_A / I_B holds in thin films (J. Microsc. 103 (1975) 203). X-rays take no electrons away:
a spectrum adds nothing to, and takes nothing from, what other detectors count.

Bremsstrahlung is Kramers', k dsigma / dk = 16 pi / (3 sqrt 3) alpha r_e^2 Z^2 / beta^2 (H. A. Kramers, Phil. Mag. 46
(1923) 836), the same in all directions; in truth less of it goes backwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import erf
from torch import Tensor

from digital_twin.materials import Material
from digital_twin.optics import Array
from digital_twin.spectra import REST_ENERGY_eV
from digital_twin.xray_lines import Line, absorption_per_nm, element, lines

MN_KA_eV = 5895.0
PAIR_eV, FANO = 3.65, 0.12
"""Energy of an electron-hole pair in silicon and its Fano factor: 5.545 F eps E is what they add to FWHM^2."""

KRAMERS_nm2 = 16 * math.pi / (3 * math.sqrt(3)) / 137.035999 * 2.8179403e-6**2
SILICON = ((14, 1.0),), 2.33


@dataclass(frozen=True)
class XrayDetector:
    """A windowless silicon drift detector and its axis.

    Solid angle, elevation, dead layer and thickness are those of abTEM's windowless detector (examples with 0.7 sr and
    take-off angles of 18 and 22 deg; 50 nm, 450 um); NIST's NeXLSpectrum has 30 nm and 370 um, Y. Liao knows up to
    0.9 sr (globalsino.com, EM/page4631). Resolution: between 125 eV, a drift detector at its best, and the 140 eV at
    which TESCAN accepts one (Expert PI); NeXLSpectrum has 132 eV. At ``resolution_eV`` 0 lines have no width.
    Efficiency is what passes the dead layer and is stopped by the crystal.
    """

    solid_angle_sr: float = 0.7
    elevation_deg: float = 20.0
    resolution_eV: float = 130.0
    dead_layer_nm: float = 50.0
    thickness_nm: float = 4.5e5
    energy_offset_eV: float = 0.0
    energy_step_eV: float = 10.0
    energy_channels: int = 2048

    def __post_init__(self) -> None:
        least_eV = math.sqrt(5.545 * FANO * PAIR_eV * MN_KA_eV)
        if self.resolution_eV != 0 and not self.resolution_eV >= least_eV:
            raise ValueError(f"resolution_eV {self.resolution_eV:g}: 0, or what silicon allows, {least_eV:.1f} or more")
        if not 0 < self.solid_angle_sr <= 4 * math.pi:
            raise ValueError(f"solid_angle_sr {self.solid_angle_sr:g}: above 0, up to 4 pi")
        if not 0 < self.elevation_deg <= 90:
            raise ValueError(f"elevation_deg {self.elevation_deg:g}: above 0, up to 90")

    def energy_axis_eV(self) -> Array:
        """Centres of the channels, (E,) eV."""
        return self.energy_offset_eV + self.energy_step_eV * np.arange(self.energy_channels, dtype=np.float64)

    @property
    def solid_share(self) -> float:
        """Share of all directions that the detector covers."""
        return self.solid_angle_sr / (4 * math.pi)

    @property
    def way_out(self) -> float:
        """How much matter X-rays pass on their way out, of the specimen's thickness: half of it, aslant."""
        return 0.5 / math.sin(math.radians(self.elevation_deg))

    def fwhm_eV(self, energy_eV: Array) -> Array:
        """Width of a line, FWHM^2 = FWHM_e^2 + 5.545 F eps E; ``resolution_eV`` at Mn K alpha, 0 if that is 0."""
        if self.resolution_eV == 0:
            return np.zeros_like(energy_eV)
        return np.sqrt(self.resolution_eV**2 + 5.545 * FANO * PAIR_eV * (energy_eV - MN_KA_eV))

    def efficiency(self, energy_eV: Array) -> Array:
        """Share of the photons that fall on the detector which it counts."""
        per_nm = absorption_per_nm(*SILICON, np.asarray(energy_eV, dtype=np.float64))
        return np.asarray(np.exp(-per_nm * self.dead_layer_nm) * -np.expm1(-per_nm * self.thickness_nm))


def kramers_nm2_per_eV(atomic_number: int, energy_eV: Array, beam_energy_keV: float) -> Array:
    """Cross-section of one atom for bremsstrahlung, nm^2 per eV; zero above the beam energy."""
    speed2 = 1 - 1 / (1 + 1e3 * beam_energy_keV / REST_ENERGY_eV) ** 2
    sigma = KRAMERS_nm2 * atomic_number**2 / speed2 / np.maximum(energy_eV, 1.0)
    return np.where((energy_eV > 0) & (energy_eV < 1e3 * beam_energy_keV), sigma, 0.0)


class XraySpectrometer:
    """Expected X-ray spectra of mixtures of materials; all tables are computed once.

    ``lines`` are all lines on the axis, each element once.
    """

    def __init__(
        self,
        detector: XrayDetector,
        materials: Sequence[Material],
        beam_energy_keV: float,
        device: torch.device | str = "cpu",
    ) -> None:
        self.detector = detector
        self.axis_eV = detector.energy_axis_eV()
        present = sorted({z for material in materials for z, _ in material.atoms})
        top_eV = min(self.axis_eV[-1], 1e3 * beam_energy_keV)
        self.lines: tuple[Line, ...] = tuple(
            line for z in present for line in lines(z, beam_energy_keV) if self.axis_eV[0] < line.energy_eV < top_eV
        )
        energy = np.array([line.energy_eV for line in self.lines])
        caught, path = detector.solid_share, detector.way_out
        per_nm = [{z: material.formula_per_nm3 * number for z, number in material.atoms} for material in materials]
        emission = np.array(
            [[atoms.get(line.element, 0.0) * line.emission_nm2 for line in self.lines] for atoms in per_nm]
        )
        continuum = np.array(
            [
                sum(n * kramers_nm2_per_eV(z, self.axis_eV, beam_energy_keV) for z, n in atoms.items())
                for atoms in per_nm
            ]
        )
        at = np.concatenate([energy, self.axis_eV])
        absorbed = np.array([absorption_per_nm(m.atoms, m.density_g_per_cm3, at) for m in materials])
        floor = np.maximum(self.axis_eV, 100.0)
        tables = (
            emission * caught * detector.efficiency(energy),
            path * absorbed[:, : energy.size],
            self._shapes(energy),
            continuum * caught * detector.efficiency(floor) * detector.energy_step_eV * (self.axis_eV >= 100.0),
            path * absorbed[:, energy.size :],
        )
        tensors = (torch.from_numpy(np.ascontiguousarray(table)).to(device) for table in tables)
        self._emission, self._line_path, self._shape, self._continuum, self._path = tensors

    def _shapes(self, energy_eV: Array) -> Array:
        """Shares of each line in each channel, (L, E): Gaussians, integrated over channels."""
        step = self.detector.energy_step_eV
        edges = np.append(self.axis_eV - step / 2, self.axis_eV[-1] + step / 2)
        width = np.maximum(self.detector.fwhm_eV(energy_eV)[:, None] / math.sqrt(8 * math.log(2)), 1e-6 * step)
        return np.asarray(np.diff(0.5 * erf((edges - energy_eV[:, None]) / (math.sqrt(2) * width)), axis=-1))

    def line_counts(self, thickness_nm: Tensor) -> Tensor:
        """Counts per incident electron in each of ``lines``, (..., L), of thicknesses (..., M) of the materials.

        What is absorbed on the way out is that of a slab in which all materials are mixed and the X-rays start halfway.
        """
        return (thickness_nm @ self._emission).mul_(torch.exp(-(thickness_nm @ self._line_path)))

    def expected(self, thickness_nm: Tensor) -> Tensor:
        """Counts per incident electron and channel, (..., E), of thicknesses (..., M) of the materials in nm."""
        counts: Tensor = self.line_counts(thickness_nm) @ self._shape
        return counts.add_((thickness_nm @ self._continuum).mul_(torch.exp(-(thickness_nm @ self._path))))


def k_factor(one: tuple[int, str], other: tuple[int, str], beam_energy_keV: float, detector: XrayDetector) -> float:
    """Cliff and Lorimer's k of two families of lines: ratio of mass fractions = k times the ratio of counts.

    A family is an element with the beginning of its lines' names: ``(26, "Ka")`` or ``(78, "L")``.

    Raises:
        ValueError: an element has no such line.
    """
    per_mass = [_counts_per_mass(*family, beam_energy_keV, detector) for family in (one, other)]
    return per_mass[1] / per_mass[0]


def _counts_per_mass(atomic_number: int, family: str, beam_energy_keV: float, detector: XrayDetector) -> float:
    found = [line for line in lines(atomic_number, beam_energy_keV) if line.name.startswith(family)]
    if not found:
        raise ValueError(f"family {family}: element {atomic_number} has no such line")
    efficiency = detector.efficiency(np.array([line.energy_eV for line in found]))
    counts = sum(line.emission_nm2 * float(seen) for line, seen in zip(found, efficiency, strict=True))
    return counts / float(element(atomic_number)["molar_mass"])
