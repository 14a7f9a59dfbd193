"""Correcting aberrations by looking: `adaptem/Autotune-v0`, over any Microscope that has some."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from hardware_bridge.errors import Malformed, Rejected
from hardware_bridge.messages import Acquire, Box, Command, Limits, Optics, Range, Settings
from hardware_bridge.microscope import Microscope, execute

Dictionary = dict[str, Any]
Array = NDArray[np.float32]

PIXELS, FOV_NM, DWELL_S = 128, 12.8, 8e-6
GOOD = 0.8
"""Strehl ratio from which a probe counts as free of aberrations (Marechal)."""

MOST_IMAGES = 50
TRAINING_SEEDS = (10_000, 100_000)
RANGES_NM = {"C10": 60.0, "C12": 30.0, "C21": 900.0, "C23": 300.0}
"""How far off each aberration is, in each of its directions: C10 and C12 with three parameters, all with seven. C21 has
the range of BEACON (its B2 is C21 / 3); that of C23 is an assumption.
"""

ORDERS = {"C10": 0, "C12": 2, "C21": 1, "C23": 3}
SILENCE_S = 10.0


@dataclass(frozen=True)
class Bench:
    """An instrument with aberrations that nobody knows, and how good its probe is with given settings."""

    microscope: Microscope
    strehl: Callable[[Optics], float]


def optics_of(names: Sequence[str], values_nm: Sequence[float]) -> Optics:
    """Settings of aberrations from their components: one for C10, two (along and across) for each other one."""
    given, left = {}, list(values_nm)
    for name in names:
        if name == "C10":
            given["C10_nm"] = left.pop(0)
            continue
        x, y = left.pop(0), left.pop(0)
        given |= {f"{name}_nm": math.hypot(x, y), f"phi{name[1:]}_rad": math.atan2(y, x) / ORDERS[name]}
    return Optics(**given)


def tuning_limits(names: Sequence[str], extent_nm: float) -> Limits:
    """Limits that hold every action, and nothing of what is not tuned."""
    ranges = {"fov_nm": Range(low=FOV_NM, high=FOV_NM), "dwell_s": Range(low=DWELL_S, high=DWELL_S)}
    ranges |= dict.fromkeys(("pixels_x", "pixels_y"), Range(low=PIXELS, high=PIXELS))
    ranges["max_frames"] = Range(low=1, high=1)
    for name in names:
        most = RANGES_NM[name] * 1.001
        if name == "C10":
            ranges["C10_nm"] = Range(low=-most, high=most)
            continue
        ranges[f"{name}_nm"] = Range(low=0.0, high=math.sqrt(2) * most)
        ranges[f"phi{name[1:]}_rad"] = Range(low=-math.pi, high=math.pi)
    charted = Range(low=-extent_nm, high=extent_nm)
    return Limits(
        ranges=ranges,
        max_step_nm=1.0,
        dose_map=Box(x=charted, y=charted),
        dose_cell_nm=extent_nm / 16,
        max_electrons=1e12,
        max_fluence_e_per_A2=1e9,
        max_dose_rate_e_per_A2_s=1e12,
        max_detector_e_per_s={"HAADF": 1e10},
    )


class AutotuneEnv(gymnasium.Env[Dictionary, Array]):
    """Find the settings of the lenses that undo hidden aberrations, in as few images as possible.

    Observation, all in 0..1: ``image`` (128, 128, 1) float32, square root of the counts over the largest of them;
    ``state`` (P + 1,) float32: the settings, each over its range, and the images left. Action (P,) float32 in -1..1:
    the next settings over their ranges: C10, C12 along and across, and with seven parameters C21 and C23 likewise.

    The reward of an image is the change of the Strehl ratio, which is known here alone. The episode terminates when it
    reaches 0.8 and is cut off after 50 images. An action that safety refuses sets nothing, shows the last image again,
    counts as an image, and is told in ``info["refused"]``.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(self, make_bench: Callable[[int, Sequence[str]], Bench], parameters: int = 3) -> None:
        """Tune 3 or 7 parameters.

        Raises:
            ValueError: another number of parameters.
        """
        if parameters not in (3, 7):
            raise ValueError(f"parameters = {parameters}: choose 3 (C10, C12) or 7 (C21 and C23 too)")
        self._make_bench = make_bench
        self._names = ("C10", "C12") if parameters == 3 else tuple(RANGES_NM)
        self._ranges = np.array([RANGES_NM[n] for n in self._names for _ in range(1 if n == "C10" else 2)])
        self.observation_space = spaces.Dict(
            {
                "image": spaces.Box(0.0, 1.0, (PIXELS, PIXELS, 1), np.float32),
                "state": spaces.Box(0.0, 1.0, (parameters + 1,), np.float32),
            }
        )
        self.action_space = spaces.Box(-1.0, 1.0, (parameters,), np.float32)

    def reset(self, *, seed: int | None = None, options: Dictionary | None = None) -> tuple[Dictionary, Dictionary]:
        """Draw aberrations and a place, and take a first image with nothing corrected."""
        super().reset(seed=seed)
        world = int(self.np_random.integers(*TRAINING_SEEDS)) if seed is None else seed
        self._bench, self._images = self._make_bench(world, self._names), 0
        self._look(np.zeros(len(self._ranges)))
        return self._observe(), {"strehl": self._strehl}

    def step(self, action: Array) -> tuple[Dictionary, float, bool, bool, Dictionary]:
        """Set the lenses and take an image."""
        before, asked = self._strehl, np.asarray(action, dtype=np.float64)
        told = {}
        try:
            self._look(asked)
        except (Malformed, Rejected) as refusal:
            told["refused"] = str(refusal)
            self._images += 1
        over, cut = self._strehl >= GOOD, self._images > MOST_IMAGES
        return self._observe(), self._strehl - before, over, cut and not over, {"strehl": self._strehl, **told}

    def _look(self, settings: NDArray[np.float64]) -> None:
        optics = optics_of(self._names, (settings * self._ranges).tolist())
        acquire = Acquire(mode="HAADF", fov_nm=FOV_NM, pixels_x=PIXELS, pixels_y=PIXELS, dwell_s=DWELL_S)
        command = Command(id=f"image-{self._images}", set=Settings(optics=optics), acquire=acquire)
        seen = execute(self._bench.microscope, command, SILENCE_S)
        assert seen.data is not None  # an image was asked for
        root = np.sqrt(seen.data.astype(np.float32))
        self._image = (root / max(float(root.max()), 1.0))[..., None]
        self._images, self._settings = self._images + 1, settings
        self._strehl = self._bench.strehl(seen.state.optics)

    def _observe(self) -> Dictionary:
        left = 1.0 - (self._images - 1) / (MOST_IMAGES + 1)
        state = np.append((self._settings + 1) / 2, left).astype(np.float32)
        return {"image": self._image.copy(), "state": np.clip(state, 0.0, 1.0)}
