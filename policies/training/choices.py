"""Decisions of recorded runs as a network takes them: scaled numbers of candidates and situation, and what came then.

The same function makes the numbers for learning and at the instrument. They say nothing of the order in which
candidates were offered, which would give away the choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from policies.training.trajectory import CANDIDATE, MODES, SITUATION, Array, Trajectory

CANDIDATE_FEATURES = 6 + len(MODES)
SITUATION_FEATURES = 3
LEAST = 1e-9


@dataclass(frozen=True)
class Choices:
    """N decisions among K candidates, in order within each run, and the situation after each.

    ``candidates`` and ``next_candidates`` (N, K, features), ``situation`` and ``next_situation`` (N, features),
    ``there`` and ``next_there`` (N, K) bool, of which none is there after the last turn of a run; ``action`` (N,) long,
    ``reward`` (N,), ``to_come`` (N,) the sum of this and all later rewards of the run, ``run`` (N,) its number and
    ``first`` (N,) whether it is the first decision of its run.
    """

    candidates: torch.Tensor
    situation: torch.Tensor
    there: torch.Tensor
    next_candidates: torch.Tensor
    next_situation: torch.Tensor
    next_there: torch.Tensor
    action: torch.Tensor
    reward: torch.Tensor
    to_come: torch.Tensor
    run: torch.Tensor
    first: torch.Tensor

    @classmethod
    def of(cls, trajectories: Sequence[Trajectory]) -> Choices:
        """The decisions of runs at which one of the candidates was taken as it was offered.

        Raises:
            ValueError: there is none.
        """
        room = max((len(each.observations["there"][0]) for each in trajectories), default=0)
        parts = [part for number, each in enumerate(trajectories) for part in _decisions(number, each, room)]
        if not parts:
            raise ValueError("no decision in these runs took a candidate as it was offered")
        return cls(*(torch.from_numpy(np.stack(column)) for column in zip(*parts, strict=True)))

    def __len__(self) -> int:
        return len(self.action)


def features(candidates: Array, situation: Array, there: Array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Numbers of candidates (..., K, features) and situation (..., features), about -1..1, from those of a trajectory.

    Of each candidate: what it tells, alone and for what it uses up against the best one, what share of the time and of
    the electrons left it takes, these two against each other, how much larger its field is than the smallest, its mode.
    """
    column = {name: candidates[..., n] for n, name in enumerate(CANDIDATE)}
    state = {name: situation[..., n] for n, name in enumerate(SITUATION)}
    of_time = column["time_s"] / np.maximum(state["time_left_s"], LEAST)[..., None]
    of_electrons = column["electrons"] / np.maximum(state["electrons_left"], 1.0)[..., None]
    told = _log10(column["information"])
    worth = told - _log10(of_time + of_electrons)
    best = np.max(np.where(there > 0, worth, -np.inf), axis=-1, keepdims=True, initial=-99.0)
    wide = _log10(column["fov_nm"])
    least = np.min(np.where(there > 0, wide, np.inf), axis=-1, keepdims=True, initial=99.0)
    numbers = (
        (told + 4.0) / 3.0,
        np.clip(worth - best, -3.0, 0.0),
        (_log10(of_time) + 2.0) / 2.0,
        (_log10(of_electrons) + 2.0) / 2.0,
        np.clip(_log10(of_electrons) - _log10(of_time), -3.0, 3.0) / 2.0,
        np.clip(wide - least, 0.0, 2.0),
        *((column["mode"] == n + 1).astype(np.float64) for n in range(len(MODES))),
    )
    time_left = state["time_left_s"] / np.maximum(state["duration_s"], LEAST)
    electrons_left = state["electrons_left"] / np.maximum(state["max_electrons"], 1.0)
    pace = np.clip(_log10(electrons_left) - _log10(time_left), -2.0, 2.0)
    stood = np.stack([time_left, electrons_left, pace], axis=-1)
    return (np.stack(numbers, axis=-1) * (there > 0)[..., None]).astype(np.float32), stood.astype(np.float32)


def _log10(values: Array) -> Array:
    return np.log10(np.maximum(values, LEAST))


def _decisions(number: int, trajectory: Trajectory, room: int) -> Iterable[tuple[Array, ...]]:
    seen = trajectory.observations
    missing = room - seen["there"].shape[1]
    there = np.pad(seen["there"], ((0, 0), (0, missing)))
    candidates, situation = features(
        np.pad(seen["candidates"], ((0, 0), (0, missing), (0, 0))), seen["situation"], there
    )
    to_come = np.cumsum(trajectory.rewards[::-1])[::-1]
    first = True
    for turn, action in enumerate(trajectory.actions):
        if action < seen["there"].shape[1] and there[turn, action]:
            yield (
                candidates[turn], situation[turn], there[turn] > 0,
                candidates[turn + 1], situation[turn + 1], there[turn + 1] > 0,
                np.array(action), np.array(trajectory.rewards[turn], np.float32), np.array(to_come[turn], np.float32),
                np.array(number), np.array(first),
            )  # fmt: skip
            first = False
