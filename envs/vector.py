"""Many worlds in one Gymnasium vector environment: their instruments share a clock, and are computed together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from envs.world import Dictionary, WorldEnv
from hardware_bridge.microscope import Microscope

Vector = NDArray[Any]
MakeMicroscopes = Callable[[Sequence[int]], Sequence[Microscope]]


class VectorWorldEnv(gymnasium.vector.VectorEnv[Dictionary, Dictionary, Vector]):
    """``WorldEnv`` times B: what each of them gives is what it would give alone, seed by seed.

    Observations and actions are those of one environment with a leading axis B. All worlds begin together, and their
    time ends together; there is no automatic reset. One whose electrons are spent before has terminated: it sees
    nothing any more, and earns nothing, until all are reset.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.DISABLED}

    def __init__(
        self,
        make_env: Callable[[], WorldEnv],
        make_microscopes: Callable[[Sequence[int]], Sequence[Microscope]],
        n: int,
    ) -> None:
        self._envs, self._make_microscopes = [make_env() for _ in range(n)], make_microscopes
        self.num_envs = n
        self.single_observation_space = self._envs[0].observation_space
        self.single_action_space = self._envs[0].action_space
        self.observation_space = batch_space(self.single_observation_space, n)
        self.action_space = batch_space(self.single_action_space, n)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: Dictionary | None = None
    ) -> tuple[Dictionary, Dictionary]:
        """Start the worlds of seeds (B,); of one seed, that and those that follow it; of none, training worlds."""
        super().reset(seed=seed if isinstance(seed, int) else None)
        seeds = [seed + n for n in range(self.num_envs)] if isinstance(seed, int) else seed or [None] * self.num_envs
        worlds = []
        for env, each in zip(self._envs, seeds, strict=True):
            gymnasium.Env.reset(env, seed=each)
            worlds.append(env.drawn() if each is None else each)
        microscopes = self._make_microscopes(worlds)
        self._over = np.zeros(self.num_envs, dtype=np.bool_)
        started = zip(self._envs, worlds, microscopes, strict=True)
        self._seen = [env.start(world, microscope) for env, world, microscope in started]
        return _stacked(self._seen), {}

    def step(self, actions: Dictionary) -> tuple[Dictionary, Vector, Vector, Vector, Dictionary]:
        """Run a command in each world that is not over, all together."""
        running = [n for n in range(self.num_envs) if not self._over[n]]
        for n in running:
            self._envs[n].begin({name: values[n] for name, values in actions.items()})
        rewards, refused = np.zeros(self.num_envs), [""] * self.num_envs
        for n in running:
            self._seen[n], rewards[n], self._over[n], _, info = self._envs[n].finish()
            refused[n] = info.get("refused", "")
        told = {"refused": np.array(refused, dtype=object)} if any(refused) else {}
        return _stacked(self._seen), rewards, self._over.copy(), np.zeros(self.num_envs, dtype=np.bool_), told


def _stacked(seen: Sequence[Dictionary]) -> Dictionary:
    return {name: np.stack([each[name] for each in seen]) for name in seen[0]}
