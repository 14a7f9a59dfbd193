"""Diffraction patterns of whole scans (CBED, 4D-STEM): one of the probe through the potential at every pixel.

The potential is drawn in strips along each row of the scan, as fine as the camera's angles ask for, and each probe is
followed over a patch of its strip that is as wide as the probe, whatever the batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from digital_twin.detectors import Column, WIDEST_mrad, elastic_per_nm
from digital_twin.materials import mean_potential_V_nm
from digital_twin.optics import Aberrations, blur_extent_nm, interaction_rad_per_V_A, wavelength_nm
from digital_twin.shortcuts import Shortcuts
from digital_twin.specimen import Grid, Specimen, worlds_of
from digital_twin.waves import Probe, cbed, cone, transmission

STRIP_PIXELS = 2048
"""Longest strip of the specimen, in pixels of its potential, that neighbouring probes share."""

BAND = 256
"""Rows of a strip that are drawn at a time, for the sake of a processor's cache."""


@dataclass(frozen=True)
class Camera:
    """What patterns are taken with: ``size`` pixels a side, each strip of the specimen ``pixel_nm`` a pixel."""

    column: Column
    size: int
    shortcuts: Shortcuts

    @property
    def pixel_nm(self) -> float:
        """The coarsest pixel of the specimen that still scatters into the corners of the camera."""
        return 1e3 * wavelength_nm(self.column.beam_energy_keV) / (2 * self.column.pattern_mrad)

    def patch(self, aberrations: Aberrations) -> int:
        """How many pixels of the specimen a probe lights, along either direction: a multiple of the camera's."""
        blur = blur_extent_nm(aberrations, self.column.probe()) / self.pixel_nm
        times: int = 1 << max(0, math.ceil(math.log2(blur / self.size)))
        return self.size * min(self.shortcuts.largest_patch, times)


def patterns(specimen: Specimen, grids: Sequence[Grid], at_height: Sequence[Aberrations], camera: Camera) -> Tensor:
    """A pattern at every pixel, (B, H, W, size, size) float32: shares of the incident electrons.

    ``at_height`` are the aberrations of each scan at the height of the specimen.
    """
    rows, columns, size = len(grids[0].origin_nm), grids[0].columns, camera.size
    taken = torch.empty(len(grids), rows, columns, size, size, device=specimen.device)
    wides = [camera.patch(each) for each in at_height]
    placed = [replace(grid, world=world) for grid, world in zip(grids, worlds_of(grids), strict=True)]
    for wide in sorted(set(wides)):
        some = [n for n, own in enumerate(wides) if own == wide]
        mine, lenses = [placed[n] for n in some], [at_height[n] for n in some]
        apart = max(grid.pixel_nm for grid in mine) / camera.pixel_nm
        together = max(1, min(columns, int((STRIP_PIXELS - size) // apart)))
        for row in range(rows):
            for first in range(0, columns, together):
                probes = range(first, min(first + together, columns))
                taken[some, row, first : probes.stop] = _strip(specimen, mine, lenses, (row, probes, wide), camera)
    return taken


def _strip(
    specimen: Specimen,
    grids: Sequence[Grid],
    at_height: Sequence[Aberrations],
    where: tuple[int, range, int],
    camera: Camera,
) -> Tensor:
    """Patterns (B, P, size, size) of neighbouring probes of one row, each on a patch of so many pixels."""
    (row, probes, wide), pixel_nm, cell = where, camera.pixel_nm, camera.shortcuts.matter_px
    apart = max(grid.pixel_nm for grid in grids) / pixel_nm
    length = wide + 2 + math.ceil(apart * (len(probes) - 1)) if len(probes) > 1 else wide
    strips, places = [], []
    for grid in grids:
        across, down = (pixel_nm / grid.pixel_nm * step for step in (grid.across_nm, grid.down_nm))
        start = grid.origin_nm[row] + probes.start * grid.across_nm - (wide // 2) * (across + down)
        start = start + (cell - 1) / 2 * (across + down)
        origin = start + cell * np.arange(math.ceil(wide / cell))[:, None] * down
        strips.append(Grid(origin, cell * across, cell * down, math.ceil(length / cell), grid.world))
        steps = np.arange(len(probes)) * grid.pixel_nm / pixel_nm + wide // 2
        places.append(np.column_stack([np.full(len(probes), wide // 2), steps]))
    waves = _transmitted(specimen, strips, camera, (wide, length))
    probe = camera.column.coherent_probe()
    if wide > camera.shortcuts.sharp_patch * camera.size:
        probe = replace(probe, source_fwhm_nm=0.0, chromatic_mm=0.0)
    at = torch.from_numpy(np.stack(places)).to(specimen.device)
    taken = torch.empty(len(grids), len(probes), camera.size, camera.size, device=specimen.device)
    for pattern, wave, place, each in zip(taken, waves, at, at_height, strict=True):
        if wave.numel() == 1:
            pattern[:] = _undeflected(camera.size, wide, pixel_nm, probe, wave.device) * wave.abs().square()
        else:
            pattern[:] = binned(cbed(wave[None], pixel_nm, place[None], wide, [each], probe)[0], camera.size)
    return taken


def _transmitted(specimen: Specimen, strips: Sequence[Grid], camera: Camera, size: tuple[int, int]) -> Iterator[Tensor]:
    """What strips multiply a wave with, (h, w) complex64 each; of squares of ``matter_px`` pixels the means are drawn.

    One by one, for the sake of a processor's cache. Of a strip that is the same everywhere it is (1, 1).
    """
    energy, cell = camera.column.beam_energy_keV, camera.shortcuts.matter_px
    lost_per_nm = elastic_per_nm(specimen.materials, camera.column, camera.column.pattern_mrad, WIDEST_mrad)
    rates = torch.from_numpy(lost_per_nm).to(specimen.device)
    if cell == 1:
        for strip in strips:
            wave = torch.empty(len(strip.origin_nm), strip.columns, dtype=torch.complex64, device=specimen.device)
            for top in range(0, len(wave), BAND):
                band = replace(strip, origin_nm=strip.origin_nm[top : top + BAND])
                exponent = torch.einsum("mhw,m->hw", specimen.project([band])[0], rates)
                missed = -torch.expm1(-exponent)
                wave[top : top + BAND] = transmission(specimen.potential_V_nm([band])[0], energy, missed)
            yield wave
        return
    matter = specimen.project(strips)
    exponents = torch.einsum("bmhw,m->bhw", matter, rates)
    potential = mean_potential_V_nm(matter, specimen.materials)
    # What is the same everywhere changes nothing; without it float32 has digits enough.
    phase = 10 * interaction_rad_per_V_A(energy) * (potential - potential.mean(dim=(1, 2), keepdim=True))
    even = (matter == matter[..., :1, :1]).flatten(1).all(dim=1).tolist()
    for drawn, same in zip(torch.stack([phase, torch.exp(-exponents / 2)], dim=1).float(), even, strict=True):
        if same:
            yield drawn[1, :1, :1].to(torch.complex64)
            continue
        turn, amplitude = interpolate(drawn[None], scale_factor=cell, mode="bilinear")[0, :, : size[0], : size[1]]
        yield torch.complex(turn.cos().mul_(amplitude), turn.sin().mul_(amplitude))


@lru_cache(maxsize=16)
def _undeflected(size: int, wide: int, pixel_nm: float, probe: Probe, device: torch.device) -> Tensor:
    """The pattern of a probe that meets the same everywhere, (size, size): its cone, whatever its aberrations."""
    return binned(cone(wide, pixel_nm, probe, device)[None], size)[0]


def binned(taken: Tensor, size: int) -> Tensor:
    """Patterns (P, K, K) on a camera of fewer, larger pixels (P, size, size), their sums kept."""
    times = taken.shape[-1] // size
    if times == 1:
        return taken
    # Pixels lie about their angles: the one of angle 0 is the middle one of those that are summed.
    rolled = torch.roll(taken, (times // 2, times // 2), dims=(-2, -1))
    # In two steps, each of which a processor does many at a time.
    rows = rolled.view(-1, size, times, size * times).sum(dim=2)
    return torch.stack([rows[..., n::times] for n in range(times)]).sum(dim=0)
