"""Lines about waves: potentials, HRTEM images, patterns, BF and ABF, of one specimen at atomic resolution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count

import numpy as np
import torch
from torch import Tensor

from digital_twin import waves
from digital_twin.bright_field import bright_field
from digital_twin.materials import NITRIDE
from digital_twin.noise import poisson
from digital_twin.optics import Aberrations, wavelength_nm
from digital_twin.phase_contrast import margin_pixels, phase_contrast
from digital_twin.potential import Lattice, axes_nm, draw_atoms, finest_per_nm
from digital_twin.specimen import Grid
from digital_twin.speckle import speckle_V_nm
from experiments.benchmarks import prototype
from experiments.benchmarks.lines import Line

SIZE, PIXEL_nm, DOSE = 256, 0.03, 50.0
PATTERNS = 64
LENS, PROBE = waves.Lens(), waves.Probe()
GIVEN = Aberrations(C10_nm=-60.0, C12_nm=3.0, phi12_rad=0.4, C21_nm=40.0, phi21_rad=1.1, C23_nm=40.0, C30_um=1200.0)
CORRECTED = Aberrations(C10_nm=-5.0, C12_nm=1.0)
CUBIC_nm = 0.3905


def square(margin: int = 0) -> Grid:
    """A scan of SIZE x SIZE pixels and a margin, at rest."""
    size = SIZE + 2 * margin
    origin = np.stack([np.zeros(size), PIXEL_nm * np.arange(size)], axis=-1)
    return Grid(origin, np.array([PIXEL_nm, 0.0]), np.array([0.0, PIXEL_nm]), size)


def field(device: str, batch: int = 1, margin: int = 0) -> Tensor:
    """A rough potential, (batch, N, N) V nm."""
    size = SIZE + 2 * margin
    drawn = torch.randn(batch, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return 20.0 * drawn.to(device)


def hrtem(device: str, batch: int, changing: bool) -> Callable[[], Tensor]:
    """From the potential to counted images, with the same or with new aberrations for each."""
    volts, frames = field(device, batch), count()

    def run() -> Tensor:
        C10_nm = -60.0 - 0.01 * next(frames) if changing else -60.0
        passed = waves.transmission(volts, LENS.beam_energy_keV)
        image = waves.hrtem(passed, [PIXEL_nm] * batch, [replace(GIVEN, C10_nm=C10_nm)] * batch, LENS)
        return poisson(DOSE * image, range(batch))

    return run


def plain(device: str, batch: int) -> Callable[[], Tensor]:
    """The prototype's."""
    phases = 0.007 * field(device, batch).float()
    lens = prototype.transfer(
        *prototype.angles_mrad(SIZE, PIXEL_nm, wavelength_nm(200.0)), -60.0, 3.0, wavelength_nm(200.0)
    ).to(device)
    return lambda: prototype.hrtem(phases, lens, DOSE)


def cbed(device: str, probe: waves.Probe) -> Callable[[], Tensor]:
    """Patterns of 128 x 128 pixels, counted."""
    passed = waves.transmission(field(device), 200.0)
    places = 64 + 128 * torch.rand(1, PATTERNS, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    places = places.to(device)
    return lambda: poisson(1e5 * waves.cbed(passed, PIXEL_nm, places, 128, [CORRECTED], probe), [0])


def linear(device: str) -> Callable[[], Tensor]:
    """An ABF image of a weak object."""
    volts = field(device, margin=margin_pixels(PIXEL_nm, CORRECTED, PROBE))
    return lambda: phase_contrast(volts, PIXEL_nm, CORRECTED, PROBE, (10.0, 20.0))


def all_orders(device: str) -> Callable[[], Tensor]:
    """An ABF image of any thin object."""
    passed = waves.transmission(field(device), 200.0)
    return lambda: bright_field(passed, PIXEL_nm, [CORRECTED], PROBE, (10.0, 20.0))


def atoms(device: str) -> Callable[[], Tensor]:
    """The potential of 2400 atoms of two kinds."""
    random = np.random.default_rng(0)
    places = torch.from_numpy(random.uniform(0.0, SIZE * PIXEL_nm, (2400, 2))).to(device)
    numbers, scan = torch.tensor([42, 16] * 1200, device=device), torch.zeros(2400, dtype=torch.long, device=device)
    return lambda: draw_atoms([square()], scan, places, numbers)


def lattice(device: str) -> Callable[[], Tensor]:
    """The potential of a crystal."""
    crystal = Lattice.of_cell(np.eye(2) * CUBIC_nm, CUBIC_nm, [(38, 0, 0), (22, 0.5, 0.5), (8, 0.5, 0), (8, 0, 0.5)])
    places = axes_nm(square(), torch.device(device))
    return lambda: crystal.volts(*places, finest_per_nm(square()), 0.1)[None]


def speckle(device: str) -> Callable[[], Tensor]:
    """The grain of an amorphous film."""
    thickness_nm = torch.full((1, SIZE, SIZE), 10.0, dtype=torch.float64, device=device)
    return lambda: speckle_V_nm([square()], [0], NITRIDE, thickness_nm)


def lines(device: str) -> list[Line]:
    """All lines about waves."""
    sharp = waves.Probe(source_fwhm_nm=0.0)
    return [
        *(
            Line(
                f"HRTEM 256x256, noise, {optics}, batch {batch}",
                partial(hrtem, device, batch, bool(bar)),
                250.0 - bar,
                partial(plain, device, batch),
                per_call=batch,
            )
            for batch in (1, 16)
            for optics, bar in (("same optics", 0), ("optics changed every frame", 150))
        ),
        Line(
            f"CBED 128x128, noise, {len(PROBE.points_nm())} waves each",
            partial(cbed, device, PROBE),
            500.0,
            per_call=PATTERNS,
            unit="patterns/s",
        ),
        Line(
            f"CBED 128x128, noise, point source, {len(sharp.points_nm())} waves each",
            partial(cbed, device, sharp),
            500.0,
            per_call=PATTERNS,
            unit="patterns/s",
        ),
        Line("ABF 256x256, linear", partial(linear, device)),
        Line("ABF 256x256, all orders", partial(all_orders, device)),
        Line("potential 256x256 of 2400 atoms", partial(atoms, device)),
        Line("potential 256x256 of a crystal", partial(lattice, device)),
        Line("potential 256x256 of an amorphous film", partial(speckle, device)),
    ]
