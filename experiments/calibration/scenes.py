"""Scenes as a run has them, on the twin: what perception says of each beside what is true.

Each seed is one small scene: a cell of copper and debris on a bulging window, two images on either side of focus, one
near focus from where the stage has come back to, and a spectrum. Of every estimate one z = (estimate - truth) / sd per
seed is kept, so that those of one sample are independent: of particles one is drawn by lot among those that are copper
and whose centre was found within half a radius, so mix-ups are counted as such and not as errors.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from agent.perception.analyst import Analyst
from agent.perception.focus import Lens
from digital_twin.detectors import Spectrometer
from digital_twin.instrument import Twin
from digital_twin.materials import COPPER, NITRIDE, WATER, ZIRCONIA
from digital_twin.specimen import Grid, Still, draw_spheres
from hardware_bridge.cost import ELECTRONS_PER_PA_S
from hardware_bridge.messages import Acquire, Command, Go, Mode, Optics, Settings
from hardware_bridge.microscope import execute
from hardware_bridge.observation import Observation
from hardware_bridge.report import Estimate, Percept

EXTENT_NM = 2048.0
REACH_NM = 400.0
PIXEL_NM = 2.0
PAIR_NM = 400.0
DWELL_S = 5e-6
ESTIMATES = (
    "drift_x_nm",
    "drift_y_nm",
    "defocus_error_nm",
    "blur_nm",
    "thickness_t_over_lambda",
    "zero_loss_eV",
    "oxygen_per_nm2",
    "copper_per_nm2",
    "particle x_nm",
    "particle y_nm",
    "particle x in its field",
    "particle radius_nm",
)


class Scene(Still):
    """Copper and debris around a place on a window that bulges as that of the growth world; nothing changes."""

    extent_nm = EXTENT_NM
    materials = (COPPER, ZIRCONIA, WATER, NITRIDE)
    device = torch.device("cpu")

    def __init__(self, rng: np.random.Generator) -> None:
        self.centre_nm = rng.uniform(-768.0, 768.0, 2)
        self._middle_nm = rng.uniform(-300.0, 300.0, 2)
        self._bulge_nm = 900.0 * math.exp(0.3 * rng.standard_normal())
        self.copper = self._spheres(rng, 46.0 * math.exp(0.6 * rng.standard_normal()))
        self.debris = self._spheres(rng, 8.0, smallest_nm=6.0, largest_nm=22.0)

    def _spheres(
        self, rng: np.random.Generator, per_um2: float, smallest_nm: float = 1.0, largest_nm: float = 30.0
    ) -> np.ndarray:
        """x, y, radius (n, 3) of spheres that do not touch; squared radii are even, as growth makes them."""
        number = rng.poisson(per_um2 * (2e-3 * REACH_NM) ** 2)
        largest_nm = max(smallest_nm + 4.0, largest_nm * math.sqrt(rng.uniform(0.2, 1.0)))
        kept: list[tuple[float, float, float]] = []
        for _ in range(number):
            x, y = self.centre_nm + rng.uniform(-REACH_NM, REACH_NM, 2)
            radius = math.sqrt(rng.uniform(smallest_nm**2, largest_nm**2))
            if all(math.hypot(x - a, y - b) > radius + c for a, b, c in kept):
                kept.append((x, y, radius))
        return np.array(kept).reshape(-1, 3)

    def height_nm(self, x_nm: torch.Tensor, y_nm: torch.Tensor, worlds: Sequence[int] | None = None) -> torch.Tensor:
        """A bulging window."""
        dx, dy = x_nm - self._middle_nm[0], y_nm - self._middle_nm[1]
        height: torch.Tensor = self._bulge_nm * (0.5 - (dx**2 + dy**2) / (EXTENT_NM / 2) ** 2)
        return height

    def project(self, grids: Sequence[Grid]) -> torch.Tensor:
        """Copper and debris in water between nitride windows."""
        copper, debris = (
            draw_spheres(
                grids, torch.zeros(len(s), dtype=torch.long), torch.from_numpy(s[:, :2]), torch.from_numpy(s[:, 2])
            )
            for s in (self.copper, self.debris)
        )
        water = (150.0 - copper - debris).clamp(min=0.0)
        return torch.stack([copper, debris, water, torch.full_like(copper, 60.0)], dim=1)


@dataclass
class Session:
    """A twin on a scene, its analyst, and where things truly are."""

    scene: Scene
    twin: Twin
    analyst: Analyst
    rng: np.random.Generator
    images: int = 0

    @classmethod
    def of(cls, seed: int) -> Session:
        """The session of one seed."""
        rng = np.random.default_rng([seed, 99])
        scene = Scene(rng)
        twin = Twin(scene, seed)
        return cls(scene, twin, Analyst(twin.describe()), rng)

    def look(
        self, at_nm: np.ndarray, C10_nm: float, current_pA: float, view: tuple[Mode, float, int, float]
    ) -> tuple[Observation, Percept]:
        """Take an image or a spectrum; the view is mode, field in nm, pixels along an edge, dwell in s."""
        self.images += 1
        mode, fov_nm, pixels, dwell_s = view
        command = Command(
            id=f"c{self.images}",
            go=Go(stage_x_nm=float(at_nm[0]), stage_y_nm=float(at_nm[1])),
            set=Settings(optics=Optics(beam_current_pA=current_pA, C10_nm=C10_nm)),
            acquire=Acquire(mode=mode, fov_nm=fov_nm, pixels_x=pixels, pixels_y=pixels, dwell_s=dwell_s),
        )
        observation = execute(self.twin, command, 5.0)
        return observation, self.analyst(observation)

    def moved_nm(self, observation: Observation) -> np.ndarray:
        """How far the specimen moved against the instrument's coordinates, (x, y), mean over the rows."""
        times = np.asarray(observation.row_start_s)
        moved = self.twin._drift.specimen_nm(times) - self.twin._stage.error_nm(times)
        return np.asarray(moved.mean(axis=0))

    def in_focus_nm(self, at_nm: np.ndarray, clock_s: float) -> float:
        """The set C10 at which a place is sharpest."""
        x, y = (torch.full((1, 1), float(v), dtype=torch.float64) for v in at_nm)
        height = float(self.scene.height_nm(x, y))
        return self.lens.sharpest_C10_nm - height - self.twin._drift.C10_nm(clock_s)

    def blur_nm(self, observation: Observation, at_nm: np.ndarray) -> float:
        """Standard deviation of the blur along one axis in the middle of a field: rays, source and pixel."""
        C10_nm = observation.state.optics.C10_nm or 0.0
        off_nm = self.lens.sharpest_C10_nm + C10_nm - self.in_focus_nm(at_nm, observation.end_s)
        source = self.twin.column.source_fwhm_nm / math.sqrt(8.0 * math.log(2.0))
        return math.hypot(self.lens.blur_nm(off_nm), source, PIXEL_NM / math.sqrt(12.0))

    @property
    def lens(self) -> Lens:
        """What the blur depends on besides C10."""
        return Lens(self.twin.column.convergence_mrad, self.twin.state().optics.C30_um or 0.0)


def calibrate(seeds: range) -> dict[str, np.ndarray]:
    """Z of every estimate over scenes; of a scene that gives none of an estimate there is none."""
    z: dict[str, list[float]] = defaultdict(list)
    for seed in seeds:
        for name, (estimate, truth) in scene_of(seed).items():
            z[name].append((estimate.value - truth) / estimate.sd)
    return {name: np.array(values) for name, values in z.items()}


def scene_of(seed: int) -> dict[str, tuple[Estimate, float]]:
    """Estimates of one scene, each with the truth."""
    session = Session.of(seed)
    rng, centre = session.rng, session.scene.centre_nm
    pixels = int(rng.choice([128, 192]))
    view: tuple[Mode, float, int, float] = ("HAADF", PIXEL_NM * pixels, pixels, DWELL_S)
    # Electrons per pixel: the even share of a run's budget and what policies make of it.
    current_pA = 20.0 * math.exp(rng.uniform(-1.0, 1.5)) * 2.0 / (DWELL_S * ELECTRONS_PER_PA_S)
    aim = session.in_focus_nm(centre, 0.0) + rng.normal(0.0, 80.0)
    found: dict[str, tuple[Estimate, float]] = {}
    for offset_nm in (PAIR_NM, -PAIR_NM):
        observation, percept = session.look(centre, aim + offset_nm, current_pA, view)
    if "defocus_error_nm" in percept.estimates:
        there = centre - session.moved_nm(observation)
        truth = session.in_focus_nm(there, observation.end_s) - (aim - PAIR_NM)
        found["defocus_error_nm"] = percept.estimates["defocus_error_nm"], truth
    beside = centre + rng.uniform(-30.0, 30.0, 2)
    C10_nm = aim + rng.normal(0.0, 60.0)
    observation, percept = session.look(beside, C10_nm, current_pA, view)
    return found | _image(session, beside, observation, percept) | _spectrum(session, percept)


def _image(
    session: Session, at_nm: np.ndarray, observation: Observation, percept: Percept
) -> dict[str, tuple[Estimate, float]]:
    moved = session.moved_nm(observation)
    found = {
        "drift_x_nm": (percept.estimates["drift_x_nm"], moved[0]),
        "drift_y_nm": (percept.estimates["drift_y_nm"], moved[1]),
    }
    found["blur_nm"] = percept.estimates["blur_nm"], session.blur_nm(observation, at_nm - moved)
    copper = session.scene.copper
    pairs = []
    for particle in percept.particles:
        # Registered places are all off by what the first image was: that is no reason to take one for another.
        x = particle.x_nm - (percept.x_nm - (at_nm - moved)[0])
        y = particle.y_nm - (percept.y_nm - (at_nm - moved)[1])
        apart = np.hypot(copper[:, 0] - x, copper[:, 1] - y) if len(copper) else np.zeros(0)
        if apart.size and apart.min() < 0.5 * copper[apart.argmin(), 2] and particle.real >= 0.5:
            pairs.append((particle, copper[apart.argmin()]))
    if pairs:
        particle, (x, y, radius) = pairs[int(session.rng.integers(len(pairs)))]
        found["particle x_nm"] = Estimate(value=particle.x_nm, sd=particle.x_sd_nm), x
        found["particle y_nm"] = Estimate(value=particle.y_nm, sd=particle.y_sd_nm), y
        # Against its own field, whose place is common to all that it shows.
        own_sd = math.sqrt(particle.x_sd_nm**2 - percept.estimates["drift_x_nm"].sd ** 2)
        found["particle x in its field"] = (
            Estimate(value=particle.x_nm - percept.x_nm, sd=own_sd),
            x - (at_nm - moved)[0],
        )
        found["particle radius_nm"] = Estimate(value=particle.radius_nm, sd=particle.radius_sd_nm), radius
    return found


def _spectrum(session: Session, percept: Percept) -> dict[str, tuple[Estimate, float]]:
    """A spectrum of a feature that the last image showed, or of its middle, aimed as policies aim."""
    scene, rng = session.scene, session.rng
    seen = [(p.x_nm, p.y_nm) for p in percept.particles] or [(percept.x_nm, percept.y_nm)]
    offset = [percept.estimates[name].value for name in ("drift_x_nm", "drift_y_nm")]
    at_nm = np.add(seen[int(rng.integers(len(seen)))], offset)
    fov_nm, pixels, dwell_s = 16.0, 8, 5e-3
    current_pA = math.exp(rng.uniform(math.log(3e5), math.log(1e7))) / (pixels**2 * dwell_s * ELECTRONS_PER_PA_S)
    observation, percept = session.look(at_nm, 0.0, current_pA, ("EELS", fov_nm, pixels, dwell_s))
    fine = fov_nm / 64
    corner = at_nm - session.moved_nm(observation) + fine / 2 - fov_nm / 2
    down = np.array([0.0, fine])
    matter = scene.project([Grid(corner + np.arange(64)[:, None] * down, np.array([fine, 0.0]), down, 64)])
    means = matter[0].mean(dim=(1, 2)).tolist()
    free_path_nm = Spectrometer(scene.materials, session.twin.column).free_path_nm
    truth = {
        "thickness_t_over_lambda": float((np.array(means) / free_path_nm).sum()),
        "zero_loss_eV": 0.0,
        "oxygen_per_nm2": WATER.formula_per_nm3 * means[2] + 2.0 * ZIRCONIA.formula_per_nm3 * means[1],
        "copper_per_nm2": COPPER.formula_per_nm3 * means[0],
    }
    return {name: (percept.estimates[name], value) for name, value in truth.items() if name in percept.estimates}
