"""Spectra of the twin's worlds at scattered places: what is expected of each, and what is truly there.

Expected shares are those of the twin's instrument without noise; who reads them is given Poisson counts. Places lie all
over the field, and the zero loss of each spectrum is somewhere else, as from a spectrometer that drifts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from digital_twin.column import capabilities
from digital_twin.detectors import Column, Spectrometer
from digital_twin.materials import Material
from digital_twin.optics import Aberrations
from digital_twin.signals import Look, Signals
from digital_twin.specimen import Grid
from digital_twin.spectra import C_K, CU_L3, FE2_L3, FE3_L3, N_K, O_K, ZN_L3, Edge
from digital_twin.worlds import world_type
from hardware_bridge.messages import Capabilities, Mode

Array = NDArray[np.float64]

PLACES = 64
"""Spectra of each seed."""

PIXEL_NM, ZERO_LOSS_eV = 2.0, 1.5
"""Edge of the pixel that a spectrum is taken from, and how far the zero loss wanders to either side."""

LEAST_ATOMS = 200.0
"""Shares are asked for where there are so many atoms per nm^2 of both together."""

SYMBOLS = {6: "C", 7: "N", 8: "O", 14: "Si", 22: "Ti", 29: "Cu", 30: "Zn", 46: "Pd", 47: "Ag", 78: "Pt"}


@dataclass(frozen=True)
class Subject:
    """What is read in a world at a time: kinds of atoms, the share of one of two, at so many electrons a spectrum.

    ``alike`` are kinds of which there are as many everywhere in every world: they are fitted, but nobody asks for them.
    """

    name: str
    world: str
    mode: Mode
    time_s: float
    electrons: tuple[float, float, float]
    share: tuple[str, str]
    alike: tuple[str, ...]
    edges: tuple[Edge, ...] = ()
    elements: tuple[int, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of what is counted."""
        return tuple(edge.name for edge in self.edges) + tuple(SYMBOLS[z] for z in self.elements)

    @property
    def asked(self) -> tuple[str, ...]:
        """Quantities that are compared."""
        first = ("zero_loss_eV", "t_over_lambda") if self.mode == "EELS" else ()
        return (*first, *(name for name in self.kinds if name not in self.alike), "share")

    @property
    def column(self) -> Column:
        """The world's column."""
        return world_type(self.world).facts.column

    @property
    def able(self) -> Capabilities:
        """What the instrument says of itself."""
        return capabilities(self.column)

    @property
    def axis_eV(self) -> Array:
        """Centres of the channels."""
        return self.column.energy_axis_eV() if self.mode == "EELS" else self.column.xrays.energy_axis_eV()


SUBJECTS = {
    each.name: each
    for each in (
        Subject(
            "valence EELS",
            "valence",
            "EELS",
            300.0,
            (5e5, 5e6, 5e7),
            (FE3_L3.name, FE2_L3.name),
            (C_K.name,),
            edges=(C_K, O_K, FE2_L3, FE3_L3),
        ),
        Subject(
            "interface EELS",
            "interface",
            "EELS",
            450.0,
            (2e5, 2e6, 2e7),
            (ZN_L3.name, CU_L3.name),
            (N_K.name,),
            edges=(N_K, O_K, CU_L3, ZN_L3),
        ),
        Subject(
            "interface EDS",
            "interface",
            "EDS",
            450.0,
            (1e7, 1e8, 1e9),
            ("Zn", "Cu"),
            ("N", "Si"),
            elements=(7, 8, 14, 29, 30),
        ),
    )
}


@dataclass(frozen=True)
class Scene:
    """Expected shares of the electrons (N, E), and truths (N,) by quantity, NaN where there is nothing to ask."""

    expected: Array
    truth: Mapping[str, Array]

    def counts(self, electrons: float, seed: int) -> Array:
        """What a detector counts, (N, E)."""
        return np.random.default_rng([seed, int(electrons)]).poisson(electrons * self.expected).astype(np.float64)


def scene(subject: Subject, seed: int) -> Scene:
    """The spectra of one seed."""
    kind = world_type(subject.world)
    specimen, random = kind(seed), np.random.default_rng([seed, 77])
    specimen.set_holder(kind.facts.holder)
    specimen.advance_to(subject.time_s)
    places = random.uniform(-0.47, 0.47, (PLACES, 2)) * specimen.extent_nm
    grid = Grid(places, np.array([PIXEL_NM, 0.0]), np.array([0.0, PIXEL_NM]), 1, 0)
    wander = random.uniform(-ZERO_LOSS_eV, ZERO_LOSS_eV, (1, PLACES))
    look = Look([grid], [Aberrations()], torch.from_numpy(wander) if subject.mode == "EELS" else None)
    expected = Signals(specimen, subject.column).expected(subject.mode, look)[0, :, 0].numpy()
    thickness_nm = specimen.project([grid])[0, :, :, 0].T.numpy()
    truth = atoms_per_nm2(subject, specimen.materials, thickness_nm)
    if subject.mode == "EELS":
        paths_nm = Spectrometer(specimen.materials, subject.column).free_path_nm
        truth |= {"zero_loss_eV": wander[0], "t_over_lambda": (thickness_nm / paths_nm).sum(axis=1)}
    one, other = (truth[name] for name in subject.share)
    enough = one + other > LEAST_ATOMS
    truth["share"] = np.where(enough, one / np.where(enough, one + other, 1.0), np.nan)
    return Scene(np.asarray(expected, dtype=np.float64), truth)


def atoms_per_nm2(subject: Subject, materials: Sequence[Material], thickness_nm: Array) -> dict[str, Array]:
    """Atoms per nm^2, (N,), of each kind, of thicknesses (N, M) of materials."""
    found = {name: np.zeros(len(thickness_nm)) for name in subject.kinds}
    for material, layer in zip(materials, thickness_nm.T, strict=True):
        by_edge = [(edge.name, number) for edge, number in material.edges]
        by_element = [(SYMBOLS.get(z, ""), number) for z, number in material.atoms]
        for name, number in by_edge if subject.mode == "EELS" else by_element:
            if name in found:
                found[name] = found[name] + layer * material.formula_per_nm3 * number
    return found
