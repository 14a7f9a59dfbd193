"""Lines about spectra: expected energy-loss and X-ray spectra of mixtures, each counted, beside the counting alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from digital_twin.detectors import Column, Spectrometer
from digital_twin.materials import COPPER, NITRIDE, WATER, ZIRCONIA
from digital_twin.noise import poisson
from digital_twin.xrays import XrayDetector, XraySpectrometer
from experiments.benchmarks.lines import Line

MATERIALS = (COPPER, ZIRCONIA, WATER, NITRIDE)
CHANNELS = 1024
SPECTRA = 64
"""A scan of 8 x 8, which is what a world's turn takes."""

ELECTRONS = 1e6


def layers(device: str) -> Tensor:
    """Thicknesses up to 50 nm of each of the materials, (SPECTRA, M)."""
    drawn = torch.rand(SPECTRA, len(MATERIALS), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return 50.0 * drawn.to(device)


def eels(device: str) -> Callable[[], Tensor]:
    """Expected from the thicknesses, and counted."""
    spectrometer, thickness_nm = Spectrometer(MATERIALS, Column(energy_channels=CHANNELS), device), layers(device)
    return lambda: poisson(ELECTRONS * spectrometer.probabilities(thickness_nm)[None], [0])


def wandering(device: str) -> Callable[[], Tensor]:
    """The same, the zero loss of each row of eight somewhere else."""
    spectrometer, thickness_nm = Spectrometer(MATERIALS, Column(energy_channels=CHANNELS), device), layers(device)
    rows, wander_eV = thickness_nm.view(8, 8, -1), torch.linspace(-1, 1, 8, dtype=torch.float64, device=device)[:, None]
    return lambda: poisson(ELECTRONS * spectrometer.probabilities(rows, wander_eV)[None], [0])


def eds(device: str) -> Callable[[], Tensor]:
    """X-rays, expected and counted."""
    detector = XrayDetector(energy_step_eV=20.0, energy_channels=CHANNELS)
    spectrometer, thickness_nm = XraySpectrometer(detector, MATERIALS, 200.0, device), layers(device)
    return lambda: poisson(ELECTRONS * spectrometer.expected(thickness_nm)[None], [0])


def counted(device: str) -> Callable[[], Tensor]:
    """The prototype: spectra that were computed before, counted."""
    spectrometer = Spectrometer(MATERIALS, Column(energy_channels=CHANNELS), device)
    expected = (ELECTRONS * spectrometer.probabilities(layers(device))).to(torch.float32)
    return lambda: torch.poisson(expected)


def lines(device: str) -> list[Line]:
    """All lines about spectra."""

    def line(name: str, run: Callable[[str], Callable[[], Tensor]], bar: float | None = None) -> Line:
        work, beside = partial(run, device), partial(counted, device)
        return Line(f"{name}, noise, batch {SPECTRA}", work, bar, beside, per_call=SPECTRA, unit="spectra/s")

    return [
        line(f"EELS, {CHANNELS} channels", eels, 5000.0),
        line(f"EELS, {CHANNELS} channels, wandering", wandering),
        line(f"EDS, {CHANNELS} channels", eds),
    ]
