"""What the agent's own perception says of a scene, with the standard deviations that it claims."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.perception.analyst import Analyst
from agent.perception.columns import MOS2, Columns, find_columns
from experiments.seeing.scenes import Scene

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """Objects in an image (n,): ``at`` (n, 2) rows and columns in pixels, ``size`` in nm or whatever a method has.

    ``sd`` (n, 3) is of row, column (pixels) and size where a method claims one; ``took_s`` is the time it took.
    """

    at: Array
    size: Array
    sd: Array | None
    took_s: float


def particles(scene: Scene, dose: float) -> Found:
    """Particles that the analyst finds in its first image of a specimen."""
    observation, analyst = scene.observation(dose), Analyst(scene.able)
    begun = time.perf_counter()
    percept = analyst(observation)
    took_s = time.perf_counter() - begun
    half, pixel = (len(scene.expected) - 1) / 2, scene.pixel_nm
    seen = percept.particles
    common = [percept.estimates[f"drift_{axis}_nm"].sd for axis in "yx"]
    at = [((p.y_nm - percept.y_nm) / pixel + half, (p.x_nm - percept.x_nm) / pixel + half) for p in seen]
    # Where the field lies is uncertain too, and the same for all: here it is given.
    own = [
        [max(sd**2 - c**2, 0.0) ** 0.5 / pixel for sd, c in zip((p.y_sd_nm, p.x_sd_nm), common, strict=True)]
        + [p.radius_sd_nm]
        for p in seen
    ]
    size = np.array([p.radius_nm for p in seen])
    return Found(np.reshape(at, (-1, 2)), size, np.reshape(own, (-1, 3)), took_s)


def columns(scene: Scene, dose: float) -> tuple[Columns, float]:
    """Columns of the crystal in an image, and how long it took to find them."""
    image = scene.counts(dose)
    begun = time.perf_counter()
    found = find_columns(image, scene.pixel_nm, MOS2)
    return found, time.perf_counter() - begun
