"""All that a microscope can see of a specimen, by mode: what an incident electron is expected to leave at each pixel.

One specimen state gives all signals, for one scan of each world of a batch: images (HAADF, ABF, BF, HRTEM) have one
value a pixel, (B, H, W), spectra (EELS, EDS) E channels, and patterns (CBED, 4D-STEM) (K, K).

Electrons go to one place each: HAADF takes those that are scattered into its annulus, BF and ABF share what stays in
the cone of the beam (``cone``), and the rest is lost between and beyond them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
import torch
from torch import Tensor

from digital_twin.cone import followed_mrad, shared_out
from digital_twin.detectors import Column, Spectrometer, WIDEST_mrad, elastic_per_nm, haadf_fraction, scattered
from digital_twin.imaging import Care, Share, expected_spectra, expected_xrays, incoherent, widened
from digital_twin.optics import Aberrations, farthest_C10_nm
from digital_twin.patterns import Camera, patterns
from digital_twin.phase_contrast import Detector
from digital_twin.shortcuts import NONE, Shortcuts
from digital_twin.specimen import Grid, Specimen, worlds_of
from digital_twin.tilted import Tilted
from digital_twin.waves import hrtem, largest_mrad, transmission
from digital_twin.xrays import XraySpectrometer
from hardware_bridge.messages import Mode

BF_SHARE = 0.5
"""The bright-field detector sees the inner part of the cone, up to this share of its semi-angle; ABF sees the rest."""

MARGIN_SHARE = 0.125
"""Of a broad-beam field, on either side of it: what lies there blurs into it."""


@dataclass(frozen=True)
class Look:
    """One scan of each world: where its pixels are, and the column's aberrations, to which the specimen adds height.

    ``zero_loss_eV`` (B, H) is how far the zero loss has wandered in each row; None is nowhere. ``slopes`` (B, 4) are
    those of tilted specimens: x and y in nm of a point that keeps its height, and how much higher one gets a nm along x
    and y; None is level.
    """

    grids: Sequence[Grid]
    aberrations: Sequence[Aberrations]
    zero_loss_eV: Tensor | None = None
    slopes: Tensor | None = None

    def part(self, some: Sequence[int]) -> Look:
        """Some of the scans, each still in its world."""
        placed = [replace(grid, world=world) for grid, world in zip(self.grids, worlds_of(self.grids), strict=True)]
        zero, slopes = (None if each is None else each[list(some)] for each in (self.zero_loss_eV, self.slopes))
        return Look([placed[n] for n in some], [self.aberrations[n] for n in some], zero, slopes)


class Signals:
    """What specimens of some materials show in a column; tables are computed once."""

    def __init__(
        self, specimen: Specimen, column: Column, zero_loss_eV: float = 0.0, shortcuts: Shortcuts = NONE
    ) -> None:
        self.specimen, self.column, self._shortcuts = specimen, column, shortcuts
        self._losses = Spectrometer(specimen.materials, column, specimen.device, zero_loss_eV)
        self._xrays = XraySpectrometer(column.xrays, specimen.materials, column.beam_energy_keV, specimen.device)

    def expected(self, mode: Mode, look: Look) -> Tensor:
        """Shares of the incident electrons, (B, H, W, ...), that each detector element counts at each pixel.

        Of EDS it is X-rays an electron; they take none away. Of HRTEM it is relative to what falls on a pixel's area.
        """
        if mode == "HAADF":
            return self._incoherent(look, self._annular)
        if mode == "EELS":
            return expected_spectra(self.specimen, look.grids, self._losses, look.zero_loss_eV)
        if mode == "EDS":
            return expected_xrays(self.specimen, look.grids, self._xrays)
        if mode == "HRTEM":
            return self._broad(look)
        if mode in ("CBED", "4DSTEM"):
            return self._patterns(look, self.column.pattern_pixels[mode])
        middle = BF_SHARE * self.column.convergence_mrad
        return self._bright(look, (0.0, middle) if mode == "BF" else (middle, self.column.convergence_mrad))

    def _incoherent(self, look: Look, share: Share) -> Tensor:
        care = Care(focus_parts=self._shortcuts.focus_parts)
        return incoherent(self._standing(look), look.grids, self.column, look.aberrations, share, care)

    def _annular(self, matter: Tensor, pixels_nm: Sequence[float]) -> Tensor:
        return haadf_fraction(matter, self.specimen.materials, self.column, pixels_nm)

    def _kept(self, matter: Tensor, within_mrad: float) -> Tensor:
        """Share of the electrons that no atom scatters farther than an angle, of (B, M, H, W) thicknesses."""
        rates = elastic_per_nm(self.specimen.materials, self.column, within_mrad, WIDEST_mrad)
        return torch.exp(-torch.einsum("bmhw,m->bhw", matter, torch.from_numpy(rates).to(matter)))

    def _bright(self, look: Look, detector: Detector) -> Tensor:
        """BF or ABF: what stays in the cone, shared out in it by the phase of the specimen.

        The phase is imaged at the mean height of the field. What the wave itself sends out of the cone is not taken off
        again.
        """
        probe, at_height = self.column.coherent_probe(), self._at_height(look)
        alike: dict[float, list[int]] = {}
        for n, (grid, each) in enumerate(zip(look.grids, at_height, strict=True)):
            alike.setdefault(followed_mrad(grid, each, probe), []).append(n)
        image = shared_out(self.specimen, look.grids, at_height, probe, detector)
        for within_mrad, some in alike.items():
            beyond = within_mrad, WIDEST_mrad

            def stays(matter: Tensor, pixels_nm: Sequence[float], beyond: tuple[float, float] = beyond) -> Tensor:
                return 1 - scattered(matter, self.specimen.materials, self.column, beyond, pixels_nm)

            image[some] *= self._incoherent(look.part(some), stays)
        return image

    def _broad(self, look: Look) -> Tensor:
        """HRTEM with an objective aperture: nothing that is scattered farther reaches the camera.

        Single atoms scatter beyond it as tables say; of structure that pixels resolve the aperture cuts the wave.
        """
        rows, columns = len(look.grids[0].origin_nm), look.grids[0].columns
        margin = (scipy.fft.next_fast_len(math.ceil((1 + 2 * MARGIN_SHARE) * max(rows, columns))) - rows) // 2
        wide = [widened(grid, margin) for grid in look.grids]
        potential, matter = self.specimen.potential_V_nm(wide), self.specimen.project(wide)
        energy, stop = self.column.beam_energy_keV, self.column.objective_mrad
        images = []
        for grid, each, volts, layers in zip(look.grids, self._at_height(look), potential, matter, strict=True):
            sampled = largest_mrad(grid.pixel_nm, energy)
            missed = 1 - self._kept(layers[None], stop)[0]
            lens = self.column.lens(stop if stop <= sampled else None)
            image = hrtem(transmission(volts, energy, missed)[None], [grid.pixel_nm], [each], lens)[0]
            images.append(image[margin : margin + rows, margin : margin + columns])
        return torch.stack(images)

    def _patterns(self, look: Look, size: int) -> Tensor:
        """A pattern at every pixel, (B, H, W, size, size): of the probe through the potential, and what it loses."""
        camera = Camera(self.column, size, self._shortcuts)
        return patterns(self.specimen, look.grids, self._at_height(look), camera)

    def _standing(self, look: Look) -> Specimen:
        """The specimen as it stands in a look."""
        return self.specimen if look.slopes is None else Tilted(self.specimen, look.slopes)

    def _at_height(self, look: Look) -> list[Aberrations]:
        """The aberrations with the height of the middle of each field added to C10, none beyond ``farthest_C10_nm``."""
        middles = np.stack([grid.corners().mean(axis=0) for grid in look.grids])[:, :, None]
        at = torch.from_numpy(middles).to(self.specimen.device)
        heights = self._standing(look).height_nm(at[:, 0], at[:, 1], worlds_of(look.grids))[:, 0].tolist()
        most_nm = farthest_C10_nm(self.column.probe())
        return [
            replace(each, C10_nm=min(max(float(each.C10_nm) + height, -most_nm), most_nm))
            for each, height in zip(look.aberrations, heights, strict=True)
        ]
