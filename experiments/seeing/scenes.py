"""Images of held-out worlds of the twin with what is truly there: particles in liquid, columns of a doped monolayer.

An image is what is expected at a random place and time of a world that no beam was in, with drift row by row and
aberrations as the world's microscope has them, and counts at any dose. Worlds of tuning and of the test differ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from digital_twin.column import capabilities
from digital_twin.defects import Defects
from digital_twin.drift import Drift
from digital_twin.exposure import Scan
from digital_twin.liquid_cell import LiquidCell
from digital_twin.monolayer import NOTHING, OXYGEN, PAIRS, SELENIUM
from digital_twin.optics import Aberrations, aberrations_of, summed
from digital_twin.signals import Look, Signals
from digital_twin.specimen import Specimen
from digital_twin.world import Facts
from hardware_bridge.cost import ELECTRONS_PER_PA_S
from hardware_bridge.messages import (
    Acquire,
    Axis,
    Capabilities,
    Command,
    Go,
    InstrumentState,
    Interlocks,
    Optics,
    Settings,
)
from hardware_bridge.observation import Observation

Array = NDArray[np.float64]

PIXELS, DWELL_S, FLYBACK_S = 256, 5e-6, 50e-6
FIELD_NM = {"particles": 512.0, "columns": 8.0}
DOSES = {"particles": (160.0, 40.0, 10.0), "columns": (1e5, 3e4, 1e4)}
"""Electrons a pixel (of 2 nm), and electrons a square angstrom; the lowest is where detection begins to fail."""

KINDS = ("vacancies", "dopants", "light_atoms")
TUNED, TESTED = range(30_000, 30_004), range(31_000, 31_016)
FOCUS_SD_NM = 60.0
"""How far off focus images of particles are; those of columns are as far off as focus wanders in their world."""


@dataclass(frozen=True)
class Scene:
    """One image before it is counted, ``expected`` (H, W) as shares of the incident electrons, and its truth.

    ``at`` (n, 2) are rows and columns of objects in pixels, ``size`` (n,) radii in nm of particles and 0 of columns,
    ``heavy`` (n,) columns of metal, and ``holds`` (n, 3) numbers of KINDS in columns.
    """

    task: str
    seed: int
    expected: Array
    able: Capabilities
    C10_nm: float
    at: Array
    size: Array
    heavy: NDArray[np.bool_]
    holds: Array

    @property
    def pixel_nm(self) -> float:
        """Edge of a pixel."""
        return FIELD_NM[self.task] / PIXELS

    def incident(self, dose: float) -> float:
        """Electrons a pixel at a dose of DOSES."""
        return dose if self.task == "particles" else dose * (10 * self.pixel_nm) ** 2

    def counts(self, dose: float) -> NDArray[np.uint16]:
        """The image at a dose, (H, W): the same each time."""
        random = np.random.default_rng([self.seed, 91, round(dose)])
        return random.poisson(self.expected * self.incident(dose)).astype(np.uint16)

    def observation(self, dose: float) -> Observation:
        """The image at a dose as an instrument hands it over."""
        current_pA = self.incident(dose) / (DWELL_S * ELECTRONS_PER_PA_S)
        acquire = Acquire(mode="HAADF", fov_nm=FIELD_NM[self.task], pixels_x=PIXELS, pixels_y=PIXELS, dwell_s=DWELL_S)
        command = Command(id="look", set=Settings(optics=Optics(beam_current_pA=current_pA)), acquire=acquire)
        end_s = PIXELS * (PIXELS * DWELL_S + FLYBACK_S)
        state = InstrumentState(
            clock_s=end_s,
            go=Go(stage_x_nm=0.0, stage_y_nm=0.0, stage_z_nm=0.0),
            optics=Optics(beam_current_pA=current_pA, C10_nm=0.0),
            holder=_facts(self.task).holder,
            beam_blanked=False,
            interlocks=Interlocks(
                vacuum_ok=True,
                valves_open=True,
                high_tension_on=True,
                screen_up=True,
                aperture_inserted=True,
                detectors_inserted=("HAADF",),
            ),
        )
        axes = tuple(Axis(name=name, size=PIXELS, offset=0.0, scale=self.pixel_nm, unit="nm") for name in "yx")
        return Observation(
            command=command,
            start_s=0.0,
            end_s=end_s,
            state=state,
            kind="frame",
            data=self.counts(dose),
            axes=axes,
            row_seen=np.ones(PIXELS, dtype=bool),
            row_start_s=np.arange(PIXELS) * end_s / PIXELS,
            electrons=self.incident(dose) * PIXELS**2,
        )


def scene(task: str, seed: int) -> Scene:
    """The scene of a seed: a place, a time and optics drawn for it."""
    torch.set_num_threads(1)
    return _particles(seed) if task == "particles" else _columns(seed)


def _facts(task: str) -> Facts:
    return LiquidCell.facts if task == "particles" else Defects.facts


def _expected(world: Specimen, facts: Facts, scan: Scan, aberrations: Aberrations) -> Array:
    signals = Signals(world, facts.column)
    return np.asarray(signals.expected("HAADF", Look([scan.grid], [aberrations]))[0].cpu())


def _scan(task: str, seed: int, centre_nm: Array, time_s: float) -> tuple[Scan, Drift]:
    """A scan around a place; rows stand where jitter and drift since the middle of the scan leave them."""
    drift = Drift(seed, _facts(task).conditions)
    moved = drift.rows_nm(time_s, PIXELS * DWELL_S + FLYBACK_S, PIXELS)
    acquire = Acquire(mode="HAADF", fov_nm=FIELD_NM[task], pixels_x=PIXELS, pixels_y=PIXELS, dwell_s=DWELL_S)
    return Scan.over(acquire, centre_nm, 0.0, moved - moved.mean(axis=0)), drift


def _pixels(scan: Scan, places_nm: Array) -> Array:
    """Rows and columns of places (n, 2) in a scan, had its rows stood even."""
    grid = scan.grid
    middle = grid.origin_nm.mean(axis=0)
    row = (places_nm - middle) @ grid.down_nm / grid.pixel_nm**2 + (len(grid.origin_nm) - 1) / 2
    return np.stack([row, (places_nm - middle) @ grid.across_nm / grid.pixel_nm**2], axis=-1)


def _shown(at: Array) -> NDArray[np.bool_]:
    return np.asarray(((at > -0.5) & (at < PIXELS - 0.5)).all(axis=-1))


def _particles(seed: int) -> Scene:
    random = np.random.default_rng([seed, 90])
    world, facts = LiquidCell(seed), LiquidCell.facts
    world.set_holder(facts.holder)
    time_s = float(random.uniform(150.0, 600.0))
    world.advance_to(time_s)
    centre = random.uniform(-700.0, 700.0, 2)
    scan, _ = _scan("particles", seed, centre, time_s)
    x, y = (torch.full((1, 1), float(each), dtype=torch.float64) for each in centre)
    off_nm = float(random.normal(0.0, FOCUS_SD_NM))
    C10_nm = off_nm - float(world.height_nm(x, y))
    expected = _expected(world, facts, scan, replace(aberrations_of(facts.optics), C10_nm=C10_nm))
    copper, radius = world.world.position_nm[0].numpy(), world.world.radius_nm[0].numpy()
    places = np.concatenate([copper[radius > 0], world.debris_position_nm.numpy()])
    sizes = np.concatenate([radius[radius > 0], world.debris_radius_nm.numpy()])
    at = _pixels(scan, places)
    kept = _shown(at)
    none = np.zeros((int(kept.sum()), 3))
    return Scene(
        "particles", seed, expected, capabilities(facts.column), C10_nm, at[kept], sizes[kept], none[:, 0] > 0, none
    )


def _columns(seed: int) -> Scene:
    random = np.random.default_rng([seed, 90])
    world, facts = Defects(seed), Defects.facts
    time_s = float(random.uniform(0.0, 600.0))
    centre = random.uniform(-11.0, 11.0, 2)
    scan, drift = _scan("columns", seed, centre, time_s)
    drifted = drift.aberrations(aberrations_of(facts.optics), time_s)
    x, y = (torch.full((1, 1), float(each), dtype=torch.float64) for each in centre)
    # Somebody has focused on the place: what is left is what wanders by itself.
    C10_nm = drift.C10_nm(time_s) - float(world.height_nm(x, y))
    expected = _expected(world, facts, scan, summed(replace(drifted, C10_nm=0.0), Aberrations(C10_nm=C10_nm)))
    atoms = world.crystal.atoms
    pairs, metal = atoms.pair_nm[0].numpy(), (atoms.pair_nm[0] + atoms.metal_nm[0]).numpy()
    both = atoms.occupant[0].view(2, PAIRS).numpy()
    holds = np.stack([(both == kind).sum(axis=0) for kind in (NOTHING, SELENIUM, OXYGEN)], axis=-1)
    tungsten = np.zeros((PAIRS, 3))
    tungsten[:, 1] = atoms.tungsten[0].numpy()
    at = _pixels(scan, np.concatenate([metal, pairs]))
    kept = _shown(at)
    heavy = np.arange(2 * PAIRS) < PAIRS
    held = np.concatenate([tungsten, holds]).astype(np.float64)
    size = np.zeros(int(kept.sum()))
    return Scene("columns", seed, expected, capabilities(facts.column), C10_nm, at[kept], size, heavy[kept], held[kept])
