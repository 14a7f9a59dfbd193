"""`adaptem/Growth-v0`: the growth world as a Gymnasium environment over any Microscope, safety inside."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.score import Truth, score
from hardware_bridge.errors import Rejected
from hardware_bridge.messages import Acquire, Command, Go, InstrumentState, Optics, Settings
from hardware_bridge.microscope import Microscope, execute
from hardware_bridge.observation import Observation
from hardware_bridge.report import Card, Percept, Report

PIXELS = 64
SPECTRUM = 128
STATE = 7
MODES = ("HAADF", "EELS")
FIELD_NM = {"HAADF": 256.0, "EELS": 64.0}
SPECTRUM_PIXELS = 4
BRIGHTEST = 64.0
C10_SPAN_NM = 1000.0
SILENCE_S = 10.0
REFUSED_S = 1.0

Dictionary = dict[str, Any]


@dataclass(frozen=True)
class Eyes:
    """Perception of one episode: what an observation says, and what is claimed so far."""

    perceive: Callable[[Observation], Percept]
    report: Callable[[], Report]


class GrowthEnv(gymnasium.Env[Dictionary, Dictionary]):
    """Watch particles grow and be rewarded for how much better the report gets.

    Observation, all in 0..1: ``image`` (64, 64, 1) float32, square root of the counts of the last image; ``spectrum``
    (128,) float32, log of the counts of the last spectrum; ``state`` (7,) float32: stage x and y, C10, time left,
    electrons left, focus estimate, particles found. Action: ``move`` (4,) float32 in -1..1, the field's place x and y
    over the extent, C10 over its span, and the logarithm of the share of electrons to spend; ``mode`` 0 image, 1
    spectrum. (A Dict of Box and Discrete, which Gymnasium's flattening and RLlib both take.)

    The reward is the change of the score S of the running report; its truth is known here alone and in no observation.
    A command that safety refuses moves nothing, earns nothing, and is told in ``info["refused"]``.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(
        self,
        make_microscope: Callable[[int], Microscope],
        make_eyes: Callable[[Microscope], Eyes],
        truth_of: Callable[[int], Truth],
        card: Card,
    ) -> None:
        self._make_microscope, self._make_eyes, self._truth_of = make_microscope, make_eyes, truth_of
        self._card = card
        box = spaces.Box(0.0, 1.0, (PIXELS, PIXELS, 1), np.float32)
        self.observation_space = spaces.Dict(
            {
                "image": box,
                "spectrum": spaces.Box(0.0, 1.0, (SPECTRUM,), np.float32),
                "state": spaces.Box(0.0, 1.0, (STATE,), np.float32),
            }
        )
        self.action_space = spaces.Dict(
            {"move": spaces.Box(-1.0, 1.0, (4,), np.float32), "mode": spaces.Discrete(len(MODES))}
        )

    def reset(self, *, seed: int | None = None, options: Dictionary | None = None) -> tuple[Dictionary, Dictionary]:
        """Start the world of a seed (drawn from the environment's own stream where none is given)."""
        super().reset(seed=seed)
        world = int(self.np_random.integers(2**31)) if seed is None else seed
        self._microscope = self._make_microscope(world)
        self._eyes = self._make_eyes(self._microscope)
        self._truth = self._truth_of(world)
        self._turn, self._refused_s = 0, 0.0
        self._image = np.zeros((PIXELS, PIXELS, 1), np.float32)
        self._spectrum = np.zeros(SPECTRUM, np.float32)
        self._focus_nm, self._particles = 0.0, 0
        self._start_s = self._microscope.state().clock_s
        self._score = score(self._eyes.report(), self._truth, self._card)[0]
        return self._observe(self._microscope.state()), {}

    def step(self, action: Dictionary) -> tuple[Dictionary, float, bool, bool, Dictionary]:
        """Run one command and let perception and reporter see what came."""
        info: Dictionary = {}
        gained = 0.0
        state = self._microscope.state()
        try:
            observation = execute(self._microscope, self._command(action, state), SILENCE_S)
        except Rejected as refusal:
            info["refused"] = str(refusal)
            self._refused_s += REFUSED_S
        else:
            self._take(observation, self._eyes.perceive(observation))
            now = score(self._eyes.report(), self._truth, self._card)[0]
            gained, self._score = now - self._score, now
        self._turn += 1
        state = self._microscope.state()
        left_s, left_e = self._left(state)
        return self._observe(state), float(gained), left_e <= 0.0, left_s <= 0.0, info

    def _command(self, action: Dictionary, state: InstrumentState) -> Command:
        x, y, focus, spend = (float(value) for value in action["move"])
        mode = MODES[int(action["mode"])]
        pixels = PIXELS if mode == "HAADF" else SPECTRUM_PIXELS
        half = self._card.extent_nm / 2
        dwell_s = 5e-6 if mode == "HAADF" else 2e-3
        return Command(
            id=f"step-{self._turn}",
            go=Go(stage_x_nm=x * half, stage_y_nm=y * half, beam_shift_x_nm=0.0, beam_shift_y_nm=0.0),
            set=Settings(optics=Optics(C10_nm=focus * C10_SPAN_NM, beam_current_pA=10.0 ** (1.0 + spend))),
            acquire=Acquire(
                mode="HAADF" if mode == "HAADF" else "EELS",
                fov_nm=FIELD_NM[mode],
                pixels_x=pixels,
                pixels_y=pixels,
                dwell_s=dwell_s,
            ),
        )

    def _take(self, observation: Observation, percept: Percept) -> None:
        data = observation.data
        if data is None:
            return
        if observation.kind == "frame":
            counts = data.astype(np.float64)
            self._image = np.sqrt(np.clip(counts / BRIGHTEST, 0.0, 1.0)).astype(np.float32)[..., None]
            self._particles = len(percept.particles)
        else:
            total = data.reshape(-1, data.shape[-1]).sum(axis=0).astype(np.float64)
            binned = total[: SPECTRUM * (len(total) // SPECTRUM)].reshape(SPECTRUM, -1).sum(axis=1)
            self._spectrum = np.clip(np.log1p(binned) / math.log(1e9), 0.0, 1.0).astype(np.float32)
        focus = percept.estimates.get("defocus_error_nm")
        self._focus_nm = focus.value if focus is not None else 0.0

    def _left(self, state: InstrumentState) -> tuple[float, float]:
        spent_s = state.clock_s - self._start_s + self._refused_s
        return self._card.duration_s - spent_s, self._card.budget_electrons - state.electrons_charged

    def _observe(self, state: InstrumentState) -> Dictionary:
        left_s, left_e = self._left(state)
        half = self._card.extent_nm / 2
        numbers = (
            0.5 + (state.go.stage_x_nm or 0.0) / (2 * half),
            0.5 + (state.go.stage_y_nm or 0.0) / (2 * half),
            0.5 + (state.optics.C10_nm or 0.0) / (2 * C10_SPAN_NM),
            left_s / self._card.duration_s,
            left_e / self._card.budget_electrons,
            0.5 + self._focus_nm / (2 * C10_SPAN_NM),
            self._particles / 100.0,
        )
        vector: NDArray[np.float32] = np.clip(np.array(numbers, dtype=np.float32), 0.0, 1.0)
        return {"image": self._image.copy(), "spectrum": self._spectrum.copy(), "state": vector}
