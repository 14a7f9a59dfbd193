"""The lattice of a two-dimensional hexagonal crystal in an image: how it lies, found at any turn and at few counts.

Places and vectors are (row, column) in pixels, frequencies in periods a pixel. Nothing is asked of single columns: all
cells of a field tell of one lattice, so it is found where no column can be seen by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import map_coordinates
from scipy.optimize import minimize

from agent.perception.scan import Array

Complex = NDArray[np.complex128]

TURN_deg = 0.5
SCALES = np.linspace(0.97, 1.03, 7)
"""Turns and sizes of the lattice that are tried."""

BLOCKS = 8
FINEST = 0.47
"""The finest frequency that is looked at: a pixel resolves half a period."""

SHELLS = (((1, 0), (0, 1), (1, -1)), ((1, 1), (2, -1), (1, -2)), ((2, 0), (0, 2), (2, -2)))
"""Half of the reciprocal vectors of the first three shells, the basis being 60 degrees apart."""


@dataclass(frozen=True)
class Lattice:
    """``reciprocal`` (2, 2) holds the two basis vectors, in periods a pixel along rows and columns.

    ``significance`` is how far the power in the lattice's frequencies exceeds noise, in standard deviations of that.
    """

    reciprocal: Array
    significance: float

    @property
    def edges(self) -> Array:
        """The edges of a cell (2, 2), in pixels, 120 degrees apart."""
        return np.asarray(np.linalg.inv(self.reciprocal).T)

    def harmonics(self) -> NDArray[np.int_]:
        """Indices (m, 2) of the reciprocal vectors that the pixels resolve, shell by shell."""
        return resolved(self.reciprocal)


def resolved(reciprocal: Array) -> NDArray[np.int_]:
    """Indices (m, 2) of the shells that lie wholly within what pixels resolve; none where even the first does not."""
    kept = [shell for shell in SHELLS if np.hypot(*(np.array(shell) @ reciprocal).T).max() < FINEST]
    return np.array([each for shell in kept for each in shell], dtype=np.int_).reshape(-1, 2)


def find_lattice(counts: Array, edge_px: float) -> Lattice | None:
    """The hexagonal lattice of about this edge in an image of counts (H, W); None where pixels do not resolve it."""
    taper = np.hanning(counts.shape[0])[:, None] * np.hanning(counts.shape[1])
    mean = float(counts.mean())
    size = 2 * fft.next_fast_len(max(counts.shape))
    spectrum = np.abs(fft.fft2((counts - mean) * taper, s=(size, size))) ** 2
    turns = np.radians(np.arange(0.0, 60.0, TURN_deg))
    length = 2.0 / (math.sqrt(3.0) * edge_px * SCALES[:, None])
    first = length[..., None] * np.stack([np.sin(turns), np.cos(turns)], axis=-1)
    second = length[..., None] * np.stack([np.sin(turns + np.pi / 3), np.cos(turns + np.pi / 3)], axis=-1)
    bases = np.stack([first, second], axis=-2).reshape(-1, 2, 2)
    orders = resolved(bases[0])  # the smallest size that is tried has the finest frequencies
    if not len(orders):
        return None
    at = (orders @ bases) * size
    power = map_coordinates(spectrum, np.moveaxis(at, -1, 0), order=1, mode="grid-wrap").sum(axis=-1)
    best = bases[int(power.argmax())]
    refined = _refined(counts - mean, taper, best, orders)
    strength = np.abs(coefficients(counts - mean, refined, orders)) ** 2
    # Texture is as strong at all turns; a lattice stands out of it, and of what counting makes.
    floor = max(mean * float((taper**2).sum()), float(np.median(power)) / len(orders))
    noise = floor / float(taper.sum()) ** 2
    excess = float(strength.sum()) / max(noise, 1e-12) - len(orders)
    return Lattice(refined, excess / math.sqrt(len(orders)))


def coefficients(counts: Array, reciprocal: Array, orders: NDArray[np.int_]) -> Complex:
    """Fourier coefficients (m,) of an image at multiples of the reciprocal vectors, tapered at the edges.

    A column at r adds its counts a pixel times exp(-2 pi i g.r).
    """
    row, column = (np.hanning(n + 2)[1:-1] for n in counts.shape)
    down, across = _waves(counts.shape, orders @ reciprocal)
    sums = ((counts @ (column[:, None] * across)) * row[:, None] * down).sum(axis=0)
    return np.asarray(sums / (row.sum() * column.sum()))


def periodic(found: Complex, shape: tuple[int, ...], reciprocal: Array, orders: NDArray[np.int_]) -> Array:
    """The image (H, W) that coefficients (m,), each with its complex conjugate's, stand for."""
    down, across = _waves(shape, orders @ reciprocal)
    return np.asarray(2.0 * ((down.conj() * found) @ across.conj().T).real)


def _waves(shape: tuple[int, ...], frequency: Array) -> tuple[Complex, Complex]:
    """Waves (H, m) and (W, m) whose products are exp(-2 pi i g.r)."""
    turns = [-2j * np.pi * np.arange(n)[:, None] * frequency[:, k] for k, n in enumerate(shape[:2])]
    return np.exp(turns[0]), np.exp(turns[1])


def _refined(excess: Array, taper: Array, reciprocal: Array, orders: NDArray[np.int_]) -> Array:
    """The reciprocal vectors near some, stretched and sheared freely, at which coefficients are largest.

    The image is demodulated once and summed over blocks: between these it is the phase that tells.
    """
    frequency = orders @ reciprocal
    edges = [np.linspace(0, n, BLOCKS + 1).astype(int) for n in excess.shape]
    middles = [(e[:-1] + e[1:] - 1) / 2 - (n - 1) / 2 for e, n in zip(edges, excess.shape, strict=True)]
    down, across = _waves(excess.shape, frequency)
    tapered = excess * taper
    strips = np.stack([tapered[:, a:b] @ across[a:b] for a, b in zip(edges[1][:-1], edges[1][1:], strict=True)])
    sums = np.add.reduceat(strips * down, edges[0][:-1], axis=1)
    unit = 1.0 / max(excess.shape)
    scale = float((np.abs(sums.sum(axis=(0, 1))) ** 2).sum()) + 1e-12

    def lost(move: Array) -> tuple[float, Array]:
        shift = orders @ move.reshape(2, 2) * unit
        turned = sums * np.exp(
            -2j * np.pi * (middles[1][:, None, None] * shift[:, 1] + middles[0][None, :, None] * shift[:, 0])
        )
        whole = turned.sum(axis=(0, 1))
        slopes = [
            (-2j * np.pi * unit * along * turned).sum(axis=(0, 1))
            for along in (middles[0][None, :, None], middles[1][:, None, None])
        ]
        pulls = np.stack([2 * (whole.conj() * slope).real for slope in slopes], axis=-1)
        return -float((np.abs(whole) ** 2).sum()) / scale, -(orders.T @ pulls).ravel() / scale

    found = minimize(lost, np.zeros(4), jac=True, method="BFGS", options={"maxiter": 30})
    return np.asarray(reciprocal + found.x.reshape(2, 2) * unit)
