"""Lines about images: objects blurred by the scanning probe and counted, noise alone, and a world drawn and imaged.

Objects are what the growth world scatters into the annulus, 0.5 nm a pixel. The prototype is given the same objects
and the same dose; it blurs them periodically, where the twin takes along a margin from outside the field.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count

import numpy as np
import torch
from torch import Tensor

from digital_twin.apparatus import START_OPTICS
from digital_twin.blur import Blur, blur_of, blurred, kernels_of
from digital_twin.detectors import Column, haadf_fraction
from digital_twin.exposure import Scan
from digital_twin.imaging import expected_haadf, widened
from digital_twin.liquid_cell import LiquidCell
from digital_twin.noise import poisson
from digital_twin.optics import Aberrations, aberrations_of, wavelength_nm
from digital_twin.specimen import Grid
from experiments.benchmarks import prototype
from experiments.benchmarks.lines import Line
from hardware_bridge.messages import Acquire

PARTICLES = 60
BATCHES = (1, 16)
SIZES = (64, 128, 256, 512)
PIXEL_NM = 0.5
ELECTRONS = 200.0
"""That fall on a pixel; some 2 to 4 % of them reach the annulus between particles, and up to a half on one."""

MEANS = (0.1, 1.0, 10.0, 100.0)
DEFOCUS_NM = -60.0
WINDOW = 9
"""Seed of a window that changes its height by some 300 nm over the field."""

FIXED_BARS = {(256, 1): (1000.0, 3.0), (64, 16): (10_000.0, None)}
"""What is asked, by pixels and batch: frames a second, and times the prototype."""

CHANGED_BARS = {(256, 1): 400.0, (64, 16): 4000.0}
"""The same with other optics for each frame: 0.4 of it."""

Work = Callable[[], Tensor]


def worlds(batch: int, device: str) -> LiquidCell:
    """Cells with particles of 3 to 20 nm radius spread over the middle 512 nm; their windows bulge alike."""
    cells = LiquidCell(*[WINDOW] * batch, device=device)
    random = np.random.default_rng(0)
    places, radii = random.uniform(-256.0, 256.0, (batch, PARTICLES, 2)), random.uniform(3.0, 20.0, (batch, PARTICLES))
    cells.world.position_nm[:, :PARTICLES] = torch.from_numpy(places)
    cells.world.radius_nm[:, :PARTICLES] = torch.from_numpy(radii)
    return cells


def scan(fov_nm: float, pixels: int) -> Grid:
    """A scan in the middle of the specimen, at rest."""
    acquire = Acquire(mode="HAADF", fov_nm=fov_nm, pixels_x=pixels, pixels_y=pixels, dwell_s=2e-6, max_frames=1)
    return Scan.over(acquire, np.zeros(2), 0.0, np.zeros((pixels, 2))).grid


def objects(batch: int, pixels: int, margin: int, device: str) -> Tensor:
    """What cells scatter into the annulus, (B, h, w) float32, over a field and so many pixels around it."""
    cells = worlds(batch, device)
    matter = cells.project([widened(scan(PIXEL_NM * pixels, pixels), margin)] * batch)
    return haadf_fraction(matter, cells.materials, Column()).float()


def focused(batch: int, pixels: int, C10_nm: float, device: str) -> Blur:
    """The probes of a batch of scans that differ in focus, the first of them the farthest out of it."""
    lens = [aberrations_of(START_OPTICS)] * batch
    levels = [np.array([C10_nm * (1 - n / 50)]) for n in range(batch)]
    like = torch.empty(0, device=device)
    return blur_of(kernels_of([PIXEL_NM] * batch, lens, levels, Column().probe(), like), (pixels, pixels))


def fixed(batch: int, pixels: int, device: str) -> Work:
    """Frames with noise, one after the other, of objects and optics that stay."""
    blur, frames = focused(batch, pixels, DEFOCUS_NM, device), count()
    matter, flat = objects(batch, pixels, blur.margin, device), torch.zeros(batch, 2, 2, device=device)
    return lambda: poisson(blurred(matter, blur, flat).clamp_(min=0.0).mul_(ELECTRONS), range(batch), next(frames))


def changed(batch: int, pixels: int, device: str) -> Work:
    """The same with another defocus for each frame."""
    matter = objects(batch, pixels, focused(batch, pixels, DEFOCUS_NM, device).margin, device)
    flat, frames = torch.zeros(batch, 2, 2, device=device), count()

    def work() -> Tensor:
        frame = next(frames)
        # On either side of focus by turns: as wide, so objects of one size serve.
        blur = focused(batch, pixels, DEFOCUS_NM * (-1) ** frame, device)
        return poisson(blurred(matter, blur, flat).clamp_(min=0.0).mul_(ELECTRONS), range(batch), frame)

    return work


def plain(batch: int, pixels: int, device: str, changing: bool) -> Work:
    """The prototype on the middle of the same objects."""
    matter, wave_nm = objects(batch, pixels, 0, device), wavelength_nm(200.0)
    angle2, azimuth = (each.to(device) for each in prototype.angles_mrad(pixels, PIXEL_NM, wave_nm))
    aperture, foci = angle2 <= Column().convergence_mrad ** 2, torch.arange(float(batch), device=device)[:, None, None]
    frames = count()

    def probe(C10_nm: float) -> Tensor:
        return prototype.probe_spectrum(
            aperture * prototype.transfer(angle2, azimuth, C10_nm * (1 - foci / 50), 4.0, wave_nm)
        )

    still = probe(DEFOCUS_NM)
    if not changing:
        return lambda: prototype.haadf(matter, still, ELECTRONS)
    return lambda: prototype.haadf(matter, probe(DEFOCUS_NM * (-1) ** next(frames)), ELECTRONS)


def noise(mean: float, device: str) -> Work:
    """Noise alone, on means evenly spread between none and twice the mean."""
    means, frames = 2 * mean * torch.rand(1, 256, 256, device=device), count()
    return lambda: poisson(means, [1], next(frames))


def plain_noise(mean: float, device: str) -> Work:
    """The same by torch."""
    means = 2 * mean * torch.rand(1, 256, 256, device=device)
    return lambda: torch.poisson(means)


def growth(batch: int, device: str) -> Work:
    """Expected images of cells whose particles are drawn anew for each, in focus in the middle."""
    cells, column = worlds(batch, device), Column()
    middle = torch.zeros(batch, 1, dtype=torch.float64, device=device)
    focus = [-height for (height,) in cells.height_nm(middle, middle).tolist()]
    aberrations: list[Aberrations] = [replace(aberrations_of(START_OPTICS), C10_nm=C10_nm) for C10_nm in focus]
    return lambda: expected_haadf(cells, [scan(512.0, 256)] * batch, column, aberrations)


def fixed_name(pixels: int, batch: int) -> str:
    """Name of the line about frames with noise under optics that stay."""
    return f"HAADF with noise, {pixels}x{pixels}, batch {batch}"


def lines(device: str) -> list[Line]:
    """All lines about images."""
    found = []
    for pixels in SIZES:
        for batch in BATCHES:
            run, plainly = partial(fixed, batch, pixels, device), partial(plain, batch, pixels, device, False)
            bar, times = FIXED_BARS.get((pixels, batch), (None, None))
            found.append(Line(fixed_name(pixels, batch), run, bar, plainly, times, per_call=batch))
    for pixels in SIZES:
        for batch in BATCHES:
            name = f"the same, optics changed every frame, {pixels}x{pixels}, batch {batch}"
            run, plainly = partial(changed, batch, pixels, device), partial(plain, batch, pixels, device, True)
            found.append(Line(name, run, CHANGED_BARS.get((pixels, batch)), plainly, per_call=batch))
    for mean in MEANS:
        name = f"noise alone, 256x256, {mean:g} electrons"
        found.append(Line(name, partial(noise, mean, device), None, partial(plain_noise, mean, device)))
    return found + [
        Line(
            f"growth world drawn and imaged, 256x256, batch {batch}",
            partial(growth, batch, device),
            per_call=batch,
            threads=(1,),
        )
        for batch in BATCHES
    ]
