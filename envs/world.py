"""A world as a Gymnasium environment over any Microscope, safety inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.coding import MODES, PIXELS, SPECTRUM, Coding, centred, image_of, pattern_of, spectrum_of
from envs.score import Truth, score
from hardware_bridge.errors import Malformed, Rejected
from hardware_bridge.messages import Command, InstrumentState
from hardware_bridge.microscope import Microscope
from hardware_bridge.observation import Observation
from hardware_bridge.report import Card, Percept, Report

STATE = 10
MANY_PARTICLES = 100.0
SPENT_SHARE = 1e-3
"""Share of the electron budget that buys nothing more: less than the faintest look."""

SILENCE_S = 10.0
TRAINING_WORLDS = (10_000, 100_000)
"""Seeds of the worlds that are drawn where none is asked for: apart from those of priors, tuning and results."""

Dictionary = dict[str, Any]


@dataclass(frozen=True)
class Eyes:
    """Perception of one episode: what an observation says, and what is claimed so far."""

    perceive: Callable[[Observation], Percept]
    report: Callable[[], Report]


class WorldEnv(gymnasium.Env[Dictionary, Dictionary]):
    """Watch a world change and be rewarded for how much better the report gets.

    Observation, all in 0..1: ``image`` (64, 64, 1) float32, square root of the counts of the last image; ``spectrum``
    (128,) float32, log of the counts of the last spectrum; ``pattern`` (64, 64, 1) float32, square root of the counts
    of the last diffraction pattern; ``state`` (10,) float32: stage x and y, C10, time left, electrons left, focus
    estimate, particles found, whether the image is new, whether the spectrum is, whether the pattern is. Action:
    ``move`` (4,) float32 in -1..1, the field's place x and y over the extent, C10 over its span, and the logarithm of
    the beam current; ``mode`` 0 image, 1 spectrum, 2 pattern. (A Dict of Box and Discrete, which Gymnasium's flattening
    and RLlib both take.)

    The reward is the change of the score S of the running report; its truth is known here alone and in no observation.
    A command that safety refuses moves nothing, earns nothing, costs a turn, and is told in ``info["refused"]``. The
    episode terminates when time or electrons are spent: both are part of the task and of its state.
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
        self.observation_space = spaces.Dict(
            {
                "image": spaces.Box(0.0, 1.0, (PIXELS, PIXELS, 1), np.float32),
                "spectrum": spaces.Box(0.0, 1.0, (SPECTRUM,), np.float32),
                "pattern": spaces.Box(0.0, 1.0, (PIXELS, PIXELS, 1), np.float32),
                "state": spaces.Box(0.0, 1.0, (STATE,), np.float32),
            }
        )
        self.action_space = spaces.Dict(
            {"move": spaces.Box(-1.0, 1.0, (4,), np.float32), "mode": spaces.Discrete(len(MODES))}
        )

    def reset(self, *, seed: int | None = None, options: Dictionary | None = None) -> tuple[Dictionary, Dictionary]:
        """Start the world of a seed, or of one drawn from the training worlds where none is given."""
        super().reset(seed=seed)
        world = self.drawn() if seed is None else seed
        return self.start(world, self._make_microscope(world)), {}

    def drawn(self) -> int:
        """Draw one of the training worlds."""
        return int(self.np_random.integers(*TRAINING_WORLDS))

    def start(self, world: int, microscope: Microscope) -> Dictionary:
        """Start an episode in the world of a seed, at an instrument that has it, and return what is seen at first."""
        self._microscope = microscope
        self._capabilities = self._microscope.describe()
        self._coding = Coding.of(self._card, self._capabilities)
        self._eyes = self._make_eyes(self._microscope)
        self._truth = self._truth_of(world)
        self._turn, self._refused = 0, ""
        self._image = np.zeros((PIXELS, PIXELS, 1), np.float32)
        self._spectrum = np.zeros(SPECTRUM, np.float32)
        self._pattern = np.zeros((PIXELS, PIXELS, 1), np.float32)
        self._fresh = ""
        self._focus_nm, self._particles = 0.0, 0
        state = self._microscope.state()
        self._start_s, self._start_electrons = state.clock_s, state.electrons_charged
        self._score = score(self._eyes.report(), self._truth, self._card)[0]
        return self._observe(state)

    def step(self, action: Dictionary) -> tuple[Dictionary, float, bool, bool, Dictionary]:
        """Run one command and let perception and reporter see what came."""
        self.begin(action)
        return self.finish()

    def begin(self, action: Dictionary) -> None:
        """Give the command of an action; one that is refused is a turn of waiting."""
        self._fresh, self._refused = "", ""
        command = self._coding.command(f"step-{self._turn}", action["move"], int(action["mode"]))
        try:
            self._microscope.submit(command)
        except (Malformed, Rejected) as refusal:
            self._refused = str(refusal)
            self._microscope.submit(Command(id=f"wait-{self._turn}"))

    def finish(self) -> tuple[Dictionary, float, bool, bool, Dictionary]:
        """Let perception and reporter see what came of the command."""
        observation, gained = self._microscope.gather(SILENCE_S), 0.0
        if not self._refused:
            self._take(observation, self._eyes.perceive(observation))
            now = score(self._eyes.report(), self._truth, self._card)[0]
            gained, self._score = now - self._score, now
        self._turn += 1
        state = self._microscope.state()
        left_s, left_electrons = self._left(state)
        over = left_s <= 0.0 or left_electrons <= SPENT_SHARE * self._card.budget_electrons
        info = {"refused": self._refused} if self._refused else {}
        return self._observe(state), float(gained), over, False, info

    def _take(self, observation: Observation, percept: Percept) -> None:
        if observation.data is None:
            return
        if observation.kind == "frame":
            self._image = image_of(observation, self._capabilities)
            self._particles = len(percept.particles)
        elif observation.kind == "pattern":
            self._pattern = pattern_of(observation, self._capabilities)
        else:
            self._spectrum = spectrum_of(observation)
        self._fresh = observation.kind or ""
        focus = percept.estimates.get("defocus_error_nm")
        self._focus_nm = focus.value if focus is not None else 0.0

    def _left(self, state: InstrumentState) -> tuple[float, float]:
        spent_s = state.clock_s - self._start_s
        spent_electrons = state.electrons_charged - self._start_electrons
        return self._card.duration_s - spent_s, self._card.budget_electrons - spent_electrons

    def _observe(self, state: InstrumentState) -> Dictionary:
        left_s, left_electrons = self._left(state)
        half_nm, C10_span_nm = self._coding.half_nm, self._coding.C10_span_nm
        numbers = (
            centred(state.go.stage_x_nm or 0.0, half_nm),
            centred(state.go.stage_y_nm or 0.0, half_nm),
            centred(state.optics.C10_nm or 0.0, C10_span_nm),
            left_s / self._card.duration_s,
            left_electrons / self._card.budget_electrons,
            centred(self._focus_nm, C10_span_nm),
            self._particles / MANY_PARTICLES,
            self._fresh == "frame",
            self._fresh == "spectrum",
            self._fresh == "pattern",
        )
        vector = np.clip(np.array(numbers, dtype=np.float32), 0.0, 1.0)
        return {
            "image": self._image.copy(),
            "spectrum": self._spectrum.copy(),
            "pattern": self._pattern.copy(),
            "state": vector,
        }
