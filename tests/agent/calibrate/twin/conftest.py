"""Series of images that drift, made without the twin: discs on a slope, Poisson counts, a detector's electronics."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from agent.calibrate.twin.evidence import Evidence, Frame, of_files

PIXELS = 160


@dataclass
class File:
    """Images as a file holds them."""

    counts: np.ndarray
    pixel_nm: float | None = None
    facts: dict[str, float] = field(default_factory=dict)


def _scene(rows: float, columns: float, seed: int = 0) -> np.ndarray:
    """Electrons expected: small discs with soft edges on a slope, their content moved on by fractions of a pixel."""
    random = np.random.default_rng(seed)
    y, x = np.indices((PIXELS, PIXELS)).astype(float)
    image = 20.0 + 0.15 * x
    for _ in range(60):
        at, radius, height = random.uniform(0, PIXELS, 2), random.uniform(2, 5), random.uniform(40, 150)
        distance = np.hypot(y - rows - at[0], x - columns - at[1])
        image += height / (1.0 + np.exp((distance - radius) / 1.5))
    return image


@dataclass
class Detector:
    """Hidden electronics, and what they make of electrons."""

    gain: float = 7.0
    offset: float = 300.0
    noise: float = 12.0
    per_s: float = 0.0

    def read(self, electrons: np.ndarray, dwell_s: float, random: np.random.Generator) -> np.ndarray:
        level = self.offset + self.per_s * dwell_s
        counts = level + self.gain * random.poisson(electrons) + random.normal(0.0, self.noise, electrons.shape)
        return np.clip(np.rint(counts), 0, 65535).astype(np.uint16)


def _series(detector: Detector, seed: int, frames: int = 14, step_px: float = 0.6) -> File:
    random = np.random.default_rng([seed, 1])
    at = np.cumsum(random.normal(0.0, step_px, (frames, 2)), axis=0)
    return File(np.stack([detector.read(_scene(*p), 5e-6, random) for p in at]))


def _darks(detector: Detector, seed: int, dwells_s: tuple[float, ...] = (5e-6, 1e-3)) -> list[File]:
    random = np.random.default_rng([seed, 2])
    empty = np.zeros((2, PIXELS, PIXELS))
    return [File(detector.read(empty, dwell_s, random), facts={"dwell_s": dwell_s}) for dwell_s in dwells_s]


@pytest.fixture(scope="session")
def scene() -> Callable[..., np.ndarray]:
    return _scene


@pytest.fixture(scope="session")
def make_detector() -> type[Detector]:
    return Detector


@pytest.fixture(scope="session")
def make_file() -> type[File]:
    return File


@pytest.fixture(scope="session")
def recorded() -> Callable[[Detector, int], Evidence]:
    """Repeats of one place and dark references at two dwell times."""

    def make(detector: Detector, seed: int) -> Evidence:
        images = _series(detector, seed)
        images.facts["dwell_s"] = 5e-6
        return of_files([images], _darks(detector, seed), {})

    return make


@pytest.fixture(scope="session")
def dark_frames() -> Callable[[Detector, int], tuple[Frame, ...]]:
    def make(detector: Detector, seed: int) -> tuple[Frame, ...]:
        return of_files([], _darks(detector, seed), {}).darks

    return make
