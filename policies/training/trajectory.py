"""A recorded run as a learner sees it: what was offered at every decision, what was taken, what came of it.

Numbers are those of the words they come from, in their units and as they were: a learner scales them itself. What a
command leaves open is 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from hardware_bridge.messages import Acquire, Mode
from policies.interface import Proposal, Situation

Array = NDArray[Any]

CANDIDATE = (
    "information", "information_sd", "electrons", "time_s", "mode", "fov_nm", "pixels_x", "pixels_y", "dwell_s",
    "stage_x_nm", "stage_y_nm", "C10_nm", "beam_current_pA",
)  # fmt: skip
SITUATION = ("turn", "clock_s", "time_left_s", "electrons_left", "duration_s", "max_electrons")
MODES: tuple[Mode, ...] = get_args(Mode)
"""``mode`` counts along these from 1; 0 is a command that looks at nothing."""

SEEN = ("frame", "spectrum", "pattern")


@dataclass(frozen=True)
class Rest:
    """What is left of a run at a decision."""

    turn: int
    time_left_s: float
    electrons_left: float


@dataclass(frozen=True)
class Trajectory:
    """One run of T turns.

    ``observations`` (T + 1, ...): ``situation`` and ``candidates`` (K, numbers) float64 with ``there`` (K,) int8, and
    of each kind of data in the run the array that the turn before gave, (H, W, channels) in its own type, with its
    ``_shape`` (3,), all 0 where there was none, and ``_row_seen`` (H,) and ``_row_start_s`` (H,). ``actions`` (T,) are
    places among the candidates, or K where something else was done or nothing. ``rewards`` (T,) tell by how much the
    score of the report rose. ``header`` and the T ``events`` are the lines of the run's log, as JSON.
    """

    name: str
    observations: Mapping[str, Array]
    actions: NDArray[np.int64]
    rewards: NDArray[np.float64]
    terminated: bool
    header: str
    events: tuple[str, ...]


@dataclass(frozen=True)
class Shapes:
    """What all trajectories of a set have room for: of each observation its shape and type without the axis of time."""

    shapes: Mapping[str, tuple[int, ...]]
    types: Mapping[str, np.dtype[Any]]

    @classmethod
    def of(cls, trajectories: Iterable[Trajectory]) -> Shapes:
        """Room for the largest of each, in a type that holds all values as they are."""
        shapes: dict[str, tuple[int, ...]] = {}
        types: dict[str, np.dtype[Any]] = {}
        for trajectory in trajectories:
            for name, array in trajectory.observations.items():
                shape = array.shape[1:]
                shapes[name] = tuple(map(max, zip(shapes.get(name, shape), shape, strict=True)))
                types[name] = np.promote_types(types.get(name, array.dtype), array.dtype)
        return cls(shapes, types)

    @property
    def candidates(self) -> int:
        """How many candidates there may be."""
        return self.shapes["candidates"][0]

    def fitted(self, trajectory: Trajectory) -> dict[str, Array]:
        """The observations of a trajectory with room for those of all others: zeros behind what there is."""
        length = len(trajectory.actions) + 1
        roomy = {name: np.zeros((length, *shape), self.types[name]) for name, shape in self.shapes.items()}
        for name, array in trajectory.observations.items():
            roomy[name][tuple(map(slice, array.shape))] = array
        return roomy

    def actions(self, trajectory: Trajectory) -> NDArray[np.int64]:
        """The actions, with what was none of the candidates behind all of them."""
        own = trajectory.observations["candidates"].shape[1]
        return np.where(trajectory.actions == own, self.candidates, trajectory.actions)


def numbers_of(proposal: Proposal) -> list[float]:
    """The numbers of a candidate, in the order of ``CANDIDATE``."""
    command = proposal.command
    look, go, optics = command.acquire, command.go, command.set.optics
    return [
        proposal.information, proposal.information_sd, proposal.electrons, proposal.time_s, *_look(look),
        go.stage_x_nm or 0.0, go.stage_y_nm or 0.0, optics.C10_nm or 0.0, optics.beam_current_pA or 0.0,
    ]  # fmt: skip


def _look(look: Acquire | None) -> tuple[float, ...]:
    if look is None:
        return (0.0,) * 5
    return (MODES.index(look.mode) + 1.0, look.fov_nm, look.pixels_x, look.pixels_y, look.dwell_s)


def candidates_of(offered: Sequence[Proposal], room: int) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Numbers (room, numbers) of candidates and which are there (room,)."""
    numbers, there = np.zeros((room, len(CANDIDATE))), np.zeros(room, dtype=np.int8)
    for place, proposal in enumerate(offered[:room]):
        numbers[place], there[place] = numbers_of(proposal), 1
    return numbers, there


def situation_of(situation: Rest | Situation, duration_s: float, max_electrons: float) -> list[float]:
    """The numbers of a situation in a run of this length and dose, in the order of ``SITUATION``."""
    left_s = situation.time_left_s
    clock_s = duration_s - left_s
    return [float(situation.turn), clock_s, left_s, situation.electrons_left, duration_s, max_electrons]
