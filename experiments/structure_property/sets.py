"""Spectrum images of the twin with their property at each point: as measured, and as it would be without noise.

Each is taken through the twin's own instrument, a HAADF image first and then an EELS spectrum at each point of a grid,
with the drift of both, and the electrons a point that the world's budget pays for where 5 % of the points are measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.perception.edges import KNOWN, CoreLosses
from agent.perception.eels import SpectrumReader
from digital_twin.instrument import Twin, Wanted
from digital_twin.signals import Signals
from digital_twin.spectra import FE3_L3, energy_axis_eV
from digital_twin.world import apparatus_of
from digital_twin.worlds import world_type
from hardware_bridge.cost import ELECTRONS_PER_PA_S
from hardware_bridge.messages import Acquire, Capabilities, Command, Go, Optics, Settings
from hardware_bridge.microscope import execute
from hardware_bridge.observation import Chunk

Array = NDArray[np.float64]
Property = Callable[[Array], float]
"""From counts (E,) to what is looked for."""

POINTS = 64
"""Points along an edge of the grid."""

FIELD_NM, IMAGE_PX, CURRENT_PA, IMAGE_DWELL_S = 1024.0, 256, 100.0, 4e-6
SHARE = 0.05
TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Subject:
    """What is looked for in a world: when and where, of what, and how it is read off a spectrum."""

    time_s: float
    stage_y_nm: float
    told: str
    property_of: Callable[[Capabilities], Property]


@dataclass(frozen=True)
class Taken:
    """One set: the image (H, W) in counts, and of each point, row by row, ``measured`` and ``true`` (N,)."""

    image: Array
    measured: Array
    true: Array


def _oxidised_iron(able: Capabilities) -> Property:
    losses, place = CoreLosses.of(able), KNOWN.index(FE3_L3)

    def read(counts: Array) -> float:
        # It tells the square root of the atoms, with its sign.
        root = float(losses(counts)[place])
        return root * abs(root)

    return read


def _copper(able: Capabilities) -> Property:
    axis_eV = energy_axis_eV(able.energy_offset_eV, able.energy_step_eV, able.energy_channels)
    reader = SpectrumReader(able, axis_eV)

    def read(counts: Array) -> float:
        copper = reader.read(counts).copper
        return copper.per_nm2.value if copper is not None else 0.0

    return read


SUBJECTS: Mapping[str, Subject] = {
    "valence": Subject(300.0, 0.0, "Fe3+ atoms per nm^2, by its white lines", _oxidised_iron),
    "interface": Subject(600.0, -512.0, "copper atoms per nm^2, by the L edge", _copper),
}


def electrons(world: str) -> float:
    """Incident electrons of each spectrum: the world's budget over 5 % of the points."""
    return world_type(world).facts.budget_electrons / round(SHARE * POINTS**2)


def kept(world: str, seed: int, folder: Path, say: Callable[[str], None] = lambda line: None) -> Taken:
    """The set of a seed; where it was made before, as it lies in the folder."""
    path = folder / f"{world}-{seed}.npz"
    if not path.exists():
        say(f"{world} {seed}: taking {POINTS**2} spectra")
        taken = take(world, seed)
        folder.mkdir(parents=True, exist_ok=True)
        # Whole or not at all: a run that is interrupted leaves no half of a set behind.
        half = path.with_suffix(".half.npz")
        np.savez(half, image=taken.image, measured=taken.measured, true=taken.true)
        half.replace(path)
    with np.load(path, allow_pickle=False) as found:
        return Taken(found["image"], found["measured"], found["true"])


def take(world: str, seed: int, points: int = POINTS) -> Taken:
    """Take image and spectra of the world of a seed, and read the property off each spectrum."""
    kind, subject = world_type(world), SUBJECTS[world]
    specimen, apparatus = kind(seed), apparatus_of(kind.facts)
    twin = Twin(specimen, seed, apparatus=apparatus)
    turn = 0
    while twin.state().clock_s < subject.time_s:
        execute(twin, Command(id=f"wait-{turn}"), TIMEOUT_S)
        turn += 1
    go, optics = Go(stage_x_nm=0.0, stage_y_nm=subject.stage_y_nm), Optics(beam_current_pA=CURRENT_PA)
    scan = Acquire(mode="HAADF", fov_nm=FIELD_NM, pixels_x=IMAGE_PX, pixels_y=IMAGE_PX, dwell_s=IMAGE_DWELL_S)
    image = execute(twin, Command(id="image", go=go, set=Settings(optics=optics), acquire=scan), TIMEOUT_S).data
    dwell_s = electrons(world) / (CURRENT_PA * ELECTRONS_PER_PA_S)
    spectra = Acquire(mode="EELS", fov_nm=FIELD_NM, pixels_x=points, pixels_y=points, dwell_s=dwell_s)
    twin.submit(Command(id="spectra", go=go, acquire=spectra))
    counts, expected = _watched(twin, Signals(specimen, apparatus.column))
    read = subject.property_of(twin.describe())
    measured, true = (np.array([read(each) for each in some]) for some in (counts, electrons(world) * expected))
    return Taken(np.asarray(image, dtype=np.float64), measured, true)


def _watched(twin: Twin, signals: Signals) -> tuple[Array, Array]:
    """Counts of the spectra of a submitted command, (N, E), and their expected shares of the electrons."""
    steps, rows, share = twin.steps(), [], None
    expected = np.zeros(0)
    while True:
        try:
            step = steps.send(share)
        except StopIteration:
            break
        share = None
        if isinstance(step, Wanted):
            share = signals.expected(step.mode, step.look)[0]
            expected = np.asarray(share)
        elif isinstance(step, Chunk):
            rows.append(np.asarray(step.data, dtype=np.float64))
    counts = np.concatenate(rows)
    return counts.reshape(-1, counts.shape[-1]), expected.reshape(-1, counts.shape[-1])
