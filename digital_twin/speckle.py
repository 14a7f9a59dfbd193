"""The grain of an amorphous film in projection: random, and yet always the same at the same place.

Atoms are laid independently of each other (the short-range order of real glasses is left out), so the spectrum of the
projected potential is N (h^2 / (2 pi m e) f(g))^2 with N atoms per nm^2; it is what makes Thon rings appear. The film
is one piece of a random field for each octave of frequencies, so wide that it repeats only beyond the field of view of
an image of 256 pixels that resolves the octave well. Every world has the same piece, laid and turned as its seed says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from digital_twin.lobato import factor_nm
from digital_twin.materials import Material, POTENTIAL_V_nm2
from digital_twin.optics import Array
from digital_twin.potential import finest_per_nm
from digital_twin.specimen import Grid

TOP_per_nm = 10.0
"""The finest grain: 0.1 nm."""

WAVES = 192
"""Waves of the highest frequency of an octave along the edge of its piece of film."""

SAMPLES = 8 * WAVES
STEPS_AN_OCTAVE = 4
OCTAVES = 7
STREAM = 9


def speckle_V_nm(
    grids: Sequence[Grid], seeds: Sequence[int], material: Material, thickness_nm: Tensor, thermal_nm: float = 0.008
) -> Tensor:
    """What the grain of an amorphous material adds to its mean potential, (B, H, W) V nm, for one scan of each world.

    ``thickness_nm`` is (B, H, W); the grain grows as its square root. What pixels do not resolve is left out, in steps
    of a quarter of an octave.

    Raises:
        ValueError: a thickness is negative.
    """
    if bool((thickness_nm < 0).any()):
        raise ValueError(f"a thickness is {float(thickness_nm.min()):g} nm, but must not be negative")
    grain = [
        _grain(grid, seed, material, thermal_nm, thickness_nm.device) for grid, seed in zip(grids, seeds, strict=True)
    ]
    return torch.stack(grain) * thickness_nm.sqrt()


def _grain(grid: Grid, seed: int, material: Material, thermal_nm: float, device: torch.device) -> Tensor:
    """The grain (H, W) of a film of 1 nm thickness."""
    # Steps below the top: a scan resolves what is n of them below if its finest frequency is TOP / 2^(n / STEPS).
    steps = max(0, math.ceil(STEPS_AN_OCTAVE * math.log2(TOP_per_nm / finest_per_nm(grid)) - 1e-9))
    first = steps // STEPS_AN_OCTAVE
    grain = torch.zeros(len(grid.origin_nm), grid.columns, dtype=torch.float32, device=device)
    for octave in range(first, first + OCTAVES):
        cut = steps % STEPS_AN_OCTAVE if octave == first else 0
        random = np.random.default_rng([seed, STREAM, octave])
        shift, turn = random.uniform(0.0, 1.0, 2), 2 * np.pi * random.uniform()
        edge_nm = WAVES * 2**octave / TOP_per_nm
        turned = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) / edge_nm
        # The piece goes from -1 to 1.
        rows = 2 * np.mod(grid.origin_nm @ turned + shift, 1.0) - 1
        columns = 2 * np.arange(grid.columns)[:, None] * (grid.across_nm @ turned)
        # Places as two planes: added up along whole rows, not pair by pair.
        at = _float(rows.T, device)[:, :, None] + _float(columns.T, device)[:, None]
        low, high = ((bound(rows, 0) + bound(columns, 0)).tolist() for bound in (np.min, np.max))
        if min(low) < -1.0 or max(high) > 1.0:
            at.sub_(torch.round(at / 2), alpha=2)
        piece = _piece(octave, cut, material, thermal_nm, device)[None, None]
        grain += grid_sample(piece, at.movedim(0, -1)[None], padding_mode="border", align_corners=True)[0, 0]
    return grain.double()


def _float(array: Array, device: torch.device) -> Tensor:
    return torch.from_numpy(array.astype(np.float32, order="C")).to(device)


@lru_cache(maxsize=16)
def _piece(octave: int, cut: int, material: Material, thermal_nm: float, device: torch.device) -> Tensor:
    """One octave of the film, (SAMPLES + 1, SAMPLES + 1) float32 V nm for 1 nm: its last row and column are the first.

    It is sampled eight times a wave at least and read by straight lines between samples, for which it is made ready
    here: what they damp is raised.
    """
    edge_nm = WAVES * 2**octave / TOP_per_nm
    index = np.fft.fftfreq(SAMPLES, 1 / SAMPLES)
    low, high = -(-WAVES // 2), WAVES * 2 ** (-cut / STEPS_AN_OCTAVE)
    kept = np.abs(index) <= WAVES
    radius = np.hypot(index[kept][:, None], index[kept])
    random = np.random.default_rng([STREAM, octave])
    wave = random.normal(size=(2, *radius.shape))
    g = radius / edge_nm
    power = sum(number * factor_nm(z, g) ** 2 for z, number in material.atoms) * material.formula_per_nm3
    lines = np.sinc(index[kept] / SAMPLES) ** 2
    size = POTENTIAL_V_nm2 * np.sqrt(power) / edge_nm * np.exp(-2 * (np.pi * thermal_nm * g) ** 2)
    size *= ((radius > low) & (radius <= high)) / (lines[:, None] * lines)
    spectrum = np.zeros((SAMPLES, SAMPLES), dtype=np.complex128)
    spectrum[np.ix_(kept, kept)] = size * (wave[0] + 1j * wave[1])
    field = SAMPLES**2 * np.fft.ifft2(spectrum).real
    return torch.from_numpy(np.pad(field, ((0, 1), (0, 1)), mode="wrap").astype(np.float32)).to(device)
