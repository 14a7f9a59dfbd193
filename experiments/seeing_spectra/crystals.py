"""Diffraction patterns of strained, turned and partly disordered crystals, of which all is known.

Crystals are those of the twin's worlds, in film of amorphous matter, and the pattern is of a coherent probe through
their projected potential; each is strained, turned and in order by its own draw, and a field bends the beam aside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from agent.perception.diffraction import Crystal
from digital_twin.beam_sensitive import ZIF_8_110
from digital_twin.detectors import Column
from digital_twin.materials import BRUCITE, ZIF_8, Material
from digital_twin.optics import Aberrations, interaction_rad_per_V_A, wavelength_nm
from digital_twin.patterns import binned
from digital_twin.potential import Lattice, axes_nm
from digital_twin.specimen import Grid
from digital_twin.speckle import speckle_V_nm
from digital_twin.transformation import BRUCITE_0001
from digital_twin.waves import Probe, cbed
from experiments.seeing_spectra.scenes import Array, Scene

PLACES = 12
SIZE, PATCH = 128, 384
"""The camera's pixels along an edge, and those that are computed: three for each, so that middles stay middles."""

STRAIN_SD, DEFLECTION_mrad, SUPPORT_NM = 0.01, 0.5, 5.0
WITHIN_mrad = 24.0
"""Orders beyond this are left to the background."""

LEAST_STRENGTH = 1e-3
"""So are those weaker than this share of the strongest."""


@dataclass(frozen=True)
class Crystalline:
    """A crystal looked at with a column, at so many electrons a pattern; turned by its period it is as it was."""

    name: str
    lattice: Lattice
    material: Material
    column: Column
    film_nm: float
    period_rad: float
    electrons: tuple[float, float, float] = (1e3, 1e4, 1e5)
    mode: str = "CBED"
    kinds: tuple[str, ...] = ()

    @property
    def asked(self) -> tuple[str, ...]:
        """Quantities that are compared."""
        return ("deflection_mrad", "strain_xx", "strain_xy", "turn_rad", "ordered_nm")

    @property
    def step_mrad(self) -> float:
        """A pixel's angle."""
        return 2 * self.column.pattern_mrad / SIZE

    @property
    def wavelength_nm(self) -> float:
        """The electrons' wavelength."""
        return float(wavelength_nm(self.column.beam_energy_keV))

    @property
    def crystal(self) -> Crystal:
        """What the agent is told of it: the lattice, and what each order scatters in thin films."""
        g = np.concatenate([self.lattice.g_per_nm, -self.lattice.g_per_nm])
        # Of a phase grating: sigma V_g / 2 is the amplitude of g from 1 nm, V_g counting g and -g.
        amplitude = 10 * interaction_rad_per_V_A(self.column.beam_energy_keV) * np.abs(self.lattice.V) / 2
        strength = np.tile(amplitude**2, 2)
        basis = self.basis_per_nm
        seen = 1e3 * self.wavelength_nm * np.hypot(*g.T) < WITHIN_mrad
        kept = seen & (strength > LEAST_STRENGTH * strength.max())
        orders = np.round(g[kept] @ np.linalg.inv(basis)).astype(np.intp)
        return Crystal(basis, orders, strength[kept])

    @property
    def basis_per_nm(self) -> Array:
        """Two of the lattice's vectors, the shortest that are not parallel, (2, 2)."""
        g = self.lattice.g_per_nm
        first = g[0]
        cross = np.abs(g[:, 0] * first[1] - g[:, 1] * first[0]) / np.hypot(*first) / np.hypot(*g.T)
        return np.stack([first, g[int(np.flatnonzero(cross > 0.5)[0])]])


CRYSTALS = {
    each.name: each
    for each in (
        Crystalline("brucite CBED", BRUCITE_0001, BRUCITE, Column(convergence_mrad=1.0), 20.0, math.pi / 3),
        Crystalline("ZIF-8 CBED", ZIF_8_110, ZIF_8, Column(convergence_mrad=0.8), 50.0, math.pi),
    )
}


def patterns(subject: Crystalline, seed: int) -> Scene:
    """The patterns of one seed."""
    random = np.random.default_rng([seed, 78])
    kinds = ("deflection_mrad", "strain_xx", "strain_yy", "strain_xy", "turn_rad", "ordered_nm")
    rows: list[list[float]] = []
    drawn = []
    for n in range(PLACES):
        xx, yy, xy = (STRAIN_SD * random.standard_normal(3)).tolist()
        turn, order = random.uniform(0, math.pi), math.sqrt(random.uniform(0.05, 1.0))
        aside = random.uniform(-DEFLECTION_mrad, DEFLECTION_mrad, 2)
        thickness_nm = subject.film_nm * math.exp(0.2 * random.standard_normal())
        strained = (np.eye(2) + np.array([[xx, xy], [xy, yy]])) @ _turned(turn)
        drawn.append(_pattern(subject, strained, order * thickness_nm, thickness_nm, (aside, seed * PLACES + n)))
        rows.append([float(aside[1]), xx, yy, xy, turn, order * thickness_nm])
    truth = dict(zip(kinds, np.array(rows).T, strict=True))
    return Scene(np.stack(drawn), truth)


def _turned(turn_rad: float) -> Array:
    cos, sin = math.cos(turn_rad), math.sin(turn_rad)
    return np.array([[cos, -sin], [sin, cos]])


def _pattern(
    subject: Crystalline, strained: Array, ordered_nm: float, film_nm: float, draw: tuple[Array, int]
) -> Array:
    """Shares of the electrons, (K, K), of a film of which so many nm scatter as a crystal that is deformed."""
    aside_mrad, seed = draw
    pixel_nm = 1e3 * subject.wavelength_nm / (2 * subject.column.pattern_mrad)
    place = np.array([[0.0, n * pixel_nm] for n in range(PATCH)])
    grid = Grid(place, np.array([pixel_nm, 0.0]), np.array([0.0, pixel_nm]), PATCH, 0)
    lattice = replace(subject.lattice, g_per_nm=subject.lattice.g_per_nm @ np.linalg.inv(strained))
    rows, columns = axes_nm(grid, torch.device("cpu"))
    volts = ordered_nm * (lattice.volts(rows, columns, 0.5 / pixel_nm) - lattice.mean_V)
    amorphous = torch.full((1, PATCH, PATCH), film_nm - ordered_nm + SUPPORT_NM, dtype=torch.float64)
    volts = volts + speckle_V_nm([grid], [seed], subject.material, amorphous)[0]
    phase = 10 * interaction_rad_per_V_A(subject.column.beam_energy_keV) * volts
    bend = 2 * math.pi * 1e-3 / subject.wavelength_nm * (rows[:, 1:] * aside_mrad[0] + columns[:, 0] * aside_mrad[1])
    wave = torch.polar(torch.ones_like(phase), phase + bend).to(torch.complex64)
    probe = Probe(subject.column.beam_energy_keV, subject.column.convergence_mrad, 0.0)
    middle = torch.tensor([[[PATCH // 2, PATCH // 2]]], dtype=torch.float64)
    taken = cbed(wave[None], pixel_nm, middle, PATCH, [Aberrations()], probe)[0]
    return np.asarray(binned(taken, SIZE)[0], dtype=np.float64)
