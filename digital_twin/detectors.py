"""What of the matter under the beam reaches the detectors: expected HAADF signal and energy-loss spectra."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from digital_twin import optics
from digital_twin.broadening import Layers, broadening_fwhm_nm
from digital_twin.elastic import annular_nm2
from digital_twin.materials import Material, edges_of
from digital_twin.optics import Array
from digital_twin.spectra import (
    SpectrumModel,
    drude,
    edge_nm2_per_eV,
    energy_axis_eV,
    inelastic_mean_free_path_nm,
)
from digital_twin.waves import Lens, Probe
from digital_twin.xrays import XrayDetector
from hardware_bridge.messages import Mode

WIDEST_mrad = 1000.0
"""Beyond this angle next to nothing is scattered."""

FAINT_LOSS = 0.01
"""A spread of focus takes three times as long to compute; where it loses less than this of the peak it is not.

Of the default column it would lose 0.006: its probe is 44 nm deep, its focus spread by 3 nm.
"""

SHARPEST = 0.1
"""Full width of the sharpest zero loss, in channels."""

SATURATION_NM = 0.3
"""About the distance of atoms: matter is not thicker than its mean over this."""


@dataclass(frozen=True)
class Column:
    """The fixed part of the column: beam energy, angles, the spectrometer's axis, the X-ray detector and the cameras.

    One energy axis that begins below the zero loss and reaches beyond the core edges holds what dual EELS takes in two
    exposures, all in one dose. A broad beam lights a disc of ``lit_diameter_nm`` and is seen through an objective
    aperture of ``objective_mrad``; ``source_angle_mrad`` is the 1/e half-angle of its illumination. A camera of
    ``pattern_pixels`` a side, by mode, sees diffraction up to ``pattern_mrad`` in either direction. What lies ``above``
    the plane that is looked at, materials and nm from the gun on, widens the probe of images seen incoherently.

    ``energy_fwhm_eV`` is how sharp spectra are (0: as their channels), of which the beam's own energies take
    ``gun_fwhm_eV``; with the chromatic aberration ``chromatic_mm`` (0: none) these spread the focus. 0.7 eV is a
    Schottky emitter's, a cold one has 0.3 eV (Y. Liao, Practical Electron Microscopy and Database, globalsino.com/EM/
    page4960.html). Spectra of 1.5 eV, 1.5 channels, stand above the 1.2 eV (sd 0.5 eV) of Nion Swift's usim, where
    channels are half as wide. Cc is a Titan's (a diploma thesis, yumpu.com 20758619). The image of the source: 50 pA =
    B pi^2 d^2 alpha^2 / 4 in 10 mrad makes d 0.16 nm at the brightness in JEOL's glossary, 0.29 nm at that thesis's.

    With ``all_orders`` atoms scatter as ``elastic`` says to all orders, else in first Born approximation, which is 6 %
    too bright for copper at 200 kV: where only the contrast of one element counts, that is a matter of scale.
    """

    beam_energy_keV: float = 200.0
    convergence_mrad: float = 10.0
    collection_mrad: float = 20.0
    haadf_inner_mrad: float = 40.0
    haadf_outer_mrad: float = 180.0
    energy_offset_eV: float = -20.0
    energy_step_eV: float = 1.0
    energy_channels: int = 1200
    energy_fwhm_eV: float = 1.5
    gun_fwhm_eV: float = 0.7
    source_fwhm_nm: float = 0.2
    xrays: XrayDetector = field(default_factory=XrayDetector)
    chromatic_mm: float = 1.2
    source_angle_mrad: float = 0.1
    objective_mrad: float = 20.0
    lit_diameter_nm: float = 1000.0
    pattern_mrad: float = 30.0
    pattern_pixels: Mapping[Mode, int] = field(default_factory=lambda: {"CBED": 128, "4DSTEM": 64})
    above: Layers = ()
    all_orders: bool = False

    @property
    def energy_spread_eV(self) -> float:
        """The 1/e half-width of the energies in the beam, of which ``gun_fwhm_eV`` is the full width at half."""
        return self.gun_fwhm_eV / (2 * math.sqrt(math.log(2)))

    @property
    def peak_fwhm_eV(self) -> float:
        """Width of the zero loss as it is sampled: a peak much sharper than a channel lies in one, or in two."""
        return max(self.energy_fwhm_eV, SHARPEST * self.energy_step_eV)

    def lens(self, objective_mrad: float | None) -> Lens:
        """The column as a broad beam sees it, through an aperture if one is given."""
        return Lens(
            self.beam_energy_keV, objective_mrad, self.chromatic_mm, self.energy_spread_eV, self.source_angle_mrad
        )

    def coherent_probe(self) -> Probe:
        """The probe with all that makes it partly coherent."""
        return Probe(
            self.beam_energy_keV, self.convergence_mrad, self.source_fwhm_nm, self.chromatic_mm, self.energy_spread_eV
        )

    def __post_init__(self) -> None:
        for name in ("beam_energy_keV", "convergence_mrad", "collection_mrad", "energy_step_eV"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} {getattr(self, name):g}: above 0 and finite")
        if not 0 <= self.energy_fwhm_eV < math.inf:
            raise ValueError(f"energy_fwhm_eV {self.energy_fwhm_eV:g}: at least 0 and finite")
        if not 0 <= self.gun_fwhm_eV <= self.energy_fwhm_eV:
            limit = f"0 to energy_fwhm_eV, {self.energy_fwhm_eV:g}: no spectrum is sharper than the beam"
            raise ValueError(f"gun_fwhm_eV {self.gun_fwhm_eV:g}: {limit}")
        if not 0 <= self.chromatic_mm < math.inf:
            raise ValueError(f"chromatic_mm {self.chromatic_mm:g}: at least 0 and finite")
        if not 0 <= self.haadf_inner_mrad < self.haadf_outer_mrad <= WIDEST_mrad:
            span = f"{self.haadf_inner_mrad:g} to {self.haadf_outer_mrad:g}"
            raise ValueError(f"haadf_inner_mrad and haadf_outer_mrad {span}: rising, up to {WIDEST_mrad:g}")
        if not self.collection_mrad < WIDEST_mrad:
            raise ValueError(f"collection_mrad {self.collection_mrad:g}: below {WIDEST_mrad:g}")
        for material, thickness_nm in self.above:
            if not 0 <= thickness_nm < math.inf:
                raise ValueError(f"above: {thickness_nm:g} nm of {material.name}: at least 0 and finite")
        origin = -self.energy_offset_eV / self.energy_step_eV
        if not (abs(origin - round(origin)) < 1e-6 and 0 <= round(origin) < self.energy_channels - 1):
            first = f"energy_offset_eV {self.energy_offset_eV:g}"
            raise ValueError(f"{first}: a channel before the last of {self.energy_channels} must lie at zero loss")

    def probe(self) -> optics.Column:
        """What shapes the probe; a spread of focus that takes nothing off its peak is left out."""
        spread_nm = optics.focal_spread_nm(self.chromatic_mm, self.energy_spread_eV, self.beam_energy_keV)
        source_nm = math.hypot(self.source_fwhm_nm, broadening_fwhm_nm(self.above, self.beam_energy_keV))
        column = optics.Column(self.beam_energy_keV, self.convergence_mrad, source_nm, spread_nm)
        return column if optics.spread_loss(column) > FAINT_LOSS else replace(column, focal_spread_nm=0.0)

    def energy_axis_eV(self) -> Array:
        """Centres of the channels, (E,) eV."""
        return energy_axis_eV(self.energy_offset_eV, self.energy_step_eV, self.energy_channels)


def elastic_per_nm(materials: Sequence[Material], column: Column, inner_mrad: float, outer_mrad: float) -> Array:
    """Chance per nm of scattering between two angles, n sigma, of each material, (M,)."""
    return np.array(
        [
            material.formula_per_nm3
            * sum(
                number * annular_nm2(z, column.beam_energy_keV, inner_mrad, outer_mrad, column.all_orders)
                for z, number in material.atoms
            )
            for material in materials
        ]
    )


def haadf_fraction(
    thickness_nm: Tensor, materials: Sequence[Material], column: Column, pixels_nm: Sequence[float] = ()
) -> Tensor:
    """Share of the incident electrons that reaches the annulus, (B, H, W), of thicknesses (B, M, H, W)."""
    return scattered(thickness_nm, materials, column, (column.haadf_inner_mrad, column.haadf_outer_mrad), pixels_nm)


def scattered(
    thickness_nm: Tensor,
    materials: Sequence[Material],
    column: Column,
    annulus_mrad: tuple[float, float],
    pixels_nm: Sequence[float] = (),
) -> Tensor:
    """Share of the electrons that atoms scatter between two angles, (B, H, W), of thicknesses (B, M, H, W).

    1 - exp(-sum n sigma t): linear where thin, saturating where thick. A single atom is not thick, however small the
    pixel that holds it: where ``pixels_nm`` of the scans (B,) are finer than SATURATION_NM, how much they saturate is
    told by means over squares of that size.
    """
    rates = elastic_per_nm(materials, column, *annulus_mrad).tolist()
    exponent: Tensor = -rates[0] * thickness_nm[:, 0]
    for rate, layer in zip(rates[1:], thickness_nm[:, 1:].unbind(1), strict=True):
        exponent -= rate * layer
    fine = {n: round(SATURATION_NM / pixel_nm) for n, pixel_nm in enumerate(pixels_nm) if pixel_nm < SATURATION_NM / 2}
    shares = [_finely_saturated(exponent[n], square) for n, square in fine.items()]
    exponent.expm1_().neg_()
    if fine:
        exponent[list(fine)] = torch.stack(shares)
    return exponent


def _finely_saturated(exponent: Tensor, square: int) -> Tensor:
    """Shares (H, W) of exponents -n sigma t: as many electrons from a square of pixels as from one large pixel."""
    means = avg_pool2d(exponent[None], square, ceil_mode=True)[0].clamp(max=-1e-12)
    factors = (means.expm1() / means).repeat_interleave(square, 0).repeat_interleave(square, 1)
    height, width = exponent.shape
    return -exponent * factors[:height, :width]


class Spectrometer:
    """Expected spectra of mixtures of materials; cross-sections are computed once.

    ``spectra.SpectrumModel`` in torch on a device, less what the collection aperture misses. The zero loss lies at
    ``zero_loss_eV`` of the column's axis. All is float64: of a spectrum whose channels span six decades, float32 leaves
    2 % of error in core edges.
    """

    def __init__(
        self,
        materials: Sequence[Material],
        column: Column,
        device: torch.device | str = "cpu",
        zero_loss_eV: float = 0.0,
    ) -> None:
        self.axis_eV = column.energy_axis_eV()
        energy, collection = column.beam_energy_keV, column.collection_mrad
        self.free_path_nm: Array = np.array(
            [
                inelastic_mean_free_path_nm(m.density_g_per_cm3, energy, column.convergence_mrad, collection)
                for m in materials
            ]
        )
        single = np.array([drude(self.axis_eV, m.plasmon_eV, m.plasmon_width_eV) for m in materials])
        present = edges_of(materials)
        edges = np.array([edge_nm2_per_eV(edge, self.axis_eV, energy, collection) for edge in present])
        model = SpectrumModel(
            self.axis_eV, column.peak_fwhm_eV, single, edges.reshape(len(present), self.axis_eV.size), zero_loss_eV
        )
        self._size = model.size
        self._fwhm_eV, self._zero_loss_eV = column.peak_fwhm_eV, zero_loss_eV
        # Atoms per nm^3 of each material that have each of the edges.
        atoms_per_nm3 = np.zeros((len(materials), len(present)))
        for row, material in enumerate(materials):
            for edge, number in material.edges:
                atoms_per_nm3[row, present.index(edge)] = number * material.formula_per_nm3
        rates = np.stack([elastic_per_nm(materials, column, collection, WIDEST_mrad), 1 / self.free_path_nm], axis=-1)
        tables = (rates, atoms_per_nm3, np.concatenate([model.single, model.edges]).view(np.float64), model.peak)
        self._rates, self._atoms_per_nm3, self._losses, self._peak = (torch.from_numpy(t).to(device) for t in tables)

    def probabilities(self, thickness_nm: Tensor, wander_eV: Tensor | None = None) -> Tensor:
        """Chance of an incident electron to land in each channel, (..., E), for thicknesses (..., M) of the materials.

        What is scattered elastically beyond the collection angle is lost, to the HAADF detector or altogether; what
        loses more energy than the axis holds is beyond its end. ``wander_eV``, of a shape that broadcasts with (...),
        moves the zero loss and everything along with it.
        """
        return self._transformed(thickness_nm, wander_eV)[..., : self.axis_eV.size].clamp(min=0.0)

    def _transformed(self, thickness_nm: Tensor, wander_eV: Tensor | None = None) -> Tensor:
        """The chances in all channels of the transform, which go on beyond the end of the axis."""
        missed, total = (thickness_nm @ self._rates).unbind(-1)
        atoms = thickness_nm @ self._atoms_per_nm3
        core = atoms @ self._losses[len(self.free_path_nm) :, 0]
        plasmon = (1 - core / total.clamp(min=1e-12)).clamp(min=0.0)
        # Two real tables, interleaved, cost less than a complex one.
        weights = torch.cat([(plasmon[..., None] * thickness_nm) * self._rates[:, 1], atoms], dim=-1)
        exponent = (weights @ self._losses).view(*weights.shape[:-1], -1, 2)
        damping = torch.exp(exponent[..., 0] - (total + missed)[..., None])
        turn = exponent[..., 1]
        peak = self._peak if wander_eV is None else self._moved(wander_eV)
        spectrum = torch.complex(turn.cos().mul_(damping), turn.sin().mul_(damping)).mul_(peak)
        shares: Tensor = torch.fft.irfft(spectrum, self._size)
        return shares

    def _moved(self, wander_eV: Tensor) -> Tensor:
        """Transforms of the zero loss, moved: sampled anew, since one narrower than two channels cannot be shifted."""
        axis = torch.from_numpy(self.axis_eV).to(wander_eV)
        peak = torch.exp(-4 * math.log(2) * ((axis - self._zero_loss_eV - wander_eV[..., None]) / self._fwhm_eV) ** 2)
        spectrum: Tensor = torch.fft.rfft(peak / peak.sum(-1, keepdim=True), self._size)
        return spectrum
