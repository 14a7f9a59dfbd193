"""Measured images, as they are: what our finders make of them. Nobody knows what is truly there."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray

from agent.perception.columns import MOS2, find_columns
from agent.perception.fit import Blur, Contrast
from agent.perception.lattice import Lattice, find_lattice
from agent.perception.particles import Found, find_particles

Array = NDArray[np.float64]

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
PARTICLES, LATTICE = "nanoparticles_haadf_eds_200kV.npz", "haadf_300kV.npz"
PARTICLE_PIXEL_NM, LATTICE_PIXEL_NM = 0.771, 0.01775
COUNTS_PER_ELECTRON = 191.0
"""Of the image of the lattice, about: where its noise says it was counted; offset and read noise do not separate."""

GREYS_PER_ELECTRON = 500.0
"""Of the image of particles, a guess: it was stretched to its full range, which hides how many electrons there were."""

EDGES_NM = np.arange(0.20, 0.46, 0.01)
BINNED = 2


def measured(folder: Path, data: Path = DATA) -> str:
    """Write measured.png and return what was found, in words.

    Raises:
        FileNotFoundError: the measured images do not lie beside the checkout.
    """
    with np.load(data / PARTICLES, allow_pickle=False) as file:
        grey = file["haadf"].astype(np.float64)
    with np.load(data / LATTICE, allow_pickle=False) as file:
        fine = file["haadf"].astype(np.float64)
    counts = (grey - grey.min()) / GREYS_PER_ELECTRON
    found = find_particles(counts, 100 * float(counts.max()), Blur(math.log(0.8), 0.5), Contrast(0.0, 3.0))
    least = float(np.quantile(fine, 0.001))
    electrons = np.maximum(fine - least, 0.0) / COUNTS_PER_ELECTRON
    electrons = electrons.reshape(fine.shape[0] // BINNED, BINNED, fine.shape[1] // BINNED, BINNED).sum(axis=(1, 3))
    pixel_nm = BINNED * LATTICE_PIXEL_NM
    tried = [(edge, find_lattice(electrons, edge / pixel_nm)) for edge in EDGES_NM]
    edge, lattice = max(tried, key=lambda each: each[1].significance if each[1] else 0.0)
    assert lattice is not None  # the finest edge that is tried is resolved
    asked = find_columns(electrons, pixel_nm, MOS2)
    _picture(folder, grey, found, (electrons, lattice))
    lengths = pixel_nm * np.hypot(*lattice.edges.T)
    return (
        f"Particles: {found.blobs.count} found, radii of {_span(PARTICLE_PIXEL_NM * np.exp(found.blobs.values[:, 2]))} "
        f"nm. Lattice: the hexagonal lattice that fits best has edges of {lengths[0]:.3f} and {lengths[1]:.3f} nm "
        f"({lattice.significance:.0f} sd above noise and texture; {edge:.2f} nm was asked for). Asked for MoS2, the "
        f"finder of columns says usable = {asked.quality['usable']:g} ({_figures(asked.quality)})."
    )


def _span(values: Array) -> str:
    return f"{values.min():.1f}-{values.max():.1f}" if values.size else "no"


def _figures(quality: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in quality.items() if name != "usable")


def _picture(folder: Path, grey: Array, found: Found, crystal: tuple[Array, Lattice]) -> None:
    figure = Figure(figsize=(11, 3.9), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 3)
    axes[0].imshow(grey, cmap="gray")
    for row, column, ln_radius in found.blobs.values[:, :3]:
        axes[0].add_patch(Circle((column, row), math.exp(ln_radius), fill=False, ec="#3b9ddb", lw=1.2))
    axes[0].set(title="particles found, 200 kV, 0.77 nm a pixel")
    electrons, lattice = crystal
    axes[1].imshow(electrons, cmap="gray")
    axes[1].set(title="said to show a lattice, 300 kV")
    taper = np.hanning(electrons.shape[0])[:, None] * np.hanning(electrons.shape[1])
    spectrum = np.fft.fftshift(np.abs(np.fft.fft2((electrons - electrons.mean()) * taper)))
    axes[2].imshow(np.log(spectrum + np.median(spectrum)), cmap="magma")
    for index in ((1, 0), (0, 1), (1, -1), (-1, 0), (0, -1), (-1, 1)):
        at = np.array(index) @ lattice.reciprocal * np.array(electrons.shape) + np.array(electrons.shape) // 2
        axes[2].add_patch(Circle((at[1], at[0]), 6, fill=False, ec="white", lw=1.2))
    axes[2].set(title="its spectrum, where a hexagon fits best")
    for each in axes:
        each.set(xticks=[], yticks=[])
    figure.savefig(folder / "measured.png", dpi=110)
