"""How many expected images and spectrum images the twin computes a second, noise left out.

An image is 256 x 256 pixels over 512 nm with 60 particles on the bulging window, a spectrum image 8 x 8 spectra of
1200 channels. Each is computed for one world and for 16 at once, on the processor and on a GPU if there is one.

    python -m experiments.benchmarks.twin --seconds 2 --threads 1
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from digital_twin.detectors import Column, Spectrometer
from digital_twin.exposure import Scan
from digital_twin.imaging import expected_haadf, expected_spectra
from digital_twin.instrument import START_OPTICS
from digital_twin.liquid_cell import LiquidCell
from digital_twin.optics import aberrations_of
from digital_twin.specimen import Grid
from hardware_bridge.messages import Acquire

PARTICLES = 60
BATCHES = (1, 16)
WINDOW = 9
"""Seed of a window that changes its height by some 300 nm over the field."""


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


def rate_per_s(work: Callable[[], Tensor], batch: int, seconds: float) -> float:
    """Results a second, from the median time of a call; the first two warm up."""
    took: list[float] = []
    while len(took) < 5 or sum(took) < seconds:
        begun = time.perf_counter()
        if work().is_cuda:
            torch.cuda.synchronize()
        took.append(time.perf_counter() - begun)
    return batch / statistics.median(took[2:])


def measure(batch: int, device: str, seconds: float) -> tuple[float, float]:
    """Images a second, in focus in the middle, and spectrum images a second."""
    cells, column = worlds(batch, device), Column()
    spectrometer, middle = Spectrometer(column, device), torch.zeros(batch, 1, dtype=torch.float64, device=device)
    focus = [-height for (height,) in cells.height_nm(middle, middle).tolist()]
    aberrations = [replace(aberrations_of(START_OPTICS), C10_nm=C10_nm) for C10_nm in focus]
    image, spectra = scan(512.0, 256), scan(64.0, 8)
    return (
        rate_per_s(lambda: expected_haadf(cells, [image] * batch, column, aberrations), batch, seconds),
        rate_per_s(lambda: expected_spectra(cells, [spectra] * batch, spectrometer), batch, seconds),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks.twin", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seconds", type=float, default=2.0, help="time spent on each number (default 2)")
    parser.add_argument("--threads", type=int, default=1, help="threads of the processor to use (default 1)")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    print(f"{'device':<8}{'batch':>6}{'images/s':>12}{'spectrum images/s':>20}")
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        for batch in BATCHES:
            images, spectra = measure(batch, device, given.seconds)
            print(f"{device:<8}{batch:>6}{images:>12.1f}{spectra:>20.1f}", flush=True)


if __name__ == "__main__":
    main()
