"""What of the matter under the beam reaches the detectors: expected HAADF signal and energy-loss spectra."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from digital_twin import optics
from digital_twin.elastic import FACTORS, annular_nm2
from digital_twin.optics import Array
from digital_twin.specimen import Layers
from digital_twin.spectra import (
    CU_L3,
    N_K,
    O_K,
    SI_L3,
    SpectrumModel,
    drude,
    edge_nm2_per_eV,
    energy_axis_eV,
    inelastic_mean_free_path_nm,
)

# Number densities in formula units per nm^3, from the densities below and molar masses.
COPPER_PER_NM3 = 84.9
WATER_PER_NM3 = 33.4
NITRIDE_PER_NM3 = 13.6
ZIRCONIA_PER_NM3 = 27.8
# In the order of ``Layers``: copper, debris (zirconia), water, silicon nitride.
DENSITIES_G_PER_CM3 = (8.96, 5.68, 1.00, 3.17)
# Energy and width of the volume plasmon, eV: broad for copper; water 21 eV (Egerton, appendix C).
PLASMONS_eV = ((19.0, 15.0), (25.0, 12.0), (21.0, 12.0), (23.0, 10.0))

WIDEST_mrad = 1000.0
"""Beyond this angle next to nothing is scattered."""


@dataclass(frozen=True)
class Column:
    """The fixed part of the column: beam energy, angles, and the spectrometer's axis."""

    beam_energy_keV: float = 200.0
    convergence_mrad: float = 10.0
    collection_mrad: float = 20.0
    haadf_inner_mrad: float = 40.0
    haadf_outer_mrad: float = 180.0
    energy_offset_eV: float = -20.0
    energy_step_eV: float = 1.0
    energy_channels: int = 1200
    energy_fwhm_eV: float = 1.5
    source_fwhm_nm: float = 0.2

    def probe(self) -> optics.Column:
        """What of the column shapes the probe."""
        return optics.Column(self.beam_energy_keV, self.convergence_mrad, self.source_fwhm_nm)

    def energy_axis_eV(self) -> Array:
        """Centres of the channels, (E,) eV."""
        return energy_axis_eV(self.energy_offset_eV, self.energy_step_eV, self.energy_channels)


def elastic_per_nm(column: Column, inner_mrad: float, outer_mrad: float) -> Array:
    """Chance per nm of scattering between two angles, n sigma, in the order of ``Layers``, (4,)."""
    sigma = {z: annular_nm2(z, column.beam_energy_keV, inner_mrad, outer_mrad) for z in FACTORS}
    return np.array(
        [
            COPPER_PER_NM3 * sigma[29],
            ZIRCONIA_PER_NM3 * (sigma[40] + 2 * sigma[8]),
            WATER_PER_NM3 * (sigma[8] + 2 * sigma[1]),
            NITRIDE_PER_NM3 * (3 * sigma[14] + 4 * sigma[7]),
        ]
    )


def haadf_fraction(layers: Layers, column: Column) -> Tensor:
    """Share of the incident electrons that reaches the annulus, (B, H, W): 1 - exp(-sum n sigma t)."""
    copper, debris, water, nitride = elastic_per_nm(column, column.haadf_inner_mrad, column.haadf_outer_mrad).tolist()
    exponent: Tensor = -copper * layers.copper_nm
    exponent -= debris * layers.debris_nm
    exponent -= water * layers.water_nm
    exponent -= nitride * layers.nitride_nm
    return exponent.expm1_().neg_()


class Spectrometer:
    """Expected spectra of mixtures of copper, debris, water and nitride; cross-sections are computed once.

    ``spectra.SpectrumModel`` in torch on a device, less what the collection aperture misses. The zero loss lies at
    ``zero_loss_eV`` of the column's axis.
    """

    def __init__(self, column: Column, device: torch.device | str = "cpu", zero_loss_eV: float = 0.0) -> None:
        self.axis_eV = column.energy_axis_eV()
        energy, collection = column.beam_energy_keV, column.collection_mrad
        self.free_path_nm: Array = np.array(
            [inelastic_mean_free_path_nm(d, energy, column.convergence_mrad, collection) for d in DENSITIES_G_PER_CM3]
        )
        single = np.array([drude(self.axis_eV, *plasmon) for plasmon in PLASMONS_eV])
        edges = np.array([edge_nm2_per_eV(edge, self.axis_eV, energy, collection) for edge in (CU_L3, O_K, N_K, SI_L3)])
        model = SpectrumModel(self.axis_eV, column.energy_fwhm_eV, single, edges, zero_loss_eV)
        self._size = model.size
        # Atoms of Cu, O, N and Si per nm^3 of each layer, in the order of the edges.
        atoms_per_nm3 = np.zeros((4, 4))
        atoms_per_nm3[0, 0], atoms_per_nm3[1, 1], atoms_per_nm3[2, 1] = (
            COPPER_PER_NM3,
            2 * ZIRCONIA_PER_NM3,
            WATER_PER_NM3,
        )
        atoms_per_nm3[3, 2], atoms_per_nm3[3, 3] = 4 * NITRIDE_PER_NM3, 3 * NITRIDE_PER_NM3
        rates = np.stack([elastic_per_nm(column, collection, WIDEST_mrad), 1 / self.free_path_nm], axis=-1)
        tables = (rates, atoms_per_nm3, np.concatenate([model.single, model.edges]).view(np.float64), model.peak)
        self._rates, self._atoms_per_nm3, self._losses, self._peak = (torch.from_numpy(t).to(device) for t in tables)

    def probabilities(self, thickness_nm: Tensor) -> Tensor:
        """Chance of an incident electron to land in each channel, (..., E), for thicknesses (..., 4) of ``Layers``.

        What is scattered elastically beyond the collection angle is lost, to the HAADF detector or altogether.
        """
        missed, total = (thickness_nm @ self._rates).unbind(-1)
        atoms = thickness_nm @ self._atoms_per_nm3
        core = atoms @ self._losses[4:, 0]
        plasmon = (1 - core / total.clamp(min=1e-12)).clamp(min=0.0)
        # Two real tables, interleaved, cost less than a complex one.
        weights = torch.cat([(plasmon[..., None] * thickness_nm) * self._rates[:, 1], atoms], dim=-1)
        exponent = (weights @ self._losses).view(*weights.shape[:-1], -1, 2)
        damping = torch.exp(exponent[..., 0] - (total + missed)[..., None])
        turn = exponent[..., 1]
        spectrum = torch.complex(turn.cos().mul_(damping), turn.sin().mul_(damping)).mul_(self._peak)
        shares: Tensor = torch.fft.irfft(spectrum, self._size)[..., : self.axis_eV.size]
        return shares.clamp(min=0.0)
