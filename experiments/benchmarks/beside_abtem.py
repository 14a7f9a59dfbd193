"""The same thin crystal, 64 x 64 positions of a 20 mrad probe, HAADF: abTEM's PRISM and the twin.

Two nanometres of strontium titanate, four cells wide. On the twin's side everything counts: atoms laid on the grid,
the probe formed, the image convolved. How right either is, is another question: the image of the twin is compared with
multislice and frozen phonons (the rows of the validation table), and with what PRISM gave here; scale and what is left
after the best scale are told apart.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from digital_twin import elastic
from digital_twin.blur import blur_of, blurred, kernels_of
from digital_twin.optics import Aberrations, Array, Column
from experiments.benchmarks.lines import Line, measure
from experiments.validation import diffraction, objects

PLACES, TIMES = 64, 500.0
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Beside:
    """Seconds an image, PRISM's and the twin's; scale and residual beside multislice and beside PRISM."""

    version: str
    prism_s: float
    twin_s: float
    multislice: tuple[float, float]
    prism: tuple[float, float]

    @property
    def ratio(self) -> float:
        """How many times as fast the twin is."""
        return self.prism_s / self.twin_s

    def paragraph(self) -> str:
        """What came out, in words."""
        return (
            f"{self.version}, PRISM with interpolation 2: {self.prism_s:.2f} s; the twin: {1e3 * self.twin_s:.2f} ms, "
            f"{self.ratio:,.0f} times as fast ({TIMES:g} asked: {'met' if self.ratio >= TIMES else 'not met'}). "
            f"The twin's image beside multislice with frozen phonons: scale {self.multislice[0]:.2f}, residual "
            f"{self.multislice[1]:.2f} of the norm; beside PRISM, whose lattice stands still: scale "
            f"{self.prism[0]:.2f}, residual {self.prism[1]:.2f}."
        )


def image() -> Tensor:
    """The twin's image of the crystal, (64, 64) of (y, x), from atoms and optics on."""
    pixel_nm = objects.HAADF_ACROSS * objects.EDGE_nm / PLACES
    column = Column(200.0, 20.0, 2 * np.sqrt(2 * np.log(2)) * objects.THERMAL_nm)
    blur = blur_of(kernels_of([pixel_nm], [Aberrations()], [np.zeros(1)], column, torch.empty(0)), (PLACES, PLACES))
    cell = torch.zeros(PLACES // objects.HAADF_ACROSS, PLACES // objects.HAADF_ACROSS)
    for z, x, y, _ in objects.CELL:
        share = objects.HAADF_DEEP * elastic.annular_nm2(z, 200.0, *objects.HAADF_ANNULUS_mrad) / pixel_nm**2
        cell[round(y * len(cell)), round(x * len(cell))] += share
    # The crystal goes on beyond the field.
    places = torch.arange(-blur.margin, PLACES + blur.margin) % len(cell)
    return blurred(cell[places[:, None], places][None], blur, torch.zeros(1, 2, 2))[0]


def apart(ours: Array, theirs: Array) -> tuple[float, float]:
    """Scale of an image over another's, and what is left after the best scale, of the other's norm."""
    best = (ours * theirs).sum() / (ours**2).sum()
    return float(1 / best), float(np.linalg.norm(best * ours - theirs) / np.linalg.norm(theirs))


def python_with_abtem(given: str | None) -> str | None:
    """A Python that has abTEM: the one given, this one, or none."""
    return given or (sys.executable if importlib.util.find_spec("abtem") else None)


def compared(python: str, seconds: float) -> Beside:
    """Run abTEM in a process of its own, then time the twin.

    Raises:
        CalledProcessError: that Python has no abTEM.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.npy"
        told = subprocess.run(
            [python, "-m", "experiments.benchmarks.abtem_prism", str(path)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        theirs = np.load(path)
    twin_s = 1 / measure(Line("crystal", lambda: image), "cpu", seconds).per_s
    multislice = apart(*diffraction.lookup())
    return Beside(f"abTEM {told[-1]}", float(told[-2]), twin_s, multislice, apart(image().double().numpy(), theirs))
